//! The exports and imports that are under way, and what one that was cut off has left.
//!
//! **Invariants**: before anything is made, a note beside what is exported or imported says what will be. A note
//! that is there while nothing is under way is one of a call that was cut off, and what it names is cleared away
//! by the next look. Nobody else makes files of the names in it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deckle_api::ids::SnapshotId;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::disk::absent_ok;
use super::folder::{apart, unless_absent, write_whole};
use crate::transfers::{Stored, TransferSeen};

/// How long a look waits for the size of a file that grows.
const MEASURED_MAX: Duration = Duration::from_millis(500);

/// What a transfer makes that must not stay.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Note {
    /// Files and folders, none of which is whole under these names.
    pub files: Vec<PathBuf>,
    /// The moment of a disk that is copied.
    pub snapshot: Option<SnapshotId>,
}

impl Note {
    /// The note in a folder.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        let Some(bytes) = unless_absent(fs::read(file(folder)))? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&bytes)?))
    }

    /// Writes it down, durably.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        write_whole(&file(folder), &serde_json::to_vec(self)?, 0o600, None)
    }

    /// Removes what it names, and then the note. The snapshot is gone before. A file outside the state folder that
    /// cannot be removed, on a file system that is read-only now or is gone, is told of once, and stays.
    pub fn clear(&self, folder: &Path, state: &Path) -> io::Result<()> {
        for left in &self.files {
            match remove(left) {
                Err(error) if left.starts_with(state) => return Err(error),
                Err(error) => {
                    tracing::warn!(file = %left.display(), %error, "half a copy stays: remove it by hand");
                }
                Ok(()) => {}
            }
        }
        absent_ok(fs::remove_file(file(folder)))
    }
}

fn remove(left: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(left) {
        Ok(seen) if seen.is_dir() => fs::remove_dir_all(left),
        _ => fs::remove_file(left),
    };
    match removed {
        // A folder on the way to it is gone, or is none any more.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        removed => absent_ok(removed),
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("transfer.json")
}

/// How far one transfer is. Whoever copies asks it whether that is still wanted.
#[derive(Debug, Default)]
pub struct Counter {
    done: AtomicU64,
    total: AtomicU64,
    ended: AtomicBool,
    growing: Mutex<Vec<PathBuf>>,
    grown: AtomicU64,
    /// A look that hangs is not joined by others.
    measuring: AtomicBool,
}

impl Counter {
    /// Says how much there is to copy, in bytes.
    pub fn expect(&self, total_bytes: u64) {
        self.total.store(total_bytes, Ordering::Relaxed);
    }

    /// Says how much is copied, in bytes.
    pub fn reach(&self, done_bytes: u64) {
        self.done.store(done_bytes, Ordering::Relaxed);
    }

    /// Names a file that another program writes: what it takes on the host is copied.
    pub fn watch(&self, file: &Path) {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner).push(file.to_owned());
    }

    /// Refuses to go on for somebody who has stopped waiting.
    pub fn require_wanted(&self) -> io::Result<()> {
        match self.ended.load(Ordering::Relaxed) {
            true => Err(io::Error::new(io::ErrorKind::Interrupted, "nobody waits for it any more")),
            false => Ok(()),
        }
    }

    /// What other programs have written: as of the last look, where the files' own file system hangs.
    async fn look(self: Arc<Self>) -> TransferSeen {
        if !self.measuring.swap(true, Ordering::Relaxed) {
            let counter = self.clone();
            let measured = apart(move || {
                counter.measure();
                Ok(())
            });
            let _ = timeout(MEASURED_MAX, measured).await;
        }
        let total_bytes = self.total.load(Ordering::Relaxed);
        let done_bytes = self.done.load(Ordering::Relaxed) + self.grown.load(Ordering::Relaxed);
        TransferSeen { done_bytes: done_bytes.min(total_bytes), total_bytes }
    }

    fn measure(&self) {
        let growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let grown = growing.iter().filter_map(|file| fs::metadata(file).ok());
        self.grown.store(grown.map(|seen| seen.blocks() * 512).sum(), Ordering::Relaxed);
        self.measuring.store(false, Ordering::Relaxed);
    }
}

/// All that are under way. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Transfers(Arc<Mutex<HashMap<Stored, Arc<Counter>>>>);

impl Transfers {
    /// Begins one; it is under way until what is returned is dropped.
    pub fn begin(&self, of: &Stored) -> UnderWay {
        let counter = Arc::<Counter>::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(of.clone(), counter.clone());
        UnderWay { all: self.clone(), of: of.clone(), counter }
    }

    /// Whether one is under way.
    pub fn has(&self, of: &Stored) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(of)
    }

    /// How far one is, if it is under way.
    pub async fn look(&self, of: &Stored) -> Option<TransferSeen> {
        let counter = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned();
        Some(counter?.look().await)
    }
}

/// A transfer that is under way.
#[derive(Debug)]
pub struct UnderWay {
    all: Transfers,
    of: Stored,
    /// How far it is.
    pub counter: Arc<Counter>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.counter.ended.store(true, Ordering::Relaxed);
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_note_names_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("work")).unwrap();
        for name in ["work/inside", "part", "kept"] {
            fs::write(at(name), "").unwrap();
        }
        let files = vec![at("work"), at("part"), at("never"), at("kept/never")];
        let note = Note { files, snapshot: Some("slone".parse().unwrap()) };
        note.write(folder.path()).unwrap();
        let read = Note::read(folder.path()).unwrap().unwrap();
        assert_eq!(read, note);
        read.clear(folder.path(), folder.path()).unwrap();
        assert_eq!(Note::read(folder.path()).unwrap(), None);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
    }

    #[test]
    fn a_file_elsewhere_that_stays_holds_up_nothing_and_one_of_the_hosts_does() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody can remove it, whoever they are.
        let stays = PathBuf::from("/proc/self/status");
        let note = Note { files: vec![stays, folder.path().join("part")], snapshot: None };
        fs::write(folder.path().join("part"), "").unwrap();
        note.write(folder.path()).unwrap();
        note.clear(folder.path(), Path::new("/proc")).unwrap_err();
        assert_eq!(Note::read(folder.path()).unwrap().as_ref(), Some(&note));
        note.clear(folder.path(), folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_transfer_is_seen_while_it_is_under_way_and_whoever_copies_learns_its_end() {
        let (all, of) = (Transfers::default(), Stored::Disk("ps1".parse().unwrap()));
        assert_eq!(all.look(&of).await, None);
        let under_way = all.begin(&of);
        let counter = under_way.counter.clone();
        counter.expect(10);
        counter.reach(12);
        assert_eq!(all.look(&of).await, Some(TransferSeen { done_bytes: 10, total_bytes: 10 }));
        counter.require_wanted().unwrap();
        counter.expect(1 << 20);
        let growing = tempfile::NamedTempFile::new().unwrap();
        counter.watch(growing.path());
        fs::write(growing.path(), [1; 8192]).unwrap();
        growing.as_file().sync_all().unwrap();
        let seen = |done_bytes| Some(TransferSeen { done_bytes, total_bytes: 1 << 20 });
        assert_eq!(all.look(&of).await, seen(12 + 8192));
        // While a look at the file hangs, the last answer stands.
        counter.measuring.store(true, Ordering::Relaxed);
        fs::write(growing.path(), [1; 16384]).unwrap();
        assert_eq!(all.look(&of).await, seen(12 + 8192));
        drop(under_way);
        assert_eq!(all.look(&of).await, None);
        assert!(counter.require_wanted().is_err());
    }
}
