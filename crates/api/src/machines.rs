//! Machines on the wire.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::Timestamp;
use crate::ids::{MachineId, PrivateNetworkId, SnapshotId, StartupScriptId, TemplateId, UserId};
use crate::machine_events::MachineEvent;
use crate::regions::Region;
use crate::sizes::SizeGb;

/// A machine as its users see it.
#[wire]
pub struct Machine {
    /// Its id.
    pub id: MachineId,
    /// Its name. Names need not be unique.
    pub name: String,
    /// What it is doing.
    pub state: MachineState,
    /// Its operating system: the agent's words once it has spoken, the template's until then.
    pub os: String,
    /// The label of its type.
    pub machine_type: String,
    /// What kind of agent its template has: `LinuxHeadless`, or `LinuxDesktop` for a machine with a desktop.
    pub agent_type: String,
    /// Virtual processors.
    #[schema(value_type = f64)]
    pub cpus: u32,
    /// Memory in bytes.
    #[schema(value_type = i64)]
    pub ram: u64,
    /// The disk's size in bytes.
    #[schema(value_type = i64)]
    pub storage_total: u64,
    /// What the disk takes on its host, in bytes.
    #[schema(value_type = i64)]
    pub storage_used: u64,
    /// Its GPUs; left out for a type without.
    pub accelerators: Optional<Nullable<Vec<Accelerator>>>,
    /// The code of its region.
    pub region: Region,
    /// Its address in its network.
    pub private_ip: Nullable<String>,
    /// Its private network; null when it is isolated on a network of its own.
    pub network_id: Nullable<PrivateNetworkId>,
    /// Its public address, while it has one.
    pub public_ip: Nullable<String>,
    /// Where its public address comes from.
    pub public_ip_type: PublicIpType,
    /// Whether it is shut down by itself after a time.
    pub auto_shutdown_enabled: bool,
    /// After how many hours from boot.
    #[schema(value_type = Option<f64>)]
    pub auto_shutdown_timeout: Nullable<u32>,
    /// Whether its power is cut without asking the guest first.
    pub auto_shutdown_force: Nullable<bool>,
    /// Whether snapshots are taken by themselves.
    pub auto_snapshot_enabled: bool,
    /// How often.
    pub auto_snapshot_frequency: Nullable<AutoSnapshotFrequency>,
    /// How many of them are kept.
    #[schema(value_type = Option<f64>)]
    pub auto_snapshot_save_count: Nullable<u32>,
    /// Always false: Deckle installs no updates in guests.
    pub updates_pending: bool,
    /// Whether its disk goes back to a snapshot at each shutdown.
    pub restore_point_enabled: bool,
    /// When it does.
    pub restore_point_frequency: Nullable<RestorePointFrequency>,
    /// To which snapshot.
    pub restore_point_snapshot_id: Nullable<SnapshotId>,
    /// Its price while it is not off, in currency units per hour.
    pub usage_rate: f64,
    /// The price of its disk, in currency units per month.
    pub storage_rate: f64,
    /// When it was created.
    pub dt_created: Timestamp,
    /// When a request last changed it.
    pub dt_modified: Timestamp,
    /// When it was deleted.
    pub dt_deleted: Nullable<Timestamp>,
    /// Always null: Deckle has no reservations.
    pub reservation: Nullable<Reservation>,
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MachineState {
    /// Its power is off.
    Off,
    /// It boots.
    Starting,
    /// It shuts down.
    Stopping,
    /// It shuts down and boots again.
    Restarting,
    /// Its operating system has its address; its agent is not ready yet.
    Serviceready,
    /// It can be used.
    Ready,
    /// Its type or its disk is being changed.
    Upgrading,
    /// It is being made.
    Provisioning,
}

impl MachineState {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Serviceready => "serviceready",
            Self::Ready => "ready",
            Self::Upgrading => "upgrading",
            Self::Provisioning => "provisioning",
        }
    }
}

/// Where a machine's public address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PublicIpType {
    /// Claimed, and kept until it is released.
    Static,
    /// From the pool while the machine is on.
    Dynamic,
    /// There is none.
    #[default]
    None,
}

/// How often snapshots are taken by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutoSnapshotFrequency {
    /// Each hour.
    Hourly,
    /// Each day.
    Daily,
    /// Each week.
    Weekly,
    /// Each month.
    Monthly,
}

/// When a disk goes back to its restore point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestorePointFrequency {
    /// At each shutdown.
    Shutdown,
}

/// GPUs of one model.
#[wire]
#[schema(as = MachineAccelerator)]
pub struct Accelerator {
    /// The model.
    pub name: String,
    /// The memory of one of them, in bytes.
    #[schema(schema_with = integer_or_null)]
    pub memory: Nullable<u64>,
    /// How many.
    #[schema(value_type = f64)]
    pub count: u32,
}

/// The contract names no format for it.
fn integer_or_null() -> Object {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::Null])).build()
}

