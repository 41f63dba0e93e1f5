//! A drive's file system, held still for a moment: what is written to it waits.
//!
//! The kernel does not let it go when the process that holds it ends. **Invariants**: before a file system is held,
//! a mark says so, and where; a mark that is there while nobody copies is one that a killed server left, and the
//! next look at the drive lets go. Nothing is unmounted while it is held: its device would stay taken for ever.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::c_int;

use crate::linux::disk::absent_ok;
use crate::linux::folder::{unless_absent, write_whole};

// Why: a file system is held and let go by ioctls.
nix::ioctl_readwrite!(fifreeze, b'X', 119, c_int);
nix::ioctl_readwrite!(fithaw, b'X', 120, c_int);

/// A file system that is held still until this is dropped.
#[derive(Debug)]
pub struct Held {
    at: File,
    mark: PathBuf,
}

impl Held {
    /// Has all that is under way written out, and holds still what is mounted at `at`.
    pub fn hold(at: &Path, mark: &Path) -> io::Result<Self> {
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

impl Drop for Held {
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
