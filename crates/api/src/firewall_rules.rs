//! Firewall rules on the wire.
//!
//! A rule allows. Where no rule is for a machine in a direction, everything passes in that direction; as
//! soon as one is, its own or its network's, only what a rule allows passes. Answers to what passed do.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{FirewallRuleId, MachineId, PrivateNetworkId};

/// Which way a packet goes, as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FirewallDirection {
    /// To the machine.
    Inbound,
    /// From the machine.
    Outbound,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FirewallProtocol {
    /// Anything.
    #[default]
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
}

/// What may pass to or from a machine, or each machine of a private network.
#[wire]
pub struct FirewallRule {
    /// Its id.
    pub id: FirewallRuleId,
    /// The private network whose machines it is for, if it is for a network.
    pub network_id: Nullable<PrivateNetworkId>,
    /// The machine that it is for, if it is for one.
    pub machine_id: Nullable<MachineId>,
    /// Which way.
    pub direction: FirewallDirection,
    /// What is carried.
    pub protocol: FirewallProtocol,
    /// The first port on the receiving side; every port when null.
    #[schema(value_type = Option<i32>)]
    pub port_from: Nullable<u16>,
    /// The last port; the first when null.
    #[schema(value_type = Option<i32>)]
    pub port_to: Nullable<u16>,
    /// The addresses on the other side: `0.0.0.0/0` is all of them.
    pub cidr: String,
    /// What it is for, in words.
    pub description: Nullable<String>,
    /// When it was created.
    pub dt_created: Timestamp,
}

/// A firewall rule to create: for a network or for a machine.
#[wire(strict)]
pub struct CreateFirewallRule {
    /// The private network whose machines it is to be for.
    pub network_id: Optional<PrivateNetworkId>,
    /// The machine that it is to be for.
    pub machine_id: Optional<MachineId>,
    /// Which way.
    pub direction: FirewallDirection,
    /// What is carried; anything when left out.
    pub protocol: Optional<FirewallProtocol>,
    /// The first port on the receiving side, for TCP and UDP; every port when left out.
    #[schema(value_type = Option<i32>)]
    pub port_from: Optional<u16>,
    /// The last port; the first when left out.
    #[schema(value_type = Option<i32>)]
    pub port_to: Optional<u16>,
    /// The addresses on the other side; all of them when left out.
    pub cidr: Optional<String>,
    /// What it is for, in words.
    pub description: Optional<String>,
}

/// What a deleted firewall rule leaves.
#[wire]
pub struct FirewallRuleDeleted {
    /// Its id.
    pub id: FirewallRuleId,
}

crate::list_query! {
    /// The firewall rules of a team.
    ListFirewallRules by FirewallRuleOrder { DtCreated = "dtCreated" }
    where {
        /// Only rules for this network.
        network_id: PrivateNetworkId,
        /// Only rules for this machine.
        machine_id: MachineId,
    }
}
