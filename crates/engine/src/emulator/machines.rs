//! Machines: their disks and their power.

use std::collections::BTreeSet;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;

use super::console::Console;
use super::guest::{Boot, Nature, Pace};
use super::world::{Disk, Machine, Thing, World};
use crate::error::{Error, Result};
use crate::script_run::OUTPUT_BYTES_MAX;
use crate::seen::{Capacity, DiskSeen, MachineSeen, Power, ScriptRunSeen};
use crate::specs::{BootSpec, DiskSpec, HostNetwork};

/// What a new disk takes of its host, in bytes: it is thin.
const NEW_DISK_BYTES: u64 = 256 << 10;
/// What a disk takes after a boot, in bytes, if it is that large.
const BOOTED_DISK_BYTES: u64 = 512 << 20;
/// Where the first machine with a desktop would listen.
const FIRST_DESKTOP_PORT: u16 = 5900;

impl World {
    pub fn look_machine(
        &self,
        id: &MachineId,
        network: &HostNetwork,
        (now, pace, nature): (Timestamp, Pace, &Nature),
    ) -> MachineSeen {
        let machine = self.machines.get(id);
        let boot = machine.and_then(|machine| machine.boot.as_ref());
        let disk = machine.and_then(|machine| machine.disk.as_ref());
        MachineSeen {
            disk: disk.map(disk_seen),
            nic: self.nic(id, network).is_some_and(|nic| !nic.unguarded),
            port: self.nic(id, network).is_some(),
            public_ip: self.public_ip(id, network),
            power: boot.map_or(Power::Off, |boot| boot.power(now, nature)),
            gpus: boot.map(|boot| boot.gpus.clone()).unwrap_or_default(),
            guest: boot.map(|boot| boot.guest(now, pace, nature)).unwrap_or_default(),
            desktop: boot.and_then(|boot| boot.desktop(now, nature)),
        }
    }

    pub fn ensure_disk(&mut self, spec: &DiskSpec) -> Result<()> {
        let DiskSpec { machine: id, template, size_bytes } = spec;
        let act = || format!("make the disk of {id}, {size_bytes} bytes on {template}");
        let there = self.machines.get(id).and_then(|machine| machine.disk.as_ref());
        let there_bytes = there.map(|disk| disk.size_bytes);
        if there_bytes.is_none() {
            let Some(parent) = self.templates.get(template) else {
                return Err(Error::lasting(act(), "the template is not there"));
            };
            if *size_bytes < parent.size_bytes {
                let why = format!("the template needs {} bytes", parent.size_bytes);
                return Err(Error::lasting(act(), why));
            }
        }
        let more = size_bytes.saturating_sub(there_bytes.unwrap_or(0));
        if more == 0 {
            return Ok(());
        }
        if self.capacity_seen().is_some_and(|capacity| more > capacity.disk_free_bytes) {
            return Err(Error::lasting(act(), "no space left"));
        }
        let machine = self.machine(id);
        match &mut machine.disk {
            Some(disk) => disk.size_bytes = *size_bytes,
            none => {
                let (template, ran) = (template.clone(), Default::default());
                let used_bytes = NEW_DISK_BYTES.min(*size_bytes);
                let (size_bytes, snapshots) = (*size_bytes, Vec::new());
                *none = Some(Disk { template, size_bytes, used_bytes, ran, generation: 0, snapshots });
            }
        }
        self.taken.disk_bytes += more;
        Ok(())
    }

    pub fn remove_disk(&mut self, id: &MachineId) -> Result<()> {
        let Some(machine) = self.machines.get(id) else { return Ok(()) };
        if machine.boot.is_some() {
            return Err(Error::lasting(format!("remove the disk of {id}"), "the machine is on"));
        }
        self.lose_disk(id);
        self.machines.remove(id);
        Ok(())
    }

    /// The disk is gone, and all else of the machine stays: what it was.
    pub fn lose_disk(&mut self, id: &MachineId) -> Option<Disk> {
        self.machines.get(id)?.disk.as_ref()?;
        let disk = self.machine(id).disk.take()?;
        self.taken.disk_bytes -= disk.size_bytes;
        Some(disk)
    }

    pub fn put_back_disk(&mut self, id: &MachineId, disk: Disk) {
        self.taken.disk_bytes += disk.size_bytes;
        self.machine(id).disk = Some(disk);
    }

