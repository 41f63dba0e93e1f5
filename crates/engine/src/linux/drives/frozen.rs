//! A drive's file system, held still for a moment: what is written to it waits.
//!
//! The kernel does not let it go when the process that holds it ends. **Invariants**: before a file system is held,
//! a mark says so, and where; a mark that is there while nobody copies is one that a killed server left, and the
//! next look at the drive lets go. Nothing is unmounted while it is held: its device would stay taken for ever.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::c_int;
use tokio::sync::OwnedMutexGuard;

use crate::linux::disk::absent_ok;
use crate::linux::folder::{unless_absent, write_whole};

// Why: a file system is held and let go by ioctls.
nix::ioctl_readwrite!(fifreeze, b'X', 119, c_int);
nix::ioctl_readwrite!(fithaw, b'X', 120, c_int);

/// A drive that stays as it is until this is dropped, or for as long as was said: then it is let go from beside,
/// whatever whoever holds it waits for.
#[derive(Debug)]
pub struct Held {
    holding: Arc<Mutex<Option<Holding>>>,
    _ended: Sender<()>,
}

impl Held {
    /// Keeps others from working on a drive, and, where it is mounted, has all that is under way written out and
    /// holds it still. `mounted` is where, and the mark.
    pub fn hold(
        mounted: Option<(&Path, &Path)>,
        alone: OwnedMutexGuard<()>,
        time_max: Duration,
    ) -> io::Result<Self> {
        let frozen = mounted.map(|(at, mark)| Frozen::freeze(at, mark)).transpose()?;
        let holding = Arc::new(Mutex::new(Some(Holding { _frozen: frozen, _alone: alone })));
        let (ended, end) = mpsc::channel();
        let watched = holding.clone();
        let watch = move || {
            if end.recv_timeout(time_max) == Err(RecvTimeoutError::Timeout) && let_go(&watched) {
                tracing::warn!("a drive was held still for too long and is let go");
            }
        };
        // Where no thread is to be had, what is held is let go here.
        thread::Builder::new().name("let-go".to_owned()).spawn(watch)?;
        Ok(Self { holding, _ended: ended })
    }

    /// Lets it go; whether it was held until now.
    pub fn let_go(self) -> bool {
        let_go(&self.holding)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let_go(&self.holding);
    }
}

/// Whoever comes first lets go. It is let go before the other one learns of it.
fn let_go(holding: &Mutex<Option<Holding>>) -> bool {
    holding.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
}

/// In this order: whoever works on the drive next finds it let go.
#[derive(Debug)]
struct Holding {
    _frozen: Option<Frozen>,
    _alone: OwnedMutexGuard<()>,
}

#[derive(Debug)]
struct Frozen {
    at: File,
    mark: PathBuf,
}

impl Frozen {
    fn freeze(at: &Path, mark: &Path) -> io::Result<Self> {
        let opened = File::open(at)?;
        // Most of it before the file system is held, so that it is held for less.
        nix::unistd::syncfs(&opened)?;
        write_whole(mark, at.as_os_str().as_encoded_bytes(), 0o600, None)?;
        let mut unused: c_int = 0;
        // Why: see the ioctl.
        // SAFETY: the descriptor is open, and the number outlives the call.
        let held = unsafe { fifreeze(opened.as_raw_fd(), &raw mut unused) };
        if let Err(error) = held {
            absent_ok(fs::remove_file(mark))?;
            return Err(error.into());
        }
        Ok(Self { at: opened, mark: mark.to_owned() })
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let let_go = thaw_opened(&self.at).and_then(|()| absent_ok(fs::remove_file(&self.mark)));
        if let Err(error) = let_go {
            tracing::error!(mark = %self.mark.display(), %error, "a drive may stay held until the next look");
        }
    }
}

/// Lets go what a mark says is held.
pub fn let_go_if_held(mark: &Path) -> io::Result<()> {
    let Some(at) = unless_absent(fs::read_to_string(mark))? else { return Ok(()) };
    thaw(Path::new(&at))?;
    absent_ok(fs::remove_file(mark))
}

/// Lets go what is mounted there, if it is held; a place where nothing is mounted holds nothing.
pub fn thaw(at: &Path) -> io::Result<()> {
    unless_absent(File::open(at))?.map_or(Ok(()), |opened| thaw_opened(&opened))
}

fn thaw_opened(opened: &File) -> io::Result<()> {
    let mut unused: c_int = 0;
    // Why: see the ioctl.
    // SAFETY: the descriptor is open, and the number outlives the call.
    match unsafe { fithaw(opened.as_raw_fd(), &raw mut unused) } {
        // It is not held, or cannot be.
        Ok(_) | Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTTY) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_too_long_is_let_go_from_beside_and_its_holder_learns_it() {
        let drive = Arc::new(tokio::sync::Mutex::new(()));
        let hold = async |time_max| Held::hold(None, drive.clone().lock_owned().await, time_max).unwrap();
        let late = hold(Duration::from_millis(1)).await;
        // The holder does nothing; somebody else comes to work on the drive all the same.
        let next = tokio::time::timeout(Duration::from_secs(60), drive.lock()).await.unwrap();
        assert!(!late.let_go());
        drop(next);
        let in_time = hold(Duration::from_secs(600)).await;
        assert!(drive.try_lock().is_err());
        assert!(in_time.let_go());
        assert!(drive.try_lock().is_ok());
    }
}
