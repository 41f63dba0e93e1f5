//! A machine's QEMU, found by looking: a note of its start, and the live process that it tells of.
//!
//! **Invariant**: the note is a hint, the process is the truth. A note without a live process means *off*;
//! a process without a right note is found by its user and its command line.

use std::fs;
use std::io;
use std::time::Duration;

use deckle_api::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::QEMU;
use super::lines::Broken;
use super::qmp::{ANSWER_MAX, Qmp, RunState};
use crate::linux::disk::{absent_ok, unclosed};
use crate::linux::folder::{Folder, unless_absent};
use crate::linux::process::{Process, host_boot};
use crate::linux::vm::arguments::gpus;
use crate::pci::PciAddress;

/// The note of a machine's last start, written before QEMU is, and again when its number is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFile {
    /// The number that the boot was given.
    pub boot: u64,
    /// When it was started.
    pub since: Timestamp,
    /// The host's own boot: process numbers mean nothing in another one.
    pub host_boot: String,
    /// The process; none between the two writes.
    pub process: Option<Process>,
    /// The GPUs that it was started with.
    #[serde(default)]
    pub gpus: Vec<PciAddress>,
}

impl RunFile {
    /// The note of a start that is about to be made.
    pub fn new(boot: u64) -> io::Result<Self> {
        Ok(Self {
            boot,
            since: Timestamp::of_system_clock(),
            host_boot: host_boot()?,
            process: None,
            gpus: Vec::new(),
        })
    }

    /// The note in a folder; one that makes no sense is none.
    pub fn read(folder: &Folder) -> io::Result<Option<Self>> {
        let bytes = unless_absent(fs::read(folder.run_file()))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes the note: root's alone.
    pub fn write(&self, folder: &Folder) -> io::Result<()> {
        folder.write(&folder.run_file(), &serde_json::to_vec(self)?, 0)
    }
}

/// A QEMU that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The number that the boot was given.
    pub boot: u64,
    /// When it was started.
    pub since: Timestamp,
    /// The process.
    pub process: Process,
    /// The GPUs that it has.
    pub gpus: Vec<PciAddress>,
}

impl Running {
    /// The QEMU of a machine, by its note.
    pub fn find(folder: &Folder) -> io::Result<Option<Self>> {
        let Some(note) = RunFile::read(folder)? else { return Ok(None) };
        match note.process {
            // Not by its command line: a process that is ending has lost that before it lets go of its disk.
            Some(process) => {
                let lives = note.host_boot == host_boot()? && process.lives()?;
                Ok(lives.then_some(Self { boot: note.boot, since: note.since, process, gpus: note.gpus }))
            }
            None => Self::search(folder),
        }
    }

    /// The same, and by its command line where the note tells of none: dearer, and sure.
    pub fn find_anyhow(folder: &Folder) -> io::Result<Option<Self>> {
        Self::find(folder)?.map_or_else(|| Self::search(folder), |found| Ok(Some(found)))
    }

    /// The same, but for a QEMU whose guest has not begun: a crash cut its start short, and it is ended.
    pub async fn find_begun(folder: &Folder) -> io::Result<Option<Self>> {
        let Some(running) = Self::find_anyhow(folder)? else { return Ok(None) };
        if running.has_begun(folder).await {
            return Ok(Some(running));
        }
        running.end(folder).await?;
        Ok(None)
    }

    /// Whether its guest has begun; one that does not say so is taken to have.
    async fn has_begun(&self, folder: &Folder) -> bool {
        let state = async { Qmp::open(&folder.qmp(), ANSWER_MAX).await?.run_state().await };
        !matches!(state.await, Ok(RunState::Prelaunch))
    }

    fn search(folder: &Folder) -> io::Result<Option<Self>> {
        let Some(uid) = folder.owner()? else { return Ok(None) };
        let mut found = None;
        for process in Process::all(Some(uid), &mark(folder))? {
            // The machine's user also runs `qemu-img` on its disk.
            let line = process.command_line()?;
            if line.split('\0').next().is_some_and(|program| program.ends_with(QEMU)) {
                found = Some(process);
            }
        }
        let Some(process) = found else { return Ok(None) };
        let note = RunFile::read(folder)?;
        let (boot, since) = note.map_or((0, Timestamp(0)), |note| (note.boot, note.since));
        let gpus = gpus(&process.command_line()?);
        Ok(Some(Self { boot, since, process, gpus }))
    }

