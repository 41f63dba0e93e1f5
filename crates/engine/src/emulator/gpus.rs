//! Pretended GPUs: which there are, who has them, and how they fail.

use std::collections::BTreeMap;

use deckle_api::ids::MachineId;
use serde::{Deserialize, Serialize};

use super::world::World;
use crate::error::{Error, Result};
use crate::pci::PciAddress;
use crate::seen::{GpuSeen, GpuTrouble};

/// Some GPUs of one model that a pretended host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretendedGpus {
    /// Their model, as the catalogue of machine types names it.
    pub model: String,
    /// The memory of one, in GiB.
    pub memory_gib: u64,
    /// How many.
    pub count: u8,
    /// Over how many NUMA nodes they lie, as evenly as can be.
    #[serde(default = "one")]
    pub numa_nodes: u8,
}

fn one() -> u8 {
    1
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Gpu {
    model: String,
    memory_bytes: u64,
    numa_node: u32,
    /// Whether the host does not show it.
    pub gone: bool,
    /// Whether it does not reset.
    pub stubborn: bool,
    /// Why it did not come back sound.
    pub failure: Option<String>,
}

/// The GPUs of a host, each on a bus of its own.
pub(super) fn made_up(kinds: &[PretendedGpus]) -> BTreeMap<PciAddress, Gpu> {
    let gpus = kinds.iter().flat_map(|kind| {
        let nodes = u32::from(kind.numa_nodes.max(1));
        (0..u32::from(kind.count)).map(move |number| Gpu {
            model: kind.model.clone(),
            memory_bytes: kind.memory_gib << 30,
            numa_node: number * nodes / u32::from(kind.count),
            gone: false,
            stubborn: false,
            failure: None,
        })
    });
    let buses = (1..=u8::MAX).filter_map(|bus| format!("0000:{bus:02x}:00.0").parse().ok());
    buses.zip(gpus).collect()
}

impl World {
    /// The GPUs as the host shows them. A host with bounds has none that it was not given.
    pub fn gpus_seen(&self) -> Option<Vec<GpuSeen>> {
        let Some(gpus) = &self.gpus else { return self.capacity.map(|_| Vec::new()) };
        let there = gpus.iter().filter(|(_, gpu)| !gpu.gone);
        let seen = there.map(|(address, gpu)| GpuSeen {
            address: address.clone(),
            model: gpu.model.clone(),
            memory_bytes: Some(gpu.memory_bytes),
            numa_node: Some(gpu.numa_node),
            machine: self.holder(address).cloned(),
            trouble: gpu.failure.clone().map(GpuTrouble::Failed),
        });
        Some(seen.collect())
    }

    /// Why a machine cannot be started with a GPU, if it cannot.
    pub fn gpu_refused(&self, machine: &MachineId, wanted: &PciAddress) -> Option<String> {
        let gpu = self.gpus.as_ref().and_then(|gpus| gpus.get(wanted)).filter(|gpu| !gpu.gone);
        let Some(gpu) = gpu else { return Some(format!("the GPU {wanted} is not on this host any more")) };
        match (self.holder(wanted), &gpu.failure) {
            (Some(holder), _) if holder != machine => Some(format!("{holder} runs with the GPU {wanted}")),
            (_, Some(failure)) => Some(format!("the GPU {wanted}: {failure}")),
            _ => None,
        }
    }

    /// Resets the GPUs that a machine gives back.
    pub fn gpus_returned(&mut self, returned: &[PciAddress]) {
        for address in returned {
            if let Some(gpu) = self.gpus.as_mut().and_then(|gpus| gpus.get_mut(address)) {
                gpu.reset();
            }
        }
    }

    pub fn reset_gpu(&mut self, address: &PciAddress) -> Result<()> {
        let refused = |why: String| Err(Error::lasting(format!("reset the GPU {address}"), why));
        if let Some(holder) = self.holder(address) {
            return refused(format!("{holder} runs with it"));
        }
        let Some(gpus) = &mut self.gpus else { return Ok(()) };
        let Some(gpu) = gpus.get_mut(address).filter(|gpu| !gpu.gone) else {
            return refused("it is not on this host".to_owned());
        };
        gpu.reset();
        gpu.failure.clone().map_or(Ok(()), refused)
    }

    /// The machine that runs with a GPU.
    fn holder(&self, address: &PciAddress) -> Option<&MachineId> {
        let holds = |boot: &super::guest::Boot| boot.gpus.contains(address);
        let holder = self.machines.values().find(|machine| machine.boot.as_ref().is_some_and(holds));
        holder.map(|machine| &machine.id)
    }
}

impl Gpu {
    fn reset(&mut self) {
        self.failure = self.stubborn.then(|| "it does not reset".to_owned());
    }
}
