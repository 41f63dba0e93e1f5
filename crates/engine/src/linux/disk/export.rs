//! A machine's disk as a file that needs nothing else: flattened, as it was at one moment.
//!
//! The disk of a machine that is on is copied from a snapshot that is taken for this and removed afterwards:
//! what a snapshot holds does not change, so the guest writes on at its own pace, and a target that is slow or
//! full is no matter of the guest's.
//!
//! **Invariant**: the file is named as whole only if the snapshot is still there after the last byte was read.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use deckle_api::ids::{MachineId, SnapshotId};

use super::qemu_img::{self, Bounds};
use super::snapshots::{Change, Found};
use super::template::{CONVERT_MAX, LOOK_MAX, Measured};
use super::{Disks, free_bytes, header, restore};
use crate::error::{Error, Result};
use crate::linux::folder::{Folder, apart};
use crate::linux::part::{Part, Refusal};
use crate::linux::transfers::{Counter, Note};
use crate::transfers::ExportSpec;

impl Disks {
    /// Copies a machine's disk to a file.
    pub async fn export(&self, machine: &MachineId, spec: &ExportSpec, counter: &Counter) -> Result<()> {
        let act = format!("export the disk of {machine} to {}", spec.file.display());
        let part = Part::of(spec, self.paths.state()).map_err(|refusal| told(&act, refusal))?;
        self.clear_transfer(machine).await?;
        let found = self.find(machine, &act).await?;
        let found = found.ok_or_else(|| Error::lasting(&*act, "its disk is missing"))?;
        restore::require_none(&found.folder, &act)?;
        found.mend(&act).await?;
        let snapshot = match found.running {
            Some(_) => Some(self.choose(machine, &act).await?),
            None => None,
        };
        let note = Note { files: vec![part.path().to_owned()], snapshot };
        note.write(found.folder.path()).map_err(|error| Error::passing(&*act, error))?;
        let copied = self.copy_out(machine, &found, &note, &part, counter, &act).await;
        if let Err(error) = self.clear_transfer(machine).await {
            tracing::warn!(machine.id = %machine, error = error.told(), "the next look clears away after an export");
        }
        copied
    }

    /// Clears away what an export or an import that is not under way any more has left.
    pub async fn clear_transfer(&self, machine: &MachineId) -> Result<()> {
        let folder = Folder::of(&self.paths, machine);
        let failed = |error| Error::passing(format!("clear away after a copy of {machine}"), error);
        let Some(note) = Note::read(folder.path()).map_err(failed)? else { return Ok(()) };
        if let Some(snapshot) = &note.snapshot {
            self.remove_snapshot(machine, snapshot).await?;
        }
        let state = self.paths.state().to_owned();
        apart(move || note.clear(folder.path(), &state)).await.map_err(failed)
    }

    /// The id of a snapshot that the disk does not have.
    async fn choose(&self, machine: &MachineId, act: &str) -> Result<SnapshotId> {
        self.require_floor(act)?;
        let there = self.look_snapshots(machine).await?;
        let mut ids = (0..).map(|number: u64| SnapshotId::mint(RandomState::new().hash_one(number)));
        let free = ids.find(|id| there.iter().all(|seen| seen.id != *id));
        free.ok_or_else(|| Error::passing(act, "no id is free"))
    }

    async fn copy_out(
        &self,
        machine: &MachineId,
        found: &Found,
        note: &Note,
        part: &Part,
        counter: &Counter,
        act: &str,
    ) -> Result<()> {
        if let Some(snapshot) = &note.snapshot {
            found.change(Change::Take, snapshot, act).await?;
        }
        let source = Source::of(found, note.snapshot.as_ref());
        let needed = source.measure(act).await?;
        self.require_room_at(part.path(), needed).map_err(|error| error(act))?;
        let file = part.begin(found.uid).map_err(|error| told(act, error.into()))?;
        counter.expect(needed);
        counter.watch(part.path());
        let to = file.try_clone().map_err(|error| Error::passing(act, error))?;
        source.convert(to, needed, act).await?;
        if let Some(snapshot) = &note.snapshot
            && !self.has(machine, snapshot).await?
        {
            return Err(Error::passing(act, "the moment that was copied went while it was copied"));
        }
        check(part.path(), found.size_bytes, act)?;
        let part = part.clone();
        let published = apart(move || Ok(part.publish(&file))).await;
        published.map_err(|error| Error::passing(act, error))?.map_err(|refusal| told(act, refusal))
    }

