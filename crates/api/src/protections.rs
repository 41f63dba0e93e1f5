//! Protection against deletion, on the wire: the same for each noun that has it.

use deckle_api_macros::wire;

/// Whether an object is protected against deletion.
#[wire]
pub struct Protection {
    /// Whether it is.
    pub is_protected: bool,
}

/// Whether an object is to be protected against deletion.
#[wire(strict)]
pub struct SetProtection {
    /// Whether it is to be; false when left out.
    #[schema(default = false)]
    pub is_protected: Optional<bool>,
}
