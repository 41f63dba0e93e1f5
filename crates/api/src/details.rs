//! What an object waits for, on the wire: what the objects of the reference have no field for.

use deckle_api_macros::wire;

use crate::Timestamp;

/// How an object fares on its host.
#[wire]
pub struct Detail {
    /// Whether its host has it as it is wanted.
    pub is_ready: bool,
    /// What is done to that end, or waited for, where it is not ready.
    pub step: Nullable<String>,
    /// Since when, as far as that is known.
    pub since: Nullable<Timestamp>,
    /// What went wrong last.
    pub last_error: Nullable<String>,
    /// When it did, as far as that is known.
    pub dt_last_error: Nullable<Timestamp>,
    /// When it is looked at next: this moment where that is being done, nothing where the end of an export or an
    /// import is waited for.
    pub next_try: Nullable<Timestamp>,
    /// How often in a row it went wrong.
    pub failures: u64,
}

impl Detail {
    /// How an object fares that is as it should be: there is nothing to tell.
    pub fn ready() -> Self {
        Self {
            is_ready: true,
            step: None,
            since: None,
            last_error: None,
            dt_last_error: None,
            next_try: None,
            failures: 0,
        }
    }
}
