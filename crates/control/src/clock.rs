//! Where time and randomness come from: the system in a server, a test's hand in tests.

use deckle_api::Timestamp;

/// The source of moments and of random bits.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Timestamp;

    /// 64 random bits.
    fn random(&self) -> u64;
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
}
