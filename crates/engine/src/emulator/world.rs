//! All that is on a pretended host.
//!
//! **Invariants**: every change of a thing names it in `changed`. The sums in `taken` and the index
//! `public_ips` say nothing that the things themselves do not say: they make calls cheap among many
//! machines, and are counted anew when a world is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SharedDriveId, SnapshotId, StartupScriptId, TemplateId};
use serde::{Deserialize, Serialize};

use super::console::Console;
use super::gpus::Gpu;
use super::guest::{Boot, microseconds};
use super::image;
use crate::error::{Error, Result};
use crate::pci::PciAddress;
use crate::seen::{Capacity, HostThing, TemplateSeen};
use crate::specs::{BootSpec, HostNetwork, Mac, NetworkSpec, TemplateSpec};

pub(super) struct World {
    pub templates: BTreeMap<TemplateId, TemplateSeen>,
    pub networks: BTreeMap<HostNetwork, Network>,
    pub machines: BTreeMap<MachineId, Machine>,
    pub drives: BTreeMap<SharedDriveId, Drive>,
    /// Who has each public address, and where.
    pub public_ips: BTreeMap<Ipv4Addr, (HostNetwork, MachineId)>,
    /// The GPUs, where the host has a number of them.
    pub gpus: Option<BTreeMap<PciAddress, Gpu>>,
    pub taken: Taken,
    pub capacity: Option<Capacity>,
    /// What the files do not say yet.
    pub changed: BTreeSet<Thing>,
}

/// A thing that has a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Template(TemplateId),
    Network(HostNetwork),
    Machine(MachineId),
    Drive(SharedDriveId),
}

/// A network and who is plugged into it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Network {
    pub spec: NetworkSpec,
    /// Whether some of it is missing.
    pub broken: bool,
    pub nics: BTreeMap<MachineId, Nic>,
    /// The drives that are shared in it, each with the number of its password.
    #[serde(default)]
    pub shares: BTreeMap<SharedDriveId, u64>,
}

/// A machine's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nic {
    pub mac: Mac,
    pub ip: Ipv4Addr,
    pub names: Vec<String>,
    pub public_ip: Option<Ipv4Addr>,
    /// Whether the guard of its address is missing: the port is there, and lets nothing through.
    #[serde(default)]
    pub unguarded: bool,
}

/// What is kept of a machine, but for its places in networks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Machine {
    pub id: MachineId,
    pub disk: Option<Disk>,
    pub boot: Option<Boot>,
    pub console: Console,
    /// The last script that has begun to run, and the boot that carried it.
    #[serde(default)]
    pub last_run: Option<(StartupScriptId, u64)>,
    /// What it was last started with. It is not kept in the state folder.
    #[serde(skip)]
    pub last_start: Option<BootSpec>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Disk {
    pub template: TemplateId,
    pub size_bytes: u64,
    pub used_bytes: u64,
    /// The startup scripts that are to run once and have run on it.
    pub ran: BTreeSet<StartupScriptId>,
    /// The last restore.
    #[serde(default)]
    pub generation: u64,
    /// The oldest first.
    #[serde(default)]
    pub snapshots: Vec<Snapshot>,
}

/// What a disk was: all that a pretended disk remembers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub id: SnapshotId,
    pub size_bytes: u64,
    #[serde(with = "microseconds")]
    pub taken: Timestamp,
    pub ran: BTreeSet<StartupScriptId>,
}

/// A shared drive's image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Drive {
    pub id: SharedDriveId,
    pub size_bytes: u64,
    /// What its clients have written: all that a pretended drive remembers.
    #[serde(default)]
    pub written: String,
}

/// What all machines and drives take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Taken {
    pub disk_bytes: u64,
    pub ram_bytes: u64,
    pub vcpus: u32,
}

impl World {
    pub fn new(capacity: Option<Capacity>) -> Self {
        Self {
            templates: BTreeMap::new(),
            networks: BTreeMap::new(),
            machines: BTreeMap::new(),
            drives: BTreeMap::new(),
            public_ips: BTreeMap::new(),
            gpus: None,
            taken: Taken::default(),
            capacity,
            changed: BTreeSet::new(),
        }
    }

    /// What machines may still be given: the space for disks goes down as they are made.
    pub fn capacity_seen(&self) -> Option<Capacity> {
        self.capacity.map(|capacity| Capacity {
            disk_free_bytes: capacity.disk_free_bytes.saturating_sub(self.taken.disk_bytes),
            ..capacity
        })
    }

    /// Counts the sums and the index from the things themselves.
    pub fn count(&mut self) {
        self.public_ips = BTreeMap::new();
        for (name, network) in &self.networks {
            for (machine, nic) in &network.nics {
                let owner = (name.clone(), machine.clone());
                self.public_ips.extend(nic.public_ip.map(|public_ip| (public_ip, owner)));
            }
        }
        self.taken = Taken::default();
        for machine in self.machines.values() {
            self.taken.disk_bytes += machine.disk.as_ref().map_or(0, |disk| disk.size_bytes);
            self.taken.ram_bytes += machine.boot.as_ref().map_or(0, |boot| boot.ram_bytes);
            self.taken.vcpus += machine.boot.as_ref().map_or(0, |boot| boot.vcpus);
        }
        self.taken.disk_bytes += self.drives.values().map(|drive| drive.size_bytes).sum::<u64>();
    }

    pub fn add_template(&mut self, id: TemplateId, size_bytes: u64) {
        if !self.templates.contains_key(&id) {
            self.changed.insert(Thing::Template(id.clone()));
            self.templates.insert(id, TemplateSeen { size_bytes, used_bytes: size_bytes / 8 });
        }
    }

    pub fn ensure_template(&mut self, spec: &TemplateSpec) -> Result<TemplateSeen> {
        let TemplateSpec { id, file, size_bytes_max } = spec;
        if let Some(seen) = self.templates.get(id) {
            return Ok(*seen);
        }
        let image = image::read(file, *size_bytes_max)
            .map_err(|why| Error::lasting(format!("take {} in as {id}", file.display()), why))?;
        let seen = TemplateSeen { size_bytes: image.size_bytes, used_bytes: image.used_bytes };
        self.templates.insert(id.clone(), seen);
        self.changed.insert(Thing::Template(id.clone()));
        Ok(seen)
    }

    pub fn remove_template(&mut self, id: &TemplateId) {
        if self.templates.remove(id).is_some() {
            self.changed.insert(Thing::Template(id.clone()));
        }
    }

    /// Every thing as a host would list it, in order.
    pub fn things(&self) -> Vec<HostThing> {
        let mut things = BTreeSet::new();
        let mut put = |kind: &str, name: String, of: String| {
            things.insert(HostThing { kind: kind.to_owned(), name, of });
        };
        for id in self.templates.keys() {
            put("file", format!("templates/{id}"), id.to_string());
        }
        for (id, network) in &self.networks {
            put("namespace", id.to_string(), id.to_string());
            for (machine, nic) in &network.nics {
                put("link", format!("{id}/{machine}"), machine.to_string());
                if let Some(public_ip) = nic.public_ip {
                    put("rule", format!("{id}/{public_ip}"), machine.to_string());
                }
            }
            for drive in network.shares.keys() {
                put("mount", format!("{id}/{drive}"), drive.to_string());
            }
        }
        for id in self.drives.keys() {
            put("file", format!("drives/{id}"), id.to_string());
        }
        for (id, machine) in &self.machines {
            put("file", format!("machines/{id}"), id.to_string());
            if machine.boot.is_some() {
                put("process", id.to_string(), id.to_string());
            }
        }
        things.into_iter().collect()
    }
}
