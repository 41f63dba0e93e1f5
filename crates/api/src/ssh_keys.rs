//! SSH keys of users on the wire.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::SshKeyId;

/// A public key that its user logs in to machines with.
#[wire]
pub struct SshKey {
    /// Its id.
    pub id: SshKeyId,
    /// Its name.
    pub name: String,
    /// The key, as in an `authorized_keys` file.
    pub public_key: String,
    /// When it was added.
    pub dt_created: Timestamp,
}

/// A public key to add to one's own.
#[wire(strict)]
pub struct CreateSshKey {
    /// Its name.
    pub name: String,
    /// The key, as in an `authorized_keys` file: its kind, its base64 text, and a comment if wanted.
    pub public_key: String,
}

crate::list_query! {
    /// One's own SSH keys.
    ListSshKeys by SshKeyOrder { DtCreated = "dtCreated", Name = "name" }
    where {}
}
