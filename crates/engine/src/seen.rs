//! What can be seen of a host: facts at the moment of the look, never wishes.

use std::net::{Ipv4Addr, SocketAddr};

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SnapshotId, StartupScriptId};
use serde::{Deserialize, Serialize};

use crate::pci::PciAddress;
use crate::specs::HostNetwork;

/// A machine as its host shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MachineSeen {
    /// Its disk, if there is one.
    pub disk: Option<DiskSeen>,
    /// Whether it is plugged into the network that was asked about, with all that belongs to it.
    pub nic: bool,
    /// Whether its port is there, whatever else of its place is missing. A machine that is on cannot be given
    /// another one.
    #[serde(default)]
    pub port: bool,
    /// The public address that leads to it, if one does.
    pub public_ip: Option<Ipv4Addr>,
    /// Its power.
    pub power: Power,
    /// The GPUs that it has, while it is not off.
    pub gpus: Vec<PciAddress>,
    /// What its guest shows of itself, since this boot.
    pub guest: GuestSeen,
    /// Where its screen is reached by VNC, while it is on and has one.
    pub desktop: Option<SocketAddr>,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSeen {
    /// Its size as the guest sees it, in bytes.
    pub size_bytes: u64,
    /// What it takes on the host with its snapshots, in bytes.
    pub used_bytes: u64,
    /// The number of the last restore that is finished; 0 before the first. One that is half done is seen as
    /// not done.
    pub generation: u64,
}

/// A snapshot of a machine's disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSeen {
    /// Which one.
    pub id: SnapshotId,
    /// The disk's size when it was taken, in bytes.
    pub size_bytes: u64,
    /// When it was taken, by the host's clock.
    pub taken: Timestamp,
}

/// A machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Power {
    /// No virtual machine runs.
    #[default]
    Off,
    /// It runs.
    On {
        /// The number that the boot was given.
        boot: u64,
        /// When it was started.
        since: Timestamp,
    },
    /// The guest has shut down by itself or because the button was pressed; its power is to be cut.
    Halted {
        /// The number that the boot was given.
        boot: u64,
    },
    /// The host has stopped the guest because its disk cannot be written: it goes on when there is room.
    Stalled {
        /// The number that the boot was given.
        boot: u64,
    },
}

/// A guest, since its boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GuestSeen {
    /// When it last took its address, if it has since this boot.
    pub leased: Option<Timestamp>,
    /// Its agent.
    pub agent: AgentSeen,
}

/// A guest agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AgentSeen {
    /// Nothing in the guest has opened the agent's port.
    #[default]
    Absent,
    /// The port is open; no answer yet.
    Opened,
    /// It answers.
    Answers {
        /// The operating system's name for itself, where the agent tells it.
        os: Option<String>,
    },
}

/// A network as its host shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkSeen {
    /// Nothing of it is there.
    Absent,
    /// Some of it is missing, or not as the spec says: the namespace, the bridge, the uplink, the rules, the
    /// firewall or the lease server.
    Broken,
    /// It is whole, and as the spec says.
    Whole,
}

/// What a host has lost by itself: the end of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Something that serves a network: its lease server, or what shares its drives.
    Server(HostNetwork),
    /// A machine's virtual machine. One whose power was cut on purpose ends too.
    Machine(MachineId),
}

/// A shared drive as its host shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriveSeen {
    /// Its image, if there is one.
    pub image: Option<DriveImageSeen>,
    /// Its share in the network that was asked about, if machines can mount it there.
    pub share: Option<ShareSeen>,
}

/// A drive's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveImageSeen {
    /// Its size in bytes. A growth that is half done is seen as not done.
    pub size_bytes: u64,
}

/// A drive's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareSeen {
    /// The number of the password that opens it.
    pub password_number: u64,
}

/// A template's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSeen {
    /// The smallest disk that can be made from it, in bytes.
    pub size_bytes: u64,
    /// What it takes on the host, in bytes.
    pub used_bytes: u64,
}

/// A GPU as its host shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuSeen {
    /// Where it is.
    pub address: PciAddress,
    /// Its model, as the catalogue of machine types names it, or its numbers where it has no name there.
    pub model: String,
    /// Its memory in bytes, where that can be told.
    pub memory_bytes: Option<u64>,
    /// The NUMA node that it is near, where the host has several.
    pub numa_node: Option<u32>,
    /// The machine that runs with it.
    pub machine: Option<MachineId>,
    /// Why it cannot be given to a machine, whether or not one has it now.
    pub trouble: Option<GpuTrouble>,
}

/// Why a GPU cannot be given to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GpuTrouble {
    /// The host is not set up for it, and may be: why, and what mends it.
    Blocked(String),
    /// It did not come back sound from its last machine: why. It stays so until it is
    /// [reset](crate::Engine::reset_gpu).
    Failed(String),
}

/// What a host has and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSeen {
    /// What machines may take together; nothing is a bound where it is absent.
    pub capacity: Option<Capacity>,
    /// How guests run.
    pub acceleration: Acceleration,
    /// What was checked, for `deckle doctor`.
    pub checks: Vec<Check>,
}

/// What machines may take of a host together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// Memory in bytes, the host's own reserve already taken off.
    pub ram_bytes: u64,
    /// Virtual processors: the host's, times the configured factor.
    pub vcpus: u32,
    /// Free space where disks lie, in bytes, the configured floor already taken off.
    pub disk_free_bytes: u64,
}

/// How guests run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acceleration {
    /// By the processor: a probe guest has really run so.
    Kvm,
    /// By translation, many times slower.
    Tcg {
        /// Why not by the processor.
        because: String,
    },
    /// Not at all: no guest is real here.
    Pretended,
}

/// One thing that `deckle doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: `nftables`.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, in a sentence.
    pub found: String,
    /// The command or the setting that mends it; empty when nothing is to be mended.
    pub cure: String,
}

impl Check {
    /// A thing that is as it should be.
    pub fn good(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, Verdict::Good, found, "")
    }

    /// A thing, how it is, and what mends it.
    pub fn new(name: &str, verdict: Verdict, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, found: found.into(), cure: cure.into() }
    }
}

/// How a checked thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Deckle works, with less.
    Weak,
    /// Deckle cannot run machines so.
    Bad,
}

/// Something that this installation has on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HostThing {
    /// What it is: `namespace`, `process`, `link`, `file`, `rule`, `route`, `mount`, `loop`, `device`.
    pub kind: String,
    /// Its name on the host.
    pub name: String,
    /// The id of the object that it was made for: a machine's, a network's, a drive's or a template's.
    pub of: String,
}

/// A piece of a serial log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsoleChunk {
    /// Where the piece begins, in bytes since the log was begun.
    pub from: u64,
    /// Where the next piece begins.
    pub next: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A run of a startup script, as the guest tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptRunSeen {
    /// Which script.
    pub script: StartupScriptId,
    /// The number of the boot whose seed carried it.
    pub boot: u64,
    /// What it ended with; absent while it runs.
    pub exit_status: Option<u8>,
    /// The end of what it printed so far, at most [`OUTPUT_BYTES_MAX`](crate::script_run::OUTPUT_BYTES_MAX)
    /// bytes as they were printed; bytes that are not UTF-8 are shown as U+FFFD.
    pub output: String,
}
