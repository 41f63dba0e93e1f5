//! Loop devices: files that can be mounted.
//!
//! **Invariant**: which device a file has is asked of the kernel, by the file's whole name.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::error::{Error, Result};
use crate::linux::command;
use crate::linux::folder::unless_absent;

/// Where the kernel gives numbers of free devices.
pub const CONTROL: &str = "/dev/loop-control";
/// The kernel's number for loop devices.
const MAJOR: u64 = 7;
/// How often another program on this host may take the device that was chosen.
const TRIES: u32 = 16;

// Why: a free device's number is told by an ioctl.
nix::ioctl_none_bad!(loop_ctl_get_free, 0x4C82);

/// A loop device, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop(u32);

impl Loop {
    /// Its node.
    pub fn node(self) -> PathBuf {
        PathBuf::from(format!("/dev/loop{}", self.0))
    }

    /// Has it see the size that its file has now.
    pub async fn renew_size(self) -> Result<()> {
        let act = format!("renew the size of {}", self.node().display());
        command::run("losetup").arg("--set-capacity").arg(self.node()).done(act).await.map(|_| ())
    }

    /// Parts it from its file.
    pub async fn detach(self) -> Result<()> {
        let act = format!("detach {}", self.node().display());
        command::run("losetup").arg("--detach").arg(self.node()).done(act).await.map(|_| ())
    }
}

/// The device that a file is attached to.
pub fn of(file: &Path) -> Result<Option<Loop>> {
    Ok(below(file)?.into_iter().map(|(device, _)| device).next())
}

/// The devices whose file is `path` or lies in it, each with its file's name.
pub fn below(path: &Path) -> Result<Vec<(Loop, PathBuf)>> {
    attached(path).map_err(|error| Error::passing("look for loop devices", error))
}

/// Attaches a file, or finds where it is attached. No two calls are made at the same time.
pub async fn attach(file: &Path) -> Result<Loop> {
    let act = || format!("attach {} to a loop device", file.display());
    let mut tries = 0;
    loop {
        if let Some(device) = of(file)? {
            return Ok(device);
        }
        let device = free().map_err(|error| Error::passing(act(), error))?;
        let taken = command::run("losetup").arg("--").arg(device.node()).arg(file).output().await;
        tries += 1;
        if let Err(failure) = taken
            && tries == TRIES
        {
            return Err(Error::passing(act(), failure));
        }
    }
}

fn attached(path: &Path) -> io::Result<Vec<(Loop, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/block")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("loop")?.parse().ok()) else {
            continue;
        };
        let about = format!("/sys/block/loop{number}/loop/backing_file");
        // A device that is parted while it is looked at has no file.
        let Some(file) = unless_absent(fs::read_to_string(about))? else { continue };
        let file = PathBuf::from(file.trim_end().trim_end_matches(" (deleted)"));
        if file.starts_with(path) {
            found.push((Loop(number), file));
        }
    }
    found.sort_by_key(|(device, _)| device.0);
    Ok(found)
}

/// A device that is free now, its node made where nobody else makes it.
fn free() -> io::Result<Loop> {
    let control = File::options().read(true).write(true).open(CONTROL)?;
    // Why: see the ioctl.
    // SAFETY: the descriptor is open, and the call takes and gives nothing but numbers.
    let number = unsafe { loop_ctl_get_free(control.as_raw_fd()) }?;
    let device = Loop(number.cast_unsigned());
    if !device.node().exists() {
        let made = mknod(&device.node(), SFlag::S_IFBLK, mode(), makedev(MAJOR, u64::from(device.0)));
        match made {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(device)
}

fn mode() -> Mode {
    Mode::S_IRUSR | Mode::S_IWUSR
}
