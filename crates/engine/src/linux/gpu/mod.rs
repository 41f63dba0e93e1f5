//! GPUs of this host, given to machines whole.
//!
//! ```text
//!            take: note, override, unbind, probe            QEMU ends, or is found ended
//!   host ───────────────────────────────────────▶ machine ──────────────────────────────┐
//!    ▲                                               ▲                                  │ release:
//!    │ give_back: override off, former driver        │ take                             │ reset, look
//!    └──────────────────────────────────────────── idle ◀───────────────────────────────┘
//!                                                    │ it does not reset, or answer
//!                                                    ▼
//!                                                  failed ──── reset ────▶ idle
//! ```
//!
//! An idle GPU stays with vfio-pci, so that no program of the host begins to use it between two machines.
//!
//! **Invariants**: a GPU goes to a machine only after it was released by the one before. A GPU that failed
//! is given to nobody until an operator has had it reset. Each step may be taken again after a crash.

mod block;
mod checks;
mod inventory;
pub mod models;
mod note;
#[cfg(test)]
mod tests;
mod tree;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use deckle_api::ids::MachineId;
use tokio::sync::Mutex;

use super::Settings;
use super::command;
use super::folder::Folder;
use super::paths::Paths;
use super::vm::running::Running;
use crate::error::{Error, Result};
use crate::pci::PciAddress;
use crate::seen::{Check, GpuSeen, GpuTrouble, HostThing};
use inventory::{Gpu, VFIO};
use note::{Note, Notes};
use tree::{Device, Kernel, Real, Tree};

/// The GPUs that an installation may give to machines.
#[derive(Debug)]
pub struct Gpus {
    tree: Tree,
    notes: Notes,
    paths: Paths,
    listed: Option<Vec<PciAddress>>,
    /// Held while devices change hands.
    turn: Mutex<()>,
}

impl Gpus {
    /// Those of the host, or of the folder that the settings name as its root.
    pub fn new(paths: Paths, settings: &Settings) -> Self {
        Self::under(paths, settings, Arc::new(Real))
    }

    fn under(paths: Paths, settings: &Settings, kernel: Arc<dyn Kernel>) -> Self {
        let root = settings.host_root.clone().unwrap_or_else(|| "/".into());
        let notes = Notes::new(paths.gpus());
        let listed = settings.gpus.clone();
        Self { tree: Tree::new(root, kernel), notes, paths, listed, turn: Mutex::new(()) }
    }

    /// Every GPU, whether it can be given to a machine, and which running machine has it.
    pub fn look(&self) -> Result<Vec<GpuSeen>> {
        self.seen().map_err(|error| Error::passing("look for GPUs", error))
    }

    fn seen(&self) -> io::Result<Vec<GpuSeen>> {
        let mut seen = Vec::new();
        for gpu in self.inventory()? {
            let note = self.notes.read(&gpu.device.address)?;
            let machine = match note.machine {
                Some(machine) if self.has(&machine, &gpu.device.address)? => Some(machine),
                _ => None,
            };
            let failed = note.failure.map(GpuTrouble::Failed);
            let blocked =
                gpu.block.map(|block| GpuTrouble::Blocked(format!("{}: {}", block.found(), block.cure())));
            seen.push(GpuSeen {
                address: gpu.device.address,
                model: gpu.model,
                memory_bytes: gpu.memory_bytes,
                numa_node: gpu.device.numa_node,
                machine,
                trouble: failed.or(blocked),
            });
        }
        Ok(seen)
    }

    /// What `deckle doctor` says of GPUs.
    pub fn checks(&self) -> Vec<Check> {
        checks::of(&self.tree, &self.notes, self.listed.as_deref())
    }

    /// What machines have of GPUs, for finding leaks.
    pub fn look_things(&self) -> Result<Vec<HostThing>> {
        let notes = self.notes.all().map_err(|error| Error::passing("look for GPUs", error))?;
        let held = notes.into_iter().filter_map(|(gpu, note)| Some((gpu, note.machine?)));
        Ok(held
            .map(|(gpu, of)| HostThing { kind: "device".into(), name: gpu.to_string(), of: of.to_string() })
            .collect())
    }