    /// Makes the disk larger under the guest.
    pub async fn grow_disk(&self, folder: &Folder, size_bytes: u64) -> Result<(), Broken> {
        let mut qmp = Qmp::open(&folder.qmp(), ANSWER_MAX).await?;
        qmp.ask("block_resize", json!({ "node-name": "disk", "size": size_bytes })).await?;
        Ok(())
    }

    /// Ends it: by a word, so that QEMU closes its files, and by force where it does not hear.
    pub async fn end(&self, folder: &Folder) -> io::Result<()> {
        const OBEYS_MAX: Duration = Duration::from_secs(5);
        const DIES_MAX: Duration = Duration::from_secs(20);
        if let Ok(mut qmp) = Qmp::open(&folder.qmp(), ANSWER_MAX).await {
            // QEMU may be gone before its answer is.
            let _ = qmp.ask("quit", json!({})).await;
            if self.process.wait(OBEYS_MAX).await.is_ok() {
                unclosed::close(folder, &writer(self.boot))?;
                return clear(folder);
            }
        }
        self.process.kill(DIES_MAX).await?;
        clear(folder)
    }
}

/// Removes what only a live QEMU needs.
pub fn clear(folder: &Folder) -> io::Result<()> {
    for file in [folder.qmp(), folder.agent(), folder.held(), folder.run_file()] {
        absent_ok(fs::remove_file(file))?;
    }
    Ok(())
}

/// How a machine's QEMU is named on its disk.
pub fn writer(boot: u64) -> String {
    format!("boot {boot}")
}

/// What stands in the command line of a machine's QEMU, and in no other's.
pub fn mark(folder: &Folder) -> String {
    folder.disk().display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::{Paths, Tag};
    use deckle_api::ids::MachineId;

    fn folder() -> (tempfile::TempDir, Folder) {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(&Paths::new(Tag::mint(1), state.path().into()), &MachineId::mint(1));
        fs::create_dir_all(folder.path()).unwrap();
        (state, folder)
    }

    #[test]
    fn a_note_comes_back_as_it_was_written() {
        let (_state, folder) = folder();
        let process = Some(Process { pid: 7, started: 9 });
        let note = RunFile { process, since: Timestamp(1_000), ..RunFile::new(3).unwrap() };
        note.write(&folder).unwrap();
        assert_eq!(RunFile::read(&folder).unwrap(), Some(note));
    }

    #[test]
    fn a_note_that_cannot_be_read_does_not_mean_off() {
        let (_state, folder) = folder();
        fs::create_dir(folder.run_file()).unwrap();
        assert!(Running::find(&folder).is_err() && Running::find_anyhow(&folder).is_err());
    }

    #[test]
    fn a_note_of_a_process_that_is_gone_means_off() {
        let (_state, folder) = folder();
        assert_eq!(Running::find(&folder).unwrap(), None);
        let alive = Process::of_pid(std::process::id()).unwrap().unwrap();
        let note =
            |process, host_boot| RunFile { process: Some(process), host_boot, ..RunFile::new(3).unwrap() };
        note(alive, host_boot().unwrap()).write(&folder).unwrap();
        assert_eq!(Running::find(&folder).unwrap().unwrap().boot, 3);
        note(alive, "another boot".into()).write(&folder).unwrap();
        assert_eq!(Running::find(&folder).unwrap(), None);
        note(Process { started: alive.started + 1, ..alive }, host_boot().unwrap()).write(&folder).unwrap();
        assert_eq!(Running::find(&folder).unwrap(), None);
        assert_eq!(Running::find_anyhow(&folder).unwrap(), None);
        fs::write(folder.run_file(), "torn").unwrap();
        assert_eq!(Running::find(&folder).unwrap(), None);
    }
}
