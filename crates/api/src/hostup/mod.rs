//! The second dialect: the same private networks, as HostUp's v2 API tells them.
//!
//! **Invariant**: nothing here has a row of its own: each id leads back to one of the v1 API.

mod ids;
mod problems;

pub use ids::{NotListed, PnetId, RequestId, SubnetId, VpsId};
pub use problems::{Problem, ProblemCode, ProblemField};

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Timestamp;

/// The most rows that a page has; a larger `limit` means this one.
pub const LIMIT_MAX: u8 = 100;
/// How many rows a page has when the request does not say.
pub const LIMIT_DEFAULT: u8 = 20;
/// The longest name of a network that is made in this dialect, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Where a network or a subnet is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its host is about to have it.
    Provisioning,
    /// Its host has it.
    Active,
    /// Its host is about to lose it.
    Deprovisioning,
    /// Nothing of it is left.
    Retired,
    /// Its host could not be brought to have it.
    Unknown,
}

/// Whether something may be done now, and why not.
#[wire]
pub struct Gate {
    /// Whether it may.
    pub allowed: bool,
    /// A sentence for a person where it may not; null where it may.
    pub reason: Nullable<String>,
}

impl Gate {
    /// An open gate.
    pub fn open() -> Self {
        Self { allowed: true, reason: None }
    }

    /// A closed gate, and why.
    pub fn closed(reason: impl Into<String>) -> Self {
        Self { allowed: false, reason: Some(reason.into()) }
    }
}

/// What may be done with a network now. The act itself asks again.
#[wire]
pub struct Actions {
    /// Whether it may be deleted.
    pub can_delete: Gate,
    /// Whether the team may have one subnet more.
    pub can_add_subnet: Gate,
}

/// A private network in a list.
#[wire]
pub struct PrivateNetworkItem {
    /// Its id.
    pub id: PnetId,
    /// Its name. Names need not be unique.
    pub name: String,
    /// The /21 that it owns: `10.64.8.0/21`.
    pub parent_cidr: String,
    /// The code of its region.
    pub region: Nullable<String>,
    /// Where it is in its life.
    pub status: Status,
    /// How many subnets it has.
    pub subnet_count: u32,
    /// How many machines are in it.
    pub attached_vps_count: u32,
    /// What may be done with it now.
    pub actions: Actions,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A page of private networks.
#[wire]
pub struct PrivateNetworkPage {
    /// The rows, the newest first.
    pub data: Vec<PrivateNetworkItem>,
    /// Whether there are rows after these.
    pub has_more: bool,
    /// What to send as `cursor` for the next page; null on the last one.
    pub next_cursor: Nullable<String>,
}

/// One of the /24s of a network.
#[wire]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its range: `10.64.8.0/24`.
    pub subnet_cidr: String,
    /// Null: no network is a VLAN here.
    pub vlan_tag: Nullable<i32>,
    /// The address of its gateway.
    pub gateway: Nullable<String>,
    /// Where it is in its life.
    pub status: Status,
}

/// A machine in a network.
#[wire]
pub struct AttachedVps {
    /// Its id.
    pub id: VpsId,
    /// Its name.
    pub name: String,
    /// Its address in the network.
    pub primary_ip: Nullable<String>,
}

/// A private network with what is in it.
#[wire]
pub struct PrivateNetworkDetail {
    /// Its id.
    pub id: PnetId,
    /// Its name. Names need not be unique.
    pub name: String,
    /// The /21 that it owns: `10.64.8.0/21`.
    pub parent_cidr: String,
    /// The code of its region.
    pub region: Nullable<String>,
    /// Where it is in its life.
    pub status: Status,
    /// How many subnets it has.
    pub subnet_count: u32,
    /// How many machines are in it.
    pub attached_vps_count: u32,
    /// What may be done with it now.
    pub actions: Actions,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
    /// The machines in it, the lowest address first.
    pub attached_vps: Vec<AttachedVps>,
}

/// A private network to create.
#[wire(strict)]
pub struct PrivateNetworkCreate {
    /// Its name.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// The code of its region; the first of the server's when left out.
    pub region: Optional<String>,
    /// Accepted and kept nowhere: no answer of this dialect shows it.
    pub description: Optional<Nullable<String>>,
    /// The /21 that it is to own; one of the server's pool when left out.
    pub parent_cidr: Optional<String>,
}

/// Which page of the private networks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListNetworks {
    /// How many rows the page may have; a larger number means 100.
    #[param(required = false, minimum = 1, maximum = 100, default = 20)]
    pub limit: u8,
    /// The `nextCursor` of the page before.
    #[param(required = false, nullable = false)]
    pub cursor: Option<String>,
    /// Only networks of this region.
    #[param(required = false, nullable = false)]
    pub region: Option<String>,
}
