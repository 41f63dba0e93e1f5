//! Public addresses on the wire.

use std::net::Ipv4Addr;

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::MachineId;
use crate::regions::Region;

/// A public address that a team has claimed. The address itself is its id.
#[wire]
pub struct PublicIp {
    /// The address.
    #[schema(value_type = String)]
    pub ip: Ipv4Addr,
    /// The code of its region.
    pub region: Region,
    /// The machine that it leads to; absent while it leads to none.
    pub assigned_machine_id: Optional<MachineId>,
    /// When it was claimed.
    pub dt_created: Timestamp,
}

/// A public address to claim.
#[wire(strict)]
pub struct ClaimPublicIp {
    /// Where it is to be.
    pub region: Region,
}

/// Where a public address is to lead.
#[wire(strict)]
pub struct AssignPublicIp {
    /// The machine; null, or left out, for none.
    #[schema(required = true)]
    pub machine_id: Optional<Nullable<MachineId>>,
}

/// What a released public address leaves.
#[wire]
pub struct PublicIpReleased {
    /// The address.
    #[schema(value_type = String)]
    pub ip: Ipv4Addr,
}

crate::list_query! {
    /// The public addresses of a team.
    ListPublicIps by PublicIpOrder { DtCreated = "dtCreated" }
    where {
        /// Only addresses of this region.
        region: Region,
    }
}