    /// Refuses what does not fit where it is to lie; the floor is kept in the state folder's file system.
    fn require_room_at(
        &self,
        file: &Path,
        needed: u64,
    ) -> std::result::Result<(), impl FnOnce(&str) -> Error> {
        let folder = file.parent().unwrap_or(file);
        let device = |path: &Path| fs::metadata(path).map(|seen| seen.dev()).ok();
        let kept = if device(folder) == device(self.paths.state()) { self.floor_bytes } else { 0 };
        let free = free_bytes(folder).map_or(u64::MAX, |free| free.saturating_sub(kept));
        let why =
            format!("it may take {needed} bytes and {free} are free in {}: make room", folder.display());
        if needed > free { Err(move |act: &str| Error::lasting(act, why)) } else { Ok(()) }
    }
}

/// What is read: a disk's own bytes, or those that a snapshot holds. The guest may have written anything, so a
/// program of its own user reads it.
struct Source {
    uid: u32,
    disk: String,
    moment: Vec<String>,
}

impl Source {
    fn of(found: &Found, snapshot: Option<&SnapshotId>) -> Self {
        let template = found.folder.template();
        let disk = qemu_img::disk(&found.folder.disk(), Some(&template), found.size_bytes);
        // QEMU has the disk open, and goes on to write what no snapshot holds.
        let moment = snapshot.map(|id| vec!["-U".to_owned(), "-l".to_owned(), format!("snapshot.name={id}")]);
        Self { uid: found.uid, disk, moment: moment.unwrap_or_default() }
    }

    /// The bytes that the file takes at most.
    async fn measure(&self, act: &str) -> Result<u64> {
        let measured = qemu_img::confined(&Bounds { uid: self.uid, file_bytes_max: 0, time: LOOK_MAX })
            .args(["measure", "--output=json", "-O", "qcow2"])
            .args(&self.moment)
            .arg(&self.disk)
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        Measured::required(&measured).map_err(|error| Error::passing(act, error))
    }

    /// Writes the file that is open: the program could not reach it by its name.
    async fn convert(&self, to: File, needed: u64, act: &str) -> Result<()> {
        const SLACK: u64 = 64 << 20;
        const STANDARD_INPUT: &str = "file:/proc/self/fd/0";
        let file_bytes_max = needed.saturating_add(SLACK);
        qemu_img::confined(&Bounds { uid: self.uid, file_bytes_max, time: CONVERT_MAX })
            .args(["convert", "-O", "qcow2", "-o", "compat=1.1"])
            .args(&self.moment)
            .args([self.disk.as_str(), STANDARD_INPUT])
            .with(|command| {
                command.stdin(to);
            })
            .output()
            .await
            .map(drop)
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))
    }
}

/// A file that is smaller than its disk has lost the disk's end, and nobody would have said so.
fn check(file: &Path, size_bytes: u64, act: &str) -> Result<()> {
    let (header, _) = header::read(file).map_err(|error| Error::passing(act, error))?;
    match header {
        Some(header) if header.size_bytes == size_bytes && header.backing_file.is_none() => Ok(()),
        header => Err(Error::passing(act, format!("it is not whole: {header:?}"))),
    }
}

fn told(act: &str, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Io(error) if error.kind() != std::io::ErrorKind::StorageFull => Error::passing(act, error),
        refusal => Error::lasting(act, refusal),
    }
}