    /// Takes GPUs from the host for a machine that is about to start: the functions of each, the GPU itself
    /// first.
    pub async fn take(&self, machine: &MachineId, wanted: &[PciAddress]) -> Result<Vec<Vec<PciAddress>>> {
        let mut taken = Vec::new();
        if wanted.is_empty() {
            return Ok(taken);
        }
        let _one_at_a_time = self.turn.lock().await;
        let act = || format!("give GPUs to {machine}");
        let failed = |error: io::Error| Error::passing(act(), error);
        let owner = Folder::of(&self.paths, machine).owner().map_err(failed)?;
        let owner = owner.ok_or_else(|| Error::lasting(act(), "its disk is missing"))?;
        let inventory = self.inventory().map_err(failed)?;
        for address in wanted {
            let gpu = inventory.iter().find(|gpu| gpu.device.address == *address);
            let gpu = gpu.ok_or_else(|| {
                Error::lasting(act(), format!("the GPU {address} is not on this host any more"))
            })?;
            self.free(machine, gpu).await?;
            self.bind(machine, gpu, owner).await.map_err(failed)?;
            taken.push(gpu.functions.iter().map(|function| function.address.clone()).collect());
        }
        Ok(taken)
    }

    /// Sees that a GPU is free, and sound, before it is given to a machine.
    async fn free(&self, machine: &MachineId, gpu: &Gpu) -> Result<()> {
        let address = &gpu.device.address;
        let act = || format!("give the GPU {address} to {machine}");
        let told = |error: io::Error| Error::passing(act(), error);
        if let Some(block) = &gpu.block {
            return Err(Error::lasting(act(), format!("{}: {}", block.found(), block.cure())));
        }
        let mut note = self.notes.read(address).map_err(told)?;
        if let Some(holder) = note.machine.take() {
            if self.has(&holder, address).map_err(told)? {
                return Err(Error::lasting(act(), format!("{holder} runs with it")));
            }
            note = self.let_go(address, note).await.map_err(told)?;
        }
        note.failure.map_or(Ok(()), |failure| Err(Error::lasting(act(), failure)))
    }

    /// Binds all functions of a GPU to vfio-pci, and opens its group to the machine's QEMU alone.
    async fn bind(&self, machine: &MachineId, gpu: &Gpu, owner: u32) -> io::Result<()> {
        let address = &gpu.device.address;
        let mut note = self.notes.read(address)?;
        if note.formerly.is_empty() {
            let driver = |function: &Device| (function.address.clone(), function.driver.clone());
            note.formerly = gpu.functions.iter().map(driver).collect();
        }
        note.machine = Some(machine.clone());
        self.notes.write(address, &note)?;
        if !self.tree.driver(VFIO).exists() {
            command::run("modprobe").arg(VFIO).output().await.map_err(io::Error::other)?;
        }
        for function in &gpu.functions {
            self.bind_function(function).await?;
        }
        let group = gpu.device.group.ok_or_else(|| io::Error::other("it has no IOMMU group any more"))?;
        open_to(&self.tree.group_file(group), owner)
    }

    async fn bind_function(&self, function: &Device) -> io::Result<()> {
        if function.driver.as_deref() == Some(VFIO) {
            return Ok(());
        }
        let address = &function.address;
        let folder = self.tree.device(address);
        self.tree.write(folder.join("driver_override"), VFIO).await?;
        if let Some(driver) = &function.driver {
            self.tree.write(self.tree.driver(driver).join("unbind"), address.as_str()).await?;
        }
        self.tree.write(self.tree.at("sys/bus/pci/drivers_probe"), address.as_str()).await?;
        let now = self.tree.look(address)?.and_then(|device| device.driver);
        if now.as_deref() == Some(VFIO) {
            return Ok(());
        }
        let has = now.unwrap_or_else(|| "no driver".to_owned());
        Err(io::Error::other(format!("{address} was to go to {VFIO}, and {has} has it")))
    }

    /// Takes back what a machine had, now that it does not run: each GPU is reset, and looked at.
    pub async fn release(&self, machine: &MachineId) -> Result<()> {
        let told = |error: io::Error| Error::passing(format!("take the GPUs of {machine} back"), error);
        let _one_at_a_time = self.turn.lock().await;
        for (address, note) in self.notes.all().map_err(told)? {
            if note.machine.as_ref() == Some(machine) {
                self.let_go(&address, note).await.map_err(told)?;
            }
        }
        Ok(())
    }

    /// Takes a GPU back from whoever had it. One that does not come back sound is noted as failed.
    async fn let_go(&self, address: &PciAddress, note: Note) -> io::Result<Note> {
        if let Some(group) = self.tree.look(address)?.and_then(|device| device.group) {
            close(&self.tree.group_file(group))?;
        }
        let failure = self.revive(address).await?;
        if let Some(failure) = &failure {
            tracing::error!(gpu = %address, failure, "a GPU is out of use");
        }
        let note = Note { machine: None, failure, ..note };
        self.notes.write(address, &note)?;
        Ok(note)
    }

