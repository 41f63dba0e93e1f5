//! What tests do to a pretended host behind the control plane's back.

use std::collections::BTreeMap;

use deckle_api::ids::{MachineId, SharedDriveId, TemplateId};

use super::gpus::Gpu;
use super::guest::Nature;
use super::world::{Disk, Drive, Thing};
use super::{Call, Emulator, Fault, Fuse, Inside};
use crate::error::{Error, Result};
use crate::pci::PciAddress;
use crate::seen::{Loss, TemplateSeen};
use crate::specs::{BootSpec, HostNetwork};

#[derive(Default)]
pub(super) struct Levers {
    fuse: Option<Fuse>,
    always: Option<(Call, Fault)>,
    natures: BTreeMap<MachineId, Nature>,
    made: BTreeMap<Call, u64>,
    aside: Aside,
}

/// What was taken from the host and can be put back.
#[derive(Default)]
struct Aside {
    disks: BTreeMap<MachineId, Disk>,
    drives: BTreeMap<SharedDriveId, Drive>,
    templates: BTreeMap<TemplateId, TemplateSeen>,
}

/// # Levers
///
/// None of them is a call of the contract; none is kept in the state folder but for what it does to the
/// world. Those that name a machine may come before the machine.
impl Emulator {
    /// Breaks the next call of a method, once; `None` takes an unspent fuse out.
    pub fn fail_at(&self, fuse: Option<Fuse>) {
        self.inside().levers.fuse = fuse;
    }

    /// Whether the fuse is still whole: the call that it waits for was not made.
    pub fn fuse_left(&self) -> Option<Fuse> {
        self.inside().levers.fuse
    }

    /// Makes every call of a method fail without an effect, until it is told `None`.
    pub fn fail_always(&self, fault: Option<(Call, Fault)>) {
        self.inside().levers.always = fault;
    }

    /// The guest shuts down by itself: its machine is [halted](crate::seen::Power::Halted).
    pub fn guest_powers_off(&self, id: &MachineId) {
        let now = self.now();
        self.pull(|inside| inside.world.halt(id, now));
    }

    /// The virtual machine is gone: its machine is [off](crate::seen::Power::Off), and
    /// [`next_loss`](crate::Engine::next_loss) says so.
    pub fn crash(&self, id: &MachineId) {
        self.pull(|inside| inside.world.cut_power(id));
        // The receiver lives as long as this host does.
        let _ = self.lost.send(Loss::Machine(id.clone()));
    }

    /// The host goes down and comes back: machines are off, networks and all that is in them are gone;
    /// disks, logs and templates stay.
    pub fn reboot_host(&self) {
        self.pull(|Inside { world, .. }| {
            for id in world.machines.keys().cloned().collect::<Vec<_>>() {
                world.cut_power(&id);
            }
            for id in world.networks.keys().cloned().collect::<Vec<_>>() {
                world.remove_network(&id);
            }
        });
    }

    /// The machine's disk is gone, and nothing else of it.
    pub fn lose_disk(&self, id: &MachineId) {
        self.pull(|Inside { world, levers, .. }| {
            levers.aside.disks.extend(world.lose_disk(id).map(|disk| (id.clone(), disk)));
        });
    }

    /// The disk that was lost is there again, as it was.
    pub fn put_back_disk(&self, id: &MachineId) {
        self.pull(|Inside { world, levers, .. }| {
            if let Some(disk) = levers.aside.disks.remove(id) {
                world.put_back_disk(id, disk);
            }
        });
    }

    /// The template's image is gone. Disks made from it work on.
    pub fn lose_template(&self, id: &TemplateId) {
        self.pull(|Inside { world, levers, .. }| {
            levers.aside.templates.extend(world.templates.get(id).map(|image| (id.clone(), *image)));
            world.remove_template(id);
        });
    }

    /// The template's image that was lost is there again.
    pub fn put_back_template(&self, id: &TemplateId) {
        self.pull(|Inside { world, levers, .. }| {
            if let Some(image) = levers.aside.templates.remove(id) {
                world.templates.insert(id.clone(), image);
                world.changed.insert(Thing::Template(id.clone()));
            }
        });
    }

    /// Some of the network is missing: it is [broken](crate::seen::NetworkSeen::Broken) until it is mended.
    pub fn break_network(&self, id: &HostNetwork) {
        self.pull(|Inside { world, .. }| {
            if let Some(network) = world.networks.get_mut(id) {
                network.broken = true;
                world.changed.insert(Thing::Network(id.clone()));
            }
        });
    }

    /// The network's packet rules are gone: it is [broken](crate::seen::NetworkSeen::Broken) until it is mended,
    /// no public address leads into it, and its machines' ports let nothing through.
    pub fn flush_rules(&self, id: &HostNetwork) {
        self.break_network(id);
        self.pull(|Inside { world, .. }| {
            let Some(network) = world.networks.get_mut(id) else { return };
            for nic in network.nics.values_mut() {
                nic.unguarded = true;
                if let Some(public_ip) = nic.public_ip.take() {
                    world.public_ips.remove(&public_ip);
                }
            }
        });
    }

    /// The drive's image is gone, and nothing else of it.
    pub fn lose_drive(&self, id: &SharedDriveId) {
        self.pull(|Inside { world, levers, .. }| {
            levers.aside.drives.extend(world.lose_drive(id).map(|drive| (id.clone(), drive)));
        });
    }

