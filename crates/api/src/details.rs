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