    pub fn power_on(&mut self, spec: &BootSpec, now: Timestamp) -> Result<()> {
        let BootSpec { machine: id, boot: number, vcpus, ram_bytes, gpus, nic, seed, desktop } = spec;
        let refused = |why: &str| Err(Error::lasting(format!("start {id}"), why));
        let there = self.machines.get(id);
        if there.is_some_and(|machine| machine.boot.is_some()) {
            return Ok(());
        }
        if there.is_none_or(|machine| machine.disk.is_none()) {
            return refused("it has no disk");
        }
        if desktop.as_ref().is_some_and(|desktop| !desktop.is_guarded()) {
            return refused("its desktop's password is none");
        }
        let desktop = desktop.as_ref().map(|_| self.free_desktop());
        if !self.networks.contains_key(&nic.network) {
            return refused("its network is not there");
        }
        let plugged = self.nic(id, &nic.network);
        if !plugged.is_some_and(|plugged| plugged.mac == nic.mac && plugged.ip == nic.ip) {
            return refused("it is not plugged in, or with other addresses");
        }
        if let Some(capacity) = self.capacity
            && !self.fits(&capacity, *vcpus, *ram_bytes)
        {
            return refused("no memory or no processors left");
        }
        if let Some(why) = gpus.iter().find_map(|gpu| self.gpu_refused(id, gpu)) {
            return refused(&why);
        }
        let machine = self.machine(id);
        let script = seed.startup_script.as_ref().map(|script| (script.id.clone(), script.once));
        let boot = Boot::new(*number, now, (*vcpus, *ram_bytes), desktop);
        machine.boot = Some(boot.with(gpus, script));
        machine.last_start = Some(spec.clone());
        if let Some(disk) = &mut machine.disk {
            machine.console.boot(spec);
            disk.used_bytes = disk.used_bytes.max(BOOTED_DISK_BYTES.min(disk.size_bytes));
        }
        self.taken.ram_bytes += ram_bytes;
        self.taken.vcpus += vcpus;
        self.run_script(id);
        Ok(())
    }

    /// The guest starts again by itself, with the seed that it has.
    pub fn reboot_guest(&mut self, id: &MachineId) {
        if self.boot(id).is_some() {
            self.machine(id).console.say("emulator: the guest starts again");
            self.run_script(id);
        }
    }

    /// What a guest does at the end of its boot: runs the script of its seed, unless that is to run once only
    /// and has.
    fn run_script(&mut self, id: &MachineId) {
        let machine = self.machine(id);
        let (Some(boot), Some(disk)) = (&machine.boot, &mut machine.disk) else { return };
        let Some((script, once)) = &boot.script else { return };
        if *once && !disk.ran.insert(script.clone()) {
            machine
                .console
                .say("emulator: the startup script ran at an earlier boot and would not run again");
            return;
        }
        machine.console.say(&format!("emulator: the startup script {script} would run here"));
        machine.last_run = Some((script.clone(), boot.number));
    }

    pub fn read_script_run(&self, id: &MachineId, nature: &Nature) -> Option<ScriptRunSeen> {
        let (script, boot) = self.machines.get(id)?.last_run.clone()?;
        let kept = nature.script_output.len().saturating_sub(OUTPUT_BYTES_MAX);
        let kept = (kept..).find(|at| nature.script_output.is_char_boundary(*at))?;
        let output = nature.script_output[kept..].to_owned();
        Some(ScriptRunSeen { script, boot, exit_status: nature.script_status, output })
    }

    pub fn press_power_button(&mut self, id: &MachineId, now: Timestamp, pace: Pace) {
        if let Some(boot) = self.boot(id) {
            boot.heard_button(now, pace);
        }
    }

    pub fn halt(&mut self, id: &MachineId, now: Timestamp) {
        if let Some(boot) = self.boot(id) {
            boot.halt(now);
        }
    }

    pub fn cut_power(&mut self, id: &MachineId) {
        if self.boot(id).is_none() {
            return;
        }
        let machine = self.machine(id);
        machine.console.say("emulator: the power is off");
        if let Some(boot) = machine.boot.take() {
            self.taken.ram_bytes -= boot.ram_bytes;
            self.taken.vcpus -= boot.vcpus;
            self.gpus_returned(&boot.gpus);
        }
    }

    /// The first port that no other machine's desktop has; nothing listens there.
    fn free_desktop(&self) -> u16 {
        let boots = self.machines.values().filter_map(|machine| machine.boot.as_ref());
        let taken: BTreeSet<u16> = boots.filter_map(|boot| boot.desktop).collect();
        (FIRST_DESKTOP_PORT..).find(|port| !taken.contains(port)).unwrap_or(u16::MAX)
    }

    fn fits(&self, capacity: &Capacity, vcpus: u32, ram_bytes: u64) -> bool {
        self.taken.ram_bytes.saturating_add(ram_bytes) <= capacity.ram_bytes
            && self.taken.vcpus.saturating_add(vcpus) <= capacity.vcpus
    }

    /// The machine's boot, to change it.
    fn boot(&mut self, id: &MachineId) -> Option<&mut Boot> {
        self.machines.get(id)?.boot.as_ref()?;
        self.machine(id).boot.as_mut()
    }

    /// The machine, to change it: made when nothing is kept of it.
    pub fn machine(&mut self, id: &MachineId) -> &mut Machine {
        self.changed.insert(Thing::Machine(id.clone()));
        self.machines.entry(id.clone()).or_insert_with(|| Machine {
            id: id.clone(),
            disk: None,
            boot: None,
            console: Console::default(),
            last_run: None,
            last_start: None,
        })
    }
}

fn disk_seen(disk: &Disk) -> DiskSeen {
    let Disk { size_bytes, used_bytes, generation, .. } = *disk;
    DiskSeen { size_bytes, used_bytes, generation }
}
