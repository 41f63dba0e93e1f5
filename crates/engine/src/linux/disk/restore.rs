//! A disk's way back to a snapshot.
//!
//! ```text
//!   whole ── note written ──▶ restoring ── snapshot applied, size given back ──▶ generation written ── note gone ──▶ whole
//! ```
//!
//! **Invariants**: the note is durable before the disk is touched, and the generation is written only when the
//! disk is whole again. While the note is there the machine does not start. The note keeps the disk's size:
//! applying a snapshot sets it back to what it was, and the guest's disk never shrinks.

use std::fs;
use std::io;

use deckle_api::ids::SnapshotId;
use serde::{Deserialize, Serialize};

use super::snapshots::{Change, Found};
use super::{Disks, absent_ok, header, overlay, qemu_img};
use crate::error::{Error, Result};
use crate::linux::folder::{Folder, sync_folder, unless_absent};
use crate::specs::RestoreSpec;

/// A restore that is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Where to.
    pub snapshot: SnapshotId,
    /// The number that it was given.
    pub generation: u64,
    /// The size that the disk keeps, in bytes.
    pub size_bytes: u64,
}

impl Restore {
    /// The note beside a disk, unless its restore is finished.
    pub fn read(folder: &Folder) -> io::Result<Option<Self>> {
        let Some(bytes) = unless_absent(fs::read(folder.restore()))? else { return Ok(None) };
        let note: Self = serde_json::from_slice(&bytes)?;
        let finished = generation(folder)?;
        Ok(Some(note).filter(|note| note.generation > finished))
    }

    fn write(&self, folder: &Folder) -> io::Result<()> {
        folder.write(&folder.restore(), &serde_json::to_vec(self)?, 0)
    }

    /// Writes the generation down, and takes the note away.
    fn finish(&self, folder: &Folder) -> io::Result<()> {
        folder.write(&folder.generation(), self.generation.to_string().as_bytes(), 0)?;
        absent_ok(fs::remove_file(folder.restore()))?;
        sync_folder(folder.path())
    }
}

/// The number of the last restore that is finished.
pub fn generation(folder: &Folder) -> io::Result<u64> {
    let Some(text) = unless_absent(fs::read_to_string(folder.generation()))? else { return Ok(0) };
    text.trim().parse().map_err(|wrong| io::Error::new(io::ErrorKind::InvalidData, wrong))
}

/// Refuses an act on a disk that is half restored.
pub fn require_none(folder: &Folder, act: &str) -> Result<()> {
    match Restore::read(folder) {
        Ok(None) => Ok(()),
        Ok(Some(restore)) => {
            let why = format!("its restore to {} is not finished: restore it again", restore.snapshot);
            Err(Error::passing(act, why))
        }
        Err(error) => Err(Error::passing(act, error)),
    }
}

impl Disks {
    /// Takes a machine's disk back to a snapshot, and finishes what a crash left of that.
    pub async fn restore_snapshot(&self, spec: &RestoreSpec) -> Result<()> {
        let RestoreSpec { machine, snapshot, generation: number } = spec;
        let act = format!("restore {machine} to {snapshot}");
        let passing = |error: io::Error| Error::passing(act.clone(), error);
        let found = self.find(machine, &act).await?;
        let found = found.ok_or_else(|| Error::lasting(act.clone(), "its disk is missing"))?;
        let folder = &found.folder;
        if generation(folder).map_err(passing)? >= *number {
            return Ok(());
        }
        if found.running.is_some() {
            return Err(Error::passing(act, "its power is on"));
        }
        let begun = Restore::read(folder).map_err(passing)?;
        if !self.has(machine, snapshot).await? {
            return Err(Error::lasting(act, "its disk has no such snapshot"));
        }
        let size_bytes = found.size_bytes.max(begun.map_or(0, |begun| begun.size_bytes));
        let restore = Restore { snapshot: snapshot.clone(), generation: *number, size_bytes };
        restore.write(folder).map_err(passing)?;
        found.mend(&act).await?;
        found.change(Change::Apply, snapshot, &act).await?;
        give_size_back(&found, size_bytes, &act).await?;
        restore.finish(folder).map_err(passing)
    }
}

/// Makes a disk as large again as it was before its snapshot was applied.
async fn give_size_back(found: &Found, size_bytes: u64, act: &str) -> Result<()> {
    let disk = found.folder.disk();
    let there = || match header::read(&disk) {
        Ok((Some(header), _)) => Ok(header.size_bytes),
        Ok((None, _)) => Err(Error::lasting(act, "the disk is not qcow2 any more")),
        Err(error) => Err(Error::passing(act, error)),
    };
    if there()? < size_bytes {
        let resized = overlay::resize(&found.folder, found.uid, size_bytes).await;
        resized.map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        fs::File::open(&disk).and_then(|file| file.sync_all()).map_err(|error| Error::passing(act, error))?;
    }
    match there()? {
        size if size == size_bytes => Ok(()),
        size => Err(Error::passing(act, format!("the disk has {size} bytes instead of {size_bytes}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::{Paths, Tag};
    use deckle_api::ids::MachineId;

    #[test]
    fn a_generation_is_counted_from_none_and_a_note_holds_everything_up() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(&Paths::new(Tag::mint(1), state.path().into()), &MachineId::mint(1));
        fs::create_dir_all(folder.path()).unwrap();
        assert_eq!((generation(&folder).unwrap(), Restore::read(&folder).unwrap()), (0, None));
        let restore = Restore { snapshot: "slone".parse().unwrap(), generation: 3, size_bytes: 7 };
        restore.write(&folder).unwrap();
        let refused = require_none(&folder, "start ps1").unwrap_err();
        assert!(refused.told().contains("restore to slone is not finished"), "{}", refused.told());
        assert_eq!(Restore::read(&folder).unwrap(), Some(restore.clone()));
        restore.finish(&folder).unwrap();
        // As a crash would leave it that came before the note was taken away.
        restore.write(&folder).unwrap();
        require_none(&folder, "start ps1").unwrap();
        assert_eq!((generation(&folder).unwrap(), Restore::read(&folder).unwrap()), (3, None));
    }

    #[test]
    fn a_torn_generation_is_an_error_and_not_a_zero() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(&Paths::new(Tag::mint(1), state.path().into()), &MachineId::mint(1));
        fs::create_dir_all(folder.path()).unwrap();
        fs::write(folder.generation(), "").unwrap();
        assert!(generation(&folder).is_err());
    }
}
