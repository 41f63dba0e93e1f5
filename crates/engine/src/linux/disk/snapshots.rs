//! Snapshots inside a disk's own file, taken live through QEMU or offline by `qemu-img`.
//!
//! **Invariants**: a snapshot's name in the file is its id, and no two have the same: the table is looked at
//! before anything is done. Space that was lost in the file, because a QEMU or a change was killed, is given
//! back before the next change.

use std::fs;
use std::io;
use std::time::Duration;

use deckle_api::ids::{MachineId, SnapshotId};

use super::qemu_img::{self, Bounds};
use super::restore::{self, Restore};
use super::{Disks, header, snapshot_table, unclosed};
use crate::error::{Error, Result};
use crate::linux::folder::{Folder, apart, unless_absent};
use crate::linux::vm::running::Running;
use crate::seen::SnapshotSeen;

/// How long one change of a disk's snapshots may take when no QEMU has it open.
const CHANGE_MAX: Duration = Duration::from_secs(600);
/// Reading all of a large disk's tables.
const MEND_MAX: Duration = Duration::from_secs(3600);

/// A disk that is there, and who runs on it.
pub(super) struct Found {
    pub folder: Folder,
    pub uid: u32,
    pub size_bytes: u64,
    pub running: Option<Running>,
}

impl Disks {
    /// The snapshots of a machine's disk, the oldest first.
    pub async fn look_snapshots(&self, machine: &MachineId) -> Result<Vec<SnapshotSeen>> {
        let file = Folder::of(&self.paths, machine).disk();
        let read = apart(move || unless_absent(snapshot_table::read(&file))).await;
        let told = |error| Error::passing(format!("read the snapshots of {machine}"), error);
        Ok(read.map_err(told)?.unwrap_or_default())
    }

    /// Takes a snapshot of a machine's disk, unless it has that one.
    pub async fn ensure_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()> {
        let act = format!("take the snapshot {snapshot} of {machine}");
        let found = self.find(machine, &act).await?;
        let found = found.ok_or_else(|| Error::lasting(act.clone(), "its disk is missing"))?;
        restore::require_none(&found.folder, &act)?;
        found.mend(&act).await?;
        if self.has(machine, snapshot).await? {
            return Ok(());
        }
        self.require_floor(&act)?;
        found.change(Change::Take, snapshot, &act).await?;
        match self.has(machine, snapshot).await? {
            true => Ok(()),
            false => Err(Error::passing(act, "it is not in the disk afterwards")),
        }
    }

    /// Removes a snapshot of a machine's disk, if it has that one.
    pub async fn remove_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()> {
        let act = format!("remove the snapshot {snapshot} of {machine}");
        let Some(found) = self.find(machine, &act).await? else { return Ok(()) };
        let restore = Restore::read(&found.folder).map_err(|error| Error::passing(act.clone(), error))?;
        if restore.is_some_and(|restore| restore.snapshot == *snapshot) {
            return Err(Error::passing(act, "the disk is being restored to it"));
        }
        found.mend(&act).await?;
        if !self.has(machine, snapshot).await? {
            return Ok(());
        }
        found.change(Change::Remove, snapshot, &act).await
    }

    /// A machine's disk; none where there is none.
    pub(super) async fn find(&self, machine: &MachineId, act: &str) -> Result<Option<Found>> {
        let passing = |error: io::Error| Error::passing(act.to_owned(), error);
        let folder = Folder::of(&self.paths, machine);
        let Some((header, _)) = unless_absent(header::read(&folder.disk())).map_err(passing)? else {
            return Ok(None);
        };
        let header = header.ok_or_else(|| Error::lasting(act, "its disk is not qcow2 any more"))?;
        let uid = folder.owner().map_err(passing)?;
        let uid = uid.ok_or_else(|| Error::lasting(act, "its disk's folder has no user"))?;
        let running = Running::find_begun(&folder).await.map_err(passing)?;
        Ok(Some(Found { folder, uid, size_bytes: header.size_bytes, running }))
    }

    pub(super) async fn has(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<bool> {
        Ok(self.look_snapshots(machine).await?.iter().any(|seen| seen.id == *snapshot))
    }
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is taken of what the disk is now.
    Take,
    /// It goes.
    Remove,
    /// The disk becomes what it was.
    Apply,
}

impl Change {
    fn option(self) -> &'static str {
        match self {
            Self::Take => "-c",
            Self::Remove => "-d",
            Self::Apply => "-a",
        }
    }
}

impl Found {
    /// Changes the disk's snapshots.
    pub async fn change(&self, change: Change, snapshot: &SnapshotId, act: &str) -> Result<()> {
        let folder = &self.folder;
        let Some(running) = &self.running else {
            return self.change_offline(change, snapshot, act).await;
        };
        if change == Change::Take {
            let paused = running.take_snapshot(folder, snapshot).await;
            let paused_ms = paused.map_err(|error| Error::passing(act, error))?.as_millis();
            tracing::info!(%snapshot, paused_ms, "a snapshot of a running machine is taken");
            return Ok(());
        }
        running.remove_snapshot(folder, snapshot).await.map_err(|error| Error::passing(act, error))
    }

    async fn change_offline(&self, change: Change, snapshot: &SnapshotId, act: &str) -> Result<()> {
        const BY: &str = "qemu-img";
        let passing = |error: io::Error| Error::passing(act, error);
        let (folder, disk) = (&self.folder, self.folder.disk());
        unclosed::open(folder, BY).map_err(passing)?;
        self.tool(CHANGE_MAX)
            .args(["snapshot", "-q", change.option(), snapshot.as_str()])
            .arg(qemu_img::disk(&disk, None, self.size_bytes))
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        // What is told to be done must outlive the host.
        apart(move || fs::File::open(disk)?.sync_all()).await.map_err(passing)?;
        unclosed::close(folder, BY).map_err(passing)
    }

    /// Gives space back that is lost since somebody was killed. Only where no QEMU has the disk open.
    pub async fn mend(&self, act: &str) -> Result<()> {
        let passing = |error: io::Error| Error::passing(act, error);
        if self.running.is_some() || !unclosed::is_left(&self.folder).map_err(passing)? {
            return Ok(());
        }
        self.tool(MEND_MAX)
            .args(["check", "-q", "-r", "leaks"])
            .arg(qemu_img::disk(&self.folder.disk(), None, self.size_bytes))
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        unclosed::mended(&self.folder).map_err(passing)
    }

    fn tool(&self, time: Duration) -> crate::linux::command::Run {
        qemu_img::confined(&Bounds { uid: self.uid, file_bytes_max: u64::MAX >> 1, time })
    }
}
