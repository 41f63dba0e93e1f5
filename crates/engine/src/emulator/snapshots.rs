//! Snapshots of pretended disks, and templates made of them.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SnapshotId};

use super::world::{Disk, Snapshot, Thing, World};
use crate::error::{Error, Result};
use crate::seen::{SnapshotSeen, TemplateSeen};
use crate::specs::{CaptureSpec, RestoreSpec};

impl World {
    pub fn look_snapshots(&self, machine: &MachineId) -> Vec<SnapshotSeen> {
        let snapshots = self.disk(machine).map(|disk| disk.snapshots.as_slice()).unwrap_or_default();
        let seen = |Snapshot { id, size_bytes, taken, ran: _ }: &Snapshot| SnapshotSeen {
            id: id.clone(),
            size_bytes: *size_bytes,
            taken: *taken,
        };
        snapshots.iter().map(seen).collect()
    }

    pub fn ensure_snapshot(&mut self, machine: &MachineId, id: &SnapshotId, now: Timestamp) -> Result<()> {
        let act = || format!("take the snapshot {id} of {machine}");
        let disk = self.disk(machine).ok_or_else(|| Error::lasting(act(), "it has no disk"))?;
        if disk.has(id) {
            return Ok(());
        }
        let snapshot =
            Snapshot { id: id.clone(), size_bytes: disk.size_bytes, taken: now, ran: disk.ran.clone() };
        self.change_disk(machine, |disk| disk.snapshots.push(snapshot));
        Ok(())
    }

    pub fn remove_snapshot(&mut self, machine: &MachineId, id: &SnapshotId) {
        if self.disk(machine).is_some_and(|disk| disk.has(id)) {
            self.change_disk(machine, |disk| disk.snapshots.retain(|snapshot| snapshot.id != *id));
        }
    }

    pub fn restore_snapshot(&mut self, spec: &RestoreSpec) -> Result<()> {
        let RestoreSpec { machine, snapshot: id, generation } = spec;
        let refused = |why: &str| Err(Error::lasting(format!("restore {machine} to {id}"), why));
        let Some(disk) = self.disk(machine) else { return refused("it has no disk") };
        if disk.generation >= *generation {
            return Ok(());
        }
        if self.is_on(machine) {
            return refused("the machine is on");
        }
        let Some(snapshot) = disk.snapshots.iter().find(|snapshot| snapshot.id == *id) else {
            return refused("it has no such snapshot");
        };
        let ran = snapshot.ran.clone();
        self.change_disk(machine, |disk| {
            disk.ran = ran;
            disk.generation = *generation;
        });
        Ok(())
    }

    pub fn ensure_template_from(&mut self, spec: &CaptureSpec) -> Result<TemplateSeen> {
        let CaptureSpec { template: id, machine } = spec;
        if let Some(seen) = self.templates.get(id) {
            return Ok(*seen);
        }
        let act = || format!("make the template {id} of {machine}");
        if self.is_on(machine) {
            return Err(Error::lasting(act(), "the machine is on"));
        }
        let disk = self.disk(machine).ok_or_else(|| Error::lasting(act(), "it has no disk"))?;
        let seen = TemplateSeen { size_bytes: disk.size_bytes, used_bytes: disk.used_bytes };
        self.templates.insert(id.clone(), seen);
        self.changed.insert(Thing::Template(id.clone()));
        Ok(seen)
    }

    fn disk(&self, machine: &MachineId) -> Option<&Disk> {
        self.machines.get(machine)?.disk.as_ref()
    }

    fn is_on(&self, machine: &MachineId) -> bool {
        self.machines.get(machine).is_some_and(|machine| machine.boot.is_some())
    }

    fn change_disk(&mut self, machine: &MachineId, change: impl FnOnce(&mut Disk)) {
        if let Some(disk) = &mut self.machine(machine).disk {
            change(disk);
        }
    }
}

impl Disk {
    fn has(&self, id: &SnapshotId) -> bool {
        self.snapshots.iter().any(|snapshot| snapshot.id == *id)
    }
}
