//! How an object fares on its host, on the wire: what the objects of the reference have no field for.

use deckle_api_macros::wire;

use crate::Timestamp;

/// How an object fares on its host.
#[wire]
pub struct Detail {
    /// Whether its host has it as it is wanted.
    pub is_ready: bool,
    /// Why it is not, where something went wrong.
    pub trouble: Nullable<String>,
    /// When that was found.
    pub dt_trouble: Nullable<Timestamp>,
}

impl Detail {
    /// How an object fares that is settled or not, and that stumbled over something or did not.
    pub fn of(settled: bool, trouble: Option<String>, dt_trouble: Option<Timestamp>) -> Self {
        let dt_trouble = dt_trouble.filter(|_| trouble.is_some());
        Self { is_ready: settled && trouble.is_none(), trouble, dt_trouble }
    }
}