    /// Resets a GPU and sees that it answers: why not, if not.
    async fn revive(&self, address: &PciAddress) -> io::Result<Option<String>> {
        let Some(device) = self.tree.look(address)? else {
            return Ok(Some("it was gone from the host when its machine gave it back".to_owned()));
        };
        // One that never came to vfio-pci, or that another program opened meanwhile, is not ours to reset.
        match device.driver.as_deref() {
            Some(VFIO) if self.tree.is_open(device.group)? => {
                return Ok(Some("a program that is no machine of this installation has it open".to_owned()));
            }
            Some(VFIO) | None => {}
            Some(_) => return Ok(None),
        }
        // Many cards' functions cannot be reset one by one, which the kernel says so or so: then vfio-pci has
        // reset the whole card as QEMU let go of it. One that never came back from that does not answer.
        if device.resettable
            && let Err(error) = self.tree.write(self.tree.device(address).join("reset"), "1").await
            && error.kind() != io::ErrorKind::Unsupported
        {
            return Ok(Some(format!("it does not reset: {error}")));
        }
        match self.tree.answers(&device) {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some("it does not answer after its reset".to_owned())),
            Err(error) => Ok(Some(format!("it does not answer after its reset: {error}"))),
        }
    }

    /// Resets a GPU that no machine runs with, and forgets that it had failed.
    pub async fn reset(&self, address: &PciAddress) -> Result<()> {
        let act = || format!("reset the GPU {address}");
        let told = |error: io::Error| Error::passing(act(), error);
        let _one_at_a_time = self.turn.lock().await;
        let note = self.notes.read(address).map_err(told)?;
        if let Some(holder) = &note.machine
            && self.has(holder, address).map_err(told)?
        {
            return Err(Error::lasting(act(), format!("{holder} runs with it")));
        }
        if note == Note::default() && self.tree.look(address).map_err(told)?.is_some() {
            // It was never taken from the host, whose driver may use it.
            return Ok(());
        }
        let note = self.let_go(address, note).await.map_err(told)?;
        note.failure.map_or(Ok(()), |failure| Err(Error::lasting(act(), failure)))
    }

    /// Gives every GPU that no machine runs with back to the driver that had it.
    pub async fn give_back(&self) -> Result<()> {
        let _one_at_a_time = self.turn.lock().await;
        for (address, note) in self.notes.all().map_err(|error| Error::passing("look for GPUs", error))? {
            let told =
                |error: io::Error| Error::passing(format!("give the GPU {address} back to the host"), error);
            if let Some(holder) = &note.machine
                && self.has(holder, &address).map_err(told)?
            {
                continue;
            }
            let note =
                if note.machine.is_some() { self.let_go(&address, note).await.map_err(told)? } else { note };
            for (function, driver) in &note.formerly {
                self.unbind_function(function, driver.as_deref()).await.map_err(told)?;
            }
            self.notes.remove(&address).map_err(told)?;
        }
        Ok(())
    }

    async fn unbind_function(&self, address: &PciAddress, formerly: Option<&str>) -> io::Result<()> {
        let Some(device) = self.tree.look(address)? else { return Ok(()) };
        if formerly == Some(VFIO) {
            return Ok(());
        }
        if device.driver.as_deref() == Some(VFIO) && self.tree.is_open(device.group)? {
            return Err(io::Error::other("a program has it open"));
        }
        // An empty line takes the override off.
        self.tree.write(self.tree.device(address).join("driver_override"), "\n").await?;
        if device.driver.as_deref() == Some(VFIO) {
            self.tree.write(self.tree.driver(VFIO).join("unbind"), address.as_str()).await?;
        }
        let bound = self.tree.look(address)?.and_then(|device| device.driver);
        match formerly {
            Some(driver) if bound.is_none() && self.tree.driver(driver).exists() => {
                self.tree.write(self.tree.driver(driver).join("bind"), address.as_str()).await
            }
            _ => Ok(()),
        }
    }

    fn inventory(&self) -> io::Result<Vec<Gpu>> {
        let ours: Vec<_> = self.notes.all()?.into_iter().map(|(gpu, _)| gpu).collect();
        inventory::look(&self.tree, self.listed.as_deref(), &ours)
    }

    /// Whether a machine runs with a GPU.
    fn has(&self, machine: &MachineId, gpu: &PciAddress) -> io::Result<bool> {
        let running = Running::find_anyhow(&Folder::of(&self.paths, machine))?;
        Ok(running.is_some_and(|running| running.gpus.contains(gpu)))
    }
}

/// Lets one user open a group's file, and no other.
fn open_to(file: &Path, owner: u32) -> io::Result<()> {
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("open {} to QEMU: {error}", file.display()));
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).map_err(told)?;
    chown(file, Some(owner), Some(0)).map_err(told)
}

/// Takes a group's file back to root. Without one, nothing was opened.
fn close(file: &Path) -> io::Result<()> {
    super::disk::absent_ok(chown(file, Some(0), Some(0)))
}
