//! Accessors of machines on the wire: members of the team that may use a machine.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::UserId;

/// A user that may use a machine: start it, stop it, read its console, and log in with its SSH keys.
#[wire]
pub struct MachineAccessor {
    /// The user.
    pub user: AccessorUser,
    /// When its access ended; null while it lasts.
    #[schema(default = json!(null))]
    pub dt_deleted: Optional<Nullable<Timestamp>>,
}

/// The user of an accessor.
#[wire]
pub struct AccessorUser {
    /// The user's id.
    pub id: UserId,
    /// The mail address.
    #[schema(format = "email")]
    pub email: String,
    /// The first name; null: Deckle keeps none.
    #[schema(default = json!(null))]
    pub first_name: Optional<Nullable<String>>,
    /// The last name; null: Deckle keeps none.
    #[schema(default = json!(null))]
    pub last_name: Optional<Nullable<String>>,
    /// A picture; null: Deckle keeps none.
    #[schema(default = json!(null))]
    pub public_profile_image_url: Optional<Nullable<String>>,
}

/// A member of the team to give access to a machine.
#[wire(strict)]
pub struct AddAccessor {
    /// The member.
    pub user_id: UserId,
}

crate::list_query! {
    /// The accessors of a machine.
    ListAccessors by AccessorOrder { Id = "id" }
    where {}
}