    /// The image that was lost is there again, as it was.
    pub fn put_back_drive(&self, id: &SharedDriveId) {
        self.pull(|Inside { world, levers, .. }| {
            if let Some(drive) = levers.aside.drives.remove(id) {
                world.put_back_drive(drive);
            }
        });
    }

    /// A client replaces all that is on a drive.
    pub fn write_drive(&self, id: &SharedDriveId, written: &str) {
        self.pull(|inside| inside.world.write_drive(id, written.to_owned()));
    }

    /// Whether the host does not show a GPU any more.
    pub fn hide_gpu(&self, gpu: &PciAddress, gone: bool) {
        self.change_gpu(gpu, |gpu| gpu.gone = gone);
    }

    /// Whether a GPU does not reset, when its machine gives it back or an operator asks.
    pub fn let_gpu_resist(&self, gpu: &PciAddress, stubborn: bool) {
        self.change_gpu(gpu, |gpu| gpu.stubborn = stubborn);
    }

    fn change_gpu(&self, gpu: &PciAddress, change: impl FnOnce(&mut Gpu)) {
        if let Some(gpu) = self.inside().world.gpus.as_mut().and_then(|gpus| gpus.get_mut(gpu)) {
            change(gpu);
        }
    }

    /// What shares a network's drives has ended by itself: [`next_loss`](crate::Engine::next_loss) says so.
    pub fn end_shares(&self, id: &HostNetwork) {
        self.pull(|Inside { world, .. }| {
            if let Some(network) = world.networks.get_mut(id) {
                network.shares.clear();
                world.changed.insert(Thing::Network(id.clone()));
            }
        });
        // The receiver lives as long as this host does.
        let _ = self.lost.send(Loss::Server(id.clone()));
    }

    /// Whether the guest ignores the power button.
    pub fn deaf(&self, id: &MachineId, deaf: bool) {
        self.inside().levers.nature_mut(id).deaf = deaf;
    }

    /// Whether the guest's agent never opens its port. The address is leased all the same.
    pub fn silent(&self, id: &MachineId, silent: bool) {
        self.inside().levers.nature_mut(id).silent = silent;
    }

    /// Whether the machine is [stalled](crate::seen::Power::Stalled) while it is on.
    pub fn stall(&self, id: &MachineId, stalled: bool) {
        self.inside().levers.nature_mut(id).stalled = stalled;
    }

    /// What the guest's agent calls the operating system; without it, it does not say.
    pub fn says_os(&self, id: &MachineId, os: Option<&str>) {
        self.inside().levers.nature_mut(id).os = os.map(str::to_owned);
    }

    /// The guest starts again by itself: nothing is switched off and on, and its seed stays the same.
    pub fn guest_reboots(&self, id: &MachineId) {
        self.pull(|inside| inside.world.reboot_guest(id));
    }

    /// What the startup script prints, and what it ends with; without a status, it runs on. Untold, it prints
    /// nothing and ends with 0.
    pub fn script_says(&self, id: &MachineId, output: &str, exit_status: Option<u8>) {
        let mut inside = self.inside();
        let nature = inside.levers.nature_mut(id);
        (nature.script_output, nature.script_status) = (output.to_owned(), exit_status);
    }

    /// What the machine was last started with, since this host was opened.
    pub fn booted(&self, id: &MachineId) -> Option<BootSpec> {
        self.inside().world.machines.get(id)?.last_start.clone()
    }

    /// The calls that were made, each method with its number, in the order of the trait.
    pub fn calls(&self) -> Vec<(Call, u64)> {
        self.inside().levers.made.iter().map(|(call, number)| (*call, *number)).collect()
    }

    fn pull(&self, change: impl FnOnce(&mut Inside)) {
        let mut inside = self.inside();
        change(&mut inside);
        // What cannot be written now is written by the next call, which tells why it cannot.
        let _ = inside.keep();
    }
}

impl Levers {
    pub fn nature(&self, id: &MachineId) -> Nature {
        self.natures.get(id).cloned().unwrap_or_default()
    }

    pub fn before(&mut self, call: Call) -> Result<()> {
        *self.made.entry(call).or_default() += 1;
        match self.always {
            Some((broken, Fault::Passing)) if broken == call => return Err(passing(call, "before")),
            Some((broken, Fault::Final)) if broken == call => {
                return Err(Error::lasting(format!("call {call}"), "a test lets it fail"));
            }
            _ => {}
        }
        self.burn(Fuse::Before(call), || passing(call, "before"))
    }

    pub fn after(&mut self, call: Call) -> Result<()> {
        self.burn(Fuse::After(call), || passing(call, "after"))
    }

    fn burn(&mut self, fuse: Fuse, error: impl FnOnce() -> Error) -> Result<()> {
        match self.fuse.take_if(|left| *left == fuse) {
            Some(_) => Err(error()),
            None => Ok(()),
        }
    }

    fn nature_mut(&mut self, id: &MachineId) -> &mut Nature {
        self.natures.entry(id.clone()).or_default()
    }
}

fn passing(call: Call, when: &str) -> Error {
    Error::passing(format!("call {call}"), format!("a test lets it fail {when} its effect"))
}
