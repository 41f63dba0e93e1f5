//! What is mounted where, and the two kinds of mounts that drives need.
//!
//! A network's folder is a file system in memory: what its server keeps, passwords' hashes among it, is bounded
//! and in no file of a disk. A kernel before 6.4 may still swap it out. It is shared, so that a drive that is mounted in it later, or taken from
//! it, is so for the server too, which has a sight of the host's files of its own.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::frozen;
use crate::linux::disk::absent_ok;

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub at: PathBuf,
    /// Of what: a device's node, or the name that a file system in memory was given.
    pub source: String,
    /// Whether it takes no changes, as ext4 does not once it has found an error in itself.
    pub read_only: bool,
}

/// All that is mounted at `path` or below it, the innermost last.
pub fn below(path: &Path) -> io::Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text.lines().filter_map(parse).filter(|mount| mount.at.starts_with(path)).collect())
}

/// All that is mounted of a device.
pub fn of(source: &Path) -> io::Result<Vec<Mount>> {
    let all = below(Path::new("/"))?;
    Ok(all.into_iter().filter(|mount| Path::new(&mount.source) == source).collect())
}

/// What is mounted at exactly `path`.
pub fn at(path: &Path) -> io::Result<Option<Mount>> {
    Ok(below(path)?.into_iter().rfind(|mount| mount.at == path))
}

/// Mounts a file system in memory that `gid` may pass through, unless it is there.
pub fn ensure_memory(folder: &Path, name: &str, gid: u32) -> io::Result<()> {
    const SIZE: &str = "size=64m,nr_inodes=16k,mode=0710";
    DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
    if at(folder)?.is_none() {
        let options = format!("{SIZE},uid=0,gid={gid}");
        let mounted = |options: &str| mount(Some(name), folder, Some("tmpfs"), shut(), Some(options));
        match mounted(&format!("{options},noswap")) {
            // The kernel does not know the word.
            Err(Errno::EINVAL) => mounted(&options)?,
            done => done?,
        }
    }
    let none: Option<&str> = None;
    Ok(mount(none, folder, none, MsFlags::MS_SHARED, none)?)
}

/// Mounts a drive's device. What is under it nobody but root may enter: while it is not mounted, nothing is
/// written to the wrong place.
pub fn mount_drive(device: &Path, at: &Path) -> io::Result<()> {
    ensure_place(at)?;
    Ok(mount(Some(device), at, Some("ext4"), shut(), None::<&str>)?)
}

/// Unmounts what is mounted there, all of it. What a killed server has left held still is let go first.
pub fn unmount(path: &Path) -> io::Result<()> {
    while at(path)?.is_some() {
        frozen::thaw(path)?;
        umount2(path, MntFlags::UMOUNT_NOFOLLOW)?;
    }
    Ok(())
}

/// Removes a folder that may be there.
pub fn remove_place(path: &Path) -> io::Result<()> {
    absent_ok(fs::remove_dir(path))
}

fn ensure_place(at: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o000).create(at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn shut() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

/// A line of `mountinfo`: after a dash come the kind, the source and the file system's own options.
fn parse(line: &str) -> Option<Mount> {
    const AT: usize = 4;
    let (before, after) = line.split_once(" - ")?;
    let at = PathBuf::from(before.split(' ').nth(AT)?);
    let mut words = after.split(' ').skip(1);
    let (source, options) = (words.next()?.to_owned(), words.next()?);
    // Since Linux 6.15 ext4 has a word of its own for what it does to itself.
    let read_only = options.split(',').any(|option| matches!(option, "ro" | "emergency_ro"));
    Some(Mount { at, source, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_source() {
        let line = "36 35 7:3 / /run/deckle-abc/n1/drives/sd1 rw,nosuid shared:4 - ext4 /dev/loop3 rw";
        let at = PathBuf::from("/run/deckle-abc/n1/drives/sd1");
        let mount = |read_only| Mount { at: at.clone(), source: "/dev/loop3".to_owned(), read_only };
        assert_eq!(parse(line), Some(mount(false)));
        let faulty = line.replace("loop3 rw", "loop3 ro,errors=remount-ro");
        assert_eq!(parse(&faulty), Some(mount(true)));
        assert_eq!(parse(&line.replace("loop3 rw", "loop3 rw,emergency_ro")), Some(mount(true)));
        assert_eq!(parse("nonsense"), None);
    }
}
