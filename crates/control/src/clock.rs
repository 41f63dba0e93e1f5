//! Where time and randomness come from: the system in a server, a test's hand in tests.

use std::sync::LazyLock;
use std::time::Instant;

use deckle_api::Timestamp;

/// The source of moments and of random bits.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Timestamp;

    /// 64 random bits.
    fn random(&self) -> u64;

    /// Microseconds that only grow, whoever sets the clock: to measure with, not to tell.
    fn ticks_us(&self) -> i64 {
        self.now().0
    }
}

/// The system's clock and its random bits.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::of_system_clock()
    }

    fn random(&self) -> u64 {
        getrandom::u64().expect("the system gives random bits")
    }

    fn ticks_us(&self) -> i64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}
