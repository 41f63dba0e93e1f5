//! What an operator asks of the running server, over its own socket: never over the API's listener.

use std::collections::BTreeMap;
use std::path::PathBuf;

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{ApiKeyId, MachineId, TeamId, TemplateId, UserId};
use crate::os_templates::{AgentType, OsTemplate};

/// What a member of a team may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Use the machines that are shared with it.
    Member,
    /// Everything in the team.
    Admin,
    /// Everything, and cannot be removed. A team has one.
    Owner,
}

impl Role {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// A team to make, with its owner: `POST /admin/teams`.
#[wire(strict)]
pub struct CreateTeam {
    /// Its name.
    pub name: String,
    /// Its name in addresses; left out, it is made from the name.
    pub namespace: Optional<String>,
    /// The owner's mail address. A user that has it already becomes the owner.
    pub owner_email: String,
}

/// A team: `GET /admin/teams` answers a list of them.
#[wire]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name.
    pub name: String,
    /// Its name in addresses.
    pub namespace: String,
    /// When it was made.
    pub dt_created: Timestamp,
    /// Who is in it.
    pub members: Vec<Member>,
    /// What it may have at most. What is not listed has no limit.
    pub limits: Vec<Limit>,
    /// What it, and users in it, may spend in a calendar month. What is not listed has no cap.
    pub caps: Vec<SpendCap>,
}

/// What a team, or a user in it, may spend in a calendar month (UTC) before creates and starts are refused.
#[wire]
pub struct SpendCap {
    /// The mail address of the user; left out, the cap is the whole team's.
    pub email: Optional<String>,
    /// What may be spent, in currency units, as a decimal number.
    pub amount: String,
    /// What is spent so far this month, in currency units, as a decimal number.
    pub spent: String,
}

/// A spend cap to set or to lift: `POST /admin/teams/{id}/cap`.
#[wire(strict)]
pub struct SetSpendCap {
    /// The mail address of a user of the team; left out, the cap is the whole team's.
    pub email: Optional<String>,
    /// What may be spent in a calendar month, in currency units: a decimal number with at most nine digits
    /// after the point; null for no cap.
    pub amount: Nullable<String>,
}

/// What a team may have at most of one kind of thing, and what it has.
#[wire]
pub struct Limit {
    /// What is counted: `machines`, `private-networks`, `public-ips`, `shared-drives`, `shared-drives-gb` (the
    /// sizes of drives together, in GB), or `gpus/` and a model of GPUs.
    pub noun: String,
    /// How many it may have.
    pub most: u64,
    /// How many it has. More than it may: then there were more before the limit was set.
    pub in_use: u64,
}

/// Limits of a team to set or to lift: `POST /admin/teams/{id}/limits`. Those that are not named stay.
#[wire(strict)]
pub struct SetLimits {
    /// How many the team may have of each; null for no limit.
    pub limits: BTreeMap<String, Option<u64>>,
}

/// A user of a team.
#[wire]
pub struct Member {
    /// The user.
    pub user_id: UserId,
    /// The user's mail address.
    pub email: String,
    /// What the user may do.
    pub role: Role,
}

/// A user to put into a team, or another role for one: `POST /admin/teams/{id}/members`.
#[wire(strict)]
pub struct SetMember {
    /// The user's mail address. A new user is made for a new one.
    pub email: String,
    /// What the user may do: member or admin.
    pub role: Role,
}

/// An API key to make: `POST /admin/keys`.
#[wire(strict)]
pub struct CreateApiKey {
    /// The team that it acts for.
    pub team_id: TeamId,
    /// The mail address of the member that it acts as.
    pub email: String,
    /// What it is for.
    pub name: String,
    /// What it may do; everything when left out: `read:all`, `write:all`, `read:vm`, `write:vm`,
    /// `read:network`, `write:network`.
    pub scopes: Optional<Vec<String>>,
}

/// An API key: `GET /admin/keys` answers a list of them, without their texts.
#[wire]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// The team that it acts for.
    pub team_id: TeamId,
    /// The user that it acts as.
    pub user_id: UserId,
    /// What it may do; empty is everything.
    pub scopes: Vec<String>,
    /// When it was made.
    pub dt_created: Timestamp,
    /// The key itself: only in the answer that made it.
    pub key: Optional<String>,
}

/// An image file to take in as a template of an operating system: `POST /admin/templates`.
#[wire(strict)]
pub struct ImportTemplate {
    /// The file, as the server sees it.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// Its operating system, in words; the name when left out.
    pub operating_system_label: Optional<String>,
    /// Its id; a new one when left out. One that is there already is an error.
    pub id: Optional<TemplateId>,
    /// Whether its guests have an agent; true when left out. Without one, a machine counts as ready as
    /// soon as it has its address.
    pub has_agent: Optional<bool>,
    /// What kind of agent it has: `LinuxDesktop` gives its machines a desktop; `LinuxHeadless` when left out.
    pub agent_type: Optional<AgentType>,
}

/// A template as an operator sees it: `GET /admin/templates` answers a list of them.
#[wire]
pub struct Template {
    /// As its users see it.
    pub template: OsTemplate,
    /// Whether its guests have an agent.
    pub has_agent: bool,
    /// The smallest disk that can be made from it, in bytes.
    #[schema(value_type = i64)]
    pub size_bytes: u64,
}

/// A GPU of the host: `GET /admin/gpus` answers a list of them, and `POST /admin/gpus/{address}/release` the one
/// that it has released.
#[wire]
pub struct Gpu {
    /// Where it is on the PCI bus.
    pub address: String,
    /// Its model, or its numbers where the catalogue of machine types has no name for it.
    pub model: String,
    /// Its memory in bytes, where that can be told.
    #[schema(value_type = i64)]
    pub memory_bytes: Optional<u64>,
    /// The NUMA node that it is near.
    pub numa_node: Optional<i64>,
    /// How it is.
    pub state: GpuState,
    /// The machine that has it.
    pub machine_id: Optional<MachineId>,
    /// The team of that machine.
    pub team_id: Optional<TeamId>,
    /// Why no machine gets it.
    pub reason: Optional<String>,
}

/// How a GPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GpuState {
    /// A machine can have it.
    Free,
    /// A machine has it.
    Used,
    /// The host is not set up to give it to machines.
    Blocked,
    /// It has failed, or is gone, and no machine gets it until it is released.
    Quarantined,
    /// It was released, and the host does not show it: nothing is kept of it.
    Forgotten,
}

impl GpuState {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Used => "used",
            Self::Blocked => "blocked",
            Self::Quarantined => "quarantined",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Something on the host that no row explains: `GET /admin/leaks` answers a list of them.
#[wire]
pub struct Leak {
    /// What it is: `namespace`, `process`, `link`, `file`, `rule`, `route`, `mount`, `device`.
    pub kind: String,
    /// Its name on the host.
    pub name: String,
    /// The id of the object that it was made for.
    pub of: String,
}
