//! Shared drives on the wire.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::{PrivateNetworkId, SharedDriveId};
use crate::regions::Region;
use crate::sizes::SizeGb;

/// A drive that the machines of a private network share over SMB.
#[wire]
pub struct SharedDrive {
    /// Its id.
    pub id: SharedDriveId,
    /// Its name. Names need not be unique.
    pub name: String,
    /// The code of its region.
    pub region: Region,
    /// Its size in bytes.
    #[schema(value_type = i64)]
    pub size: u64,
    /// Where machines of its network mount it, as a UNC path: `\\10.64.8.2\sdvkpg3v2v`.
    pub mount_point: String,
    /// The user that may mount it.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// The private network that it is in.
    pub network_id: PrivateNetworkId,
    /// When it was created.
    pub dt_created: Timestamp,
    /// When it was deleted.
    pub dt_deleted: Optional<Nullable<Timestamp>>,
}

/// A shared drive to create.
#[wire(strict)]
pub struct CreateSharedDrive {
    /// Its name.
    pub name: String,
    /// Its size in GB: a whole number.
    pub size: SizeGb,
    /// The region of its network.
    #[schema(value_type = String)]
    pub region: Region,
    /// The private network that it is to be in.
    pub network_id: PrivateNetworkId,
}

/// What is to change of a shared drive.
#[wire(strict)]
pub struct UpdateSharedDrive {
    /// Its name.
    pub name: Optional<String>,
}

/// A larger size for a shared drive: `POST /v1/shared-drives/{id}/resize`.
#[wire(strict)]
pub struct ResizeSharedDrive {
    /// Its size in GB: a whole number, not less than it has.
    pub size: SizeGb,
}

/// What a deleted shared drive leaves.
#[wire]
pub struct SharedDriveDeleted {
    /// Its id.
    pub id: SharedDriveId,
}

crate::list_query! {
    /// The shared drives of a team.
    ListSharedDrives by SharedDriveOrder { DtCreated = "dtCreated", Name = "name" }
    where {
        /// Only drives whose name contains this, in any case.
        name: String,
        /// Only drives of this region.
        #[param(value_type = Option<String>)]
        region: Region,
    }
}
