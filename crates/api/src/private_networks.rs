//! Private networks on the wire.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::PrivateNetworkId;
use crate::regions::Region;

/// A private network.
#[wire]
pub struct PrivateNetwork {
    /// Its id.
    pub id: PrivateNetworkId,
    /// Its name. Names need not be unique.
    pub name: String,
    /// The code of its region.
    pub region: Region,
    /// The first address of its range: `10.64.21.0`.
    pub network: String,
    /// The mask of its range: `255.255.255.0`.
    pub netmask: String,
    /// When it was created.
    pub dt_created: Timestamp,
    /// When it was deleted.
    pub dt_deleted: Optional<Nullable<Timestamp>>,
}

/// A private network to create.
#[wire(strict)]
pub struct CreatePrivateNetwork {
    /// Its name.
    pub name: String,
    /// Where it is to be.
    pub region: Region,
    /// Whether the team's machines of the region that are in no network are to move into it.
    #[schema(default = false)]
    pub migrate_machines: Optional<bool>,
}

/// What is to change of a private network.
#[wire(strict)]
pub struct UpdatePrivateNetwork {
    /// Its name.
    pub name: Optional<String>,
}

/// What a deleted private network leaves.
#[wire]
pub struct PrivateNetworkDeleted {
    /// Its id.
    pub id: PrivateNetworkId,
}

crate::list_query! {
    /// The private networks of a team.
    ListPrivateNetworks by PrivateNetworkOrder { DtCreated = "dtCreated", Name = "name" }
    where {
        /// Only networks whose name contains this, in any case.
        name: String,
        /// Only networks of this region.
        region: Region,
    }
}
