//! What is kept of a GPU that was taken from the host: who has it, which drivers had it, how it fared.
//!
//! **Invariant**: a note is written before the first change that it tells of, so that a crash leaves a
//! note without a change, never a change without a note.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deckle_api::ids::MachineId;
use serde::{Deserialize, Serialize};

use crate::linux::disk::absent_ok;
use crate::linux::folder::{unless_absent, write_whole};
use crate::pci::PciAddress;

/// The note of one GPU.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Note {
    /// The machine that it was given to, until it is back.
    pub machine: Option<MachineId>,
    /// Its functions, each with the driver that had it before.
    pub formerly: Vec<(PciAddress, Option<String>)>,
    /// Why it did not come back sound.
    pub failure: Option<String>,
}

/// The folder of all notes.
#[derive(Debug, Clone)]
pub struct Notes(PathBuf);

impl Notes {
    /// The notes in a folder, which is made with the first one.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The note of a GPU; one that was never taken has an empty one.
    pub fn read(&self, gpu: &PciAddress) -> io::Result<Note> {
        let bytes = unless_absent(fs::read(self.file(gpu)))?;
        bytes.map_or_else(|| Ok(Note::default()), |bytes| Ok(serde_json::from_slice(&bytes)?))
    }

    /// Writes a note, durably.
    pub fn write(&self, gpu: &PciAddress, note: &Note) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        write_whole(&self.file(gpu), &serde_json::to_vec(note)?, 0o600, None)
    }

    /// Removes a note: nothing of the GPU is kept any more.
    pub fn remove(&self, gpu: &PciAddress) -> io::Result<()> {
        absent_ok(fs::remove_file(self.file(gpu)))
    }

    /// Every GPU that has a note.
    pub fn all(&self) -> io::Result<Vec<(PciAddress, Note)>> {
        let Some(entries) = unless_absent(fs::read_dir(&self.0))? else { return Ok(Vec::new()) };
        let mut notes = Vec::new();
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "note")
                && let Some(gpu) = address(&file)
            {
                let note = self.read(&gpu)?;
                notes.push((gpu, note));
            }
        }
        notes.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(notes)
    }

    fn file(&self, gpu: &PciAddress) -> PathBuf {
        // Written whole by way of another ending, which takes the place of the last one.
        self.0.join(format!("{gpu}.note"))
    }
}

fn address(file: &Path) -> Option<PciAddress> {
    file.file_stem()?.to_str()?.parse().ok()
}
