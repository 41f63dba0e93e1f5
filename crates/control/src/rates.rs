//! How many requests a key may make: a bucket for each, refilled with time.
//!
//! **Invariant**: memory is bounded by the keys that are in use: a bucket that is full again is forgotten.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deckle_api::Timestamp;
use deckle_api::ids::ApiKeyId;
use governor::clock::Clock as Measure;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::config::Limits;

/// Full buckets are looked for once there are this many, and then at each doubling.
const BUCKETS_MIN: usize = 1024;

type Buckets = RateLimiter<ApiKeyId, HashMapStateStore<ApiKeyId>, Ticks, StateInformationMiddleware>;

/// The buckets of all keys.
pub struct Rates {
    buckets: Option<Buckets>,
    clock: Arc<dyn Clock>,
    requests_s: u32,
    burst: u32,
    sweep_at: AtomicUsize,
}

/// How a key stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How many requests the key may make at once when it has rested.
    pub limit: u32,
    /// How many it may make now.
    pub remaining: u32,
    /// When it has rested.
    pub reset: Timestamp,
    /// After how many seconds it may try again, at least 1; nothing if this request may go on.
    pub retry_s: Option<u64>,
}

/// The server's clock, as what measures the buckets' time.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl Measure for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Duration::from_micros(u64::try_from(self.0.ticks_us()).unwrap_or_default()).into()
    }
}

impl Rates {
    /// Buckets as the limits say; none where they switch them off.
    pub fn of(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        let (requests_s, burst) = (limits.requests_s.unwrap_or(Limits::REQUESTS_S), limits.requests_burst);
        let quota = NonZeroU32::new(requests_s).zip(NonZeroU32::new(burst));
        let buckets = quota.map(|(rate, burst)| {
            let quota = Quota::per_second(rate).allow_burst(burst);
            Buckets::new(quota, HashMapStateStore::default(), Ticks(clock.clone()))
        });
        Self { buckets, clock, requests_s, burst, sweep_at: AtomicUsize::new(BUCKETS_MIN) }
    }

    /// Takes a request from a key's bucket; nothing where there are no limits.
    pub fn take(&self, key: &ApiKeyId) -> Option<Standing> {
        let buckets = self.buckets.as_ref()?;
        let (remaining, wait) = match buckets.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(buckets.clock().now()))),
        };
        self.sweep(buckets);
        let missing = u64::from(self.burst - remaining.min(self.burst));
        let full_ms = missing * 1000 / u64::from(self.requests_s) + 1;
        let reset = Timestamp(self.clock.now().0 + i64::try_from(full_ms * 1000).unwrap_or_default());
        let retry_s = wait.map(|wait| wait.as_secs() + 1);
        Some(Standing { limit: self.burst, remaining, reset, retry_s })
    }

    fn sweep(&self, buckets: &Buckets) {
        if buckets.len() >= self.sweep_at.load(Ordering::Relaxed) {
            buckets.retain_recent();
            buckets.shrink_to_fit();
            self.sweep_at.store((2 * buckets.len()).max(BUCKETS_MIN), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    struct Set(AtomicI64);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::SeqCst))
        }

        fn random(&self) -> u64 {
            0
        }
    }

    fn rates(requests_s: u32, burst: u32) -> (Rates, Arc<Set>) {
        let clock = Arc::new(Set(AtomicI64::new(1_700_000_000_000_000)));
        let limits = Limits { requests_s: Some(requests_s), requests_burst: burst, ..Limits::default() };
        (Rates::of(&limits, clock.clone()), clock)
    }

    fn pass_ms(clock: &Set, ms: i64) {
        clock.0.fetch_add(ms * 1000, Ordering::SeqCst);
    }

    fn key(number: u64) -> ApiKeyId {
        ApiKeyId::mint(number)
    }

    #[test]
    fn a_key_may_make_a_burst_and_then_its_rate() {
        let (rates, clock) = rates(10, 20);
        for left in (0..20).rev() {
            let standing = rates.take(&key(1)).unwrap();
            assert_eq!((standing.limit, standing.remaining, standing.retry_s), (20, left, None));
        }
        let refused = rates.take(&key(1)).unwrap();
        assert_eq!((refused.remaining, refused.retry_s), (0, Some(1)));
        assert_eq!(refused.reset.to_string(), "2023-11-14T22:13:22.001Z");
        assert_eq!(rates.take(&key(2)).unwrap().remaining, 19, "another key has a bucket of its own");
        pass_ms(&clock, 1000);
        let passed = (0..30).filter(|_| rates.take(&key(1)).unwrap().retry_s.is_none()).count();
        assert_eq!(passed, 10);
        pass_ms(&clock, 60_000);
        assert_eq!(rates.take(&key(1)).unwrap().remaining, 19);
    }

    #[test]
    fn zero_switches_it_off() {
        let (rates, _) = rates(0, 20);
        assert_eq!((0..100).find_map(|_| rates.take(&key(1))), None);
    }

    #[test]
    fn what_has_rested_is_forgotten() {
        let (rates, clock) = rates(10, 20);
        for round in 0..20 {
            for number in 0..500 {
                rates.take(&key(round * 500 + number)).unwrap();
            }
            pass_ms(&clock, 10_000);
        }
        assert!(rates.buckets.as_ref().unwrap().len() <= BUCKETS_MIN + 1);
    }
}