/// A reservation of capacity. Deckle has none; the object is there because clients know it.
#[wire]
pub struct Reservation {
    /// Its name.
    #[schema(min_length = 1)]
    pub name: String,
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// When it began.
    pub dt_started: Timestamp,
    /// When it ends.
    pub dt_finished: Timestamp,
    /// Whether it is under way.
    pub is_active: bool,
}

/// A machine to create.
#[wire]
pub struct CreateMachine {
    /// Its name.
    #[schema(min_length = 1)]
    pub name: String,
    /// The label of its type, one that the template offers.
    pub machine_type: String,
    /// The template that its disk begins as.
    pub template_id: TemplateId,
    /// The private network that it is to be in; left out, it is isolated on one of its own.
    pub network_id: Optional<PrivateNetworkId>,
    /// The size of its disk.
    pub disk_size: SizeGb,
    /// Where it is to be.
    pub region: Region,
    /// Where its public address comes from; none when left out.
    pub public_ip_type: Optional<PublicIpType>,
    /// Whether snapshots are to be taken by themselves.
    pub auto_snapshot_enabled: Optional<bool>,
    /// How often.
    pub auto_snapshot_frequency: Optional<AutoSnapshotFrequency>,
    /// How many of them are to be kept: 0 to 10.
    pub auto_snapshot_save_count: Optional<f64>,
    /// Whether it is to be shut down by itself after a time.
    pub auto_shutdown_enabled: Optional<bool>,
    /// After how many hours from boot: 1 to 168.
    pub auto_shutdown_timeout: Optional<f64>,
    /// Whether its power is then cut without asking the guest first.
    pub auto_shutdown_force: Optional<bool>,
    /// Whether a snapshot is to be taken once it is made.
    pub take_initial_snapshot: Optional<bool>,
    /// Whether its disk is to go back to a snapshot at each shutdown.
    pub restore_point_enabled: Optional<bool>,
    /// When it is to.
    pub restore_point_frequency: Optional<RestorePointFrequency>,
    /// The script that is to run as root at the end of each boot.
    pub startup_script_id: Optional<StartupScriptId>,
    /// Accepted, and without effect: Deckle sends no mail and sets no password.
    #[schema(default = true)]
    pub email_password: Optional<bool>,
    /// Whether it is to be started once it is made; true when left out.
    pub start_on_create: Optional<bool>,
    /// Only true for types that have it.
    pub enable_nvlink: Optional<bool>,
    /// The members of the team that may use it.
    pub accessor_ids: Optional<Vec<UserId>>,
}

/// What is to change of a machine.
#[wire]
#[derive(Default)]
pub struct UpdateMachine {
    /// Its name.
    pub name: Optional<String>,
    /// The label of its type.
    pub machine_type: Optional<String>,
    /// The size of its disk.
    pub disk_size: Optional<SizeGb>,
    /// The private network that it is to be in. Null is taken as if it were left out: a machine leaves a
    /// network only for another one.
    pub network_id: Optional<NetworkOrNull>,
    /// Where its public address comes from.
    pub public_ip_type: Optional<PublicIpType>,
    /// Whether snapshots are to be taken by themselves.
    pub auto_snapshot_enabled: Optional<bool>,
    /// How often.
    pub auto_snapshot_frequency: Optional<AutoSnapshotFrequency>,
    /// How many of them are to be kept: 0 to 10.
    pub auto_snapshot_save_count: Optional<f64>,
    /// Whether it is to be shut down by itself after a time.
    pub auto_shutdown_enabled: Optional<bool>,
    /// After how many hours from boot: 1 to 168.
    pub auto_shutdown_timeout: Optional<f64>,
    /// Whether its power is then cut without asking the guest first.
    pub auto_shutdown_force: Optional<bool>,
    /// Whether its disk is to go back to a snapshot at each shutdown.
    pub restore_point_enabled: Optional<bool>,
    /// When it is to.
    pub restore_point_frequency: Optional<RestorePointFrequency>,
    /// To which snapshot.
    pub restore_point_snapshot_id: Optional<SnapshotId>,
}

/// A private network, or null, which is taken as if it were left out. The schema names the network only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NetworkOrNull(pub Option<PrivateNetworkId>);

impl PartialSchema for NetworkOrNull {
    fn schema() -> RefOr<Schema> {
        PrivateNetworkId::schema()
    }
}

impl ToSchema for NetworkOrNull {}

/// What was changed: the machine, and the event that tells how it goes where its host takes part.
#[wire]
pub struct MachineUpdated {
    /// How it goes.
    pub event: Optional<MachineEvent>,
    /// The machine.
    pub data: Machine,
}

/// What was ordered: the event that tells how it goes, and the machine.
#[wire]
pub struct MachineOrdered {
    /// How it goes.
    pub event: MachineEvent,
    /// The machine.
    pub data: Machine,
}

crate::list_query! {
    /// The machines of a team.
    ListMachines by MachineOrder { DtCreated = "dtCreated", Name = "name", State = "state" }
    where {
        /// Only machines whose name contains this, in any case.
        name: String,
        /// Only machines of this region.
        region: Region,
        /// Only machines whose agent is of this kind.
        agent_type: String,
        /// Only machines of this type.
        machine_type: String,
    }
}
