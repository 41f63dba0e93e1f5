//! A drive's image: one file of exactly the drive's size with an ext4 file system, all blocks of it reserved.
//!
//! **Invariants**: an image appears under its name only when it is whole and durable; from then on it is never
//! made again and never shrunk. What a growth that was cut off has reached shows as the smaller of file and
//! file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deckle_api::ids::SharedDriveId;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::error::{Error, Result};
use crate::linux::command::{self, Failure};
use crate::linux::disk::{GIB, absent_ok, free_bytes};
use crate::linux::folder::{apart, sync_folder, unless_absent};
use crate::linux::paths::Paths;

/// How long the tools of the file system may take: a check reads all of what is in use of it.
const TOOLS_MAX: Duration = Duration::from_secs(3600);
/// What is sold and shown in whole GiB is told in MiB where it is short.
const MIB: u64 = 1 << 20;

/// A drive's image, there or not.
#[derive(Debug, Clone)]
pub struct Image {
    drive: SharedDriveId,
    folder: PathBuf,
    state: PathBuf,
}

impl Image {
    /// The image of a drive.
    pub fn of(paths: &Paths, drive: &SharedDriveId) -> Self {
        Self { drive: drive.clone(), folder: paths.drive(drive), state: paths.state().to_owned() }
    }

    /// The folder that all of it lies in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("image.ext4")
    }

    /// Its size as far as it is usable, read from the file system on `device`, the file itself or a device of
    /// it that is in use.
    pub fn size(&self, device: Option<&Path>) -> Result<Option<u64>> {
        let seen = self.sizes(device).map_err(|error| self.looked(error))?;
        let Some((file, file_system)) = seen else { return Ok(None) };
        let file_system = file_system.ok_or_else(|| {
            Error::lasting(format!("look at the image of {}", self.drive), "it is not ext4 any more")
        })?;
        Ok(Some(file.min(file_system)))
    }

    fn sizes(&self, device: Option<&Path>) -> io::Result<Option<(u64, Option<u64>)>> {
        let Some(file) = unless_absent(fs::metadata(self.file()))? else { return Ok(None) };
        let from = device.map_or_else(|| self.file(), Path::to_owned);
        Ok(Some((file.len(), read_size(&from)?)))
    }

    /// Makes it with an empty file system, when there is none.
    pub async fn make(&self, size_bytes: u64, floor_bytes: u64) -> Result<()> {
        let act = format!("make the image of {}", self.drive);
        let fresh = self.file().with_extension("new");
        let (folder, old) = (self.folder.clone(), fresh.clone());
        let begun = apart(move || begin(&folder, &old)).await;
        begun.map_err(|error| told(act.clone(), error))?;
        self.require_room(&act, size_bytes, floor_bytes)?;
        if let Err(error) = reserve(&fresh, size_bytes).await {
            let _ = fs::remove_file(&fresh);
            return Err(told(act, error));
        }
        // The blocks have just been reserved, so they read as zeros: nothing need be written to them, now or
        // by the kernel later.
        command::run("mkfs.ext4")
            .args(["-q", "-F", "-m", "0", "-b", "4096", "-e", "remount-ro"])
            .args(["-E", "nodiscard,assume_storage_prezeroed=1"])
            .arg(&fresh)
            .limit(TOOLS_MAX)
            .output()
            .await
            .map_err(|failure| Error::passing(act.clone(), failure))?;
        let (file, folder) = (self.file(), self.folder.clone());
        apart(move || publish(&fresh, &file, &folder)).await.map_err(|error| told(act, error))
    }

    /// Makes the file larger, its new blocks reserved. The file system stays as it is.
    pub async fn lengthen(&self, size_bytes: u64, floor_bytes: u64) -> Result<()> {
        let act = format!("grow the image of {}", self.drive);
        let seen = fs::metadata(self.file()).map_err(|error| self.looked(error))?;
        let held = seen.blocks() * 512;
        self.require_room(&act, size_bytes.saturating_sub(held), floor_bytes)?;
        let Err(error) = reserve(&self.file(), size_bytes).await else { return Ok(()) };
        // What was taken in vain is given back; the file system ends before it.
        let (file, length) = (self.file(), seen.len());
        let _ = apart(move || OpenOptions::new().write(true).open(file)?.set_len(length)).await;
        Err(told(act, error))
    }

    /// Makes the file system as large as `device`, which holds it: mounted, or the image's own file.
    pub async fn fill(&self, device: &Path) -> Result<()> {
        let act = format!("grow the file system of {}", self.drive);
        command::run("resize2fs").arg(device).limit(TOOLS_MAX).done(act).await.map(|_| ())
    }

    /// Sees that the file system is in order, and mends what can be mended; `whole` looks at all of it, else
    /// only its journal is replayed unless it is marked.
    pub async fn check(&self, device: &Path, whole: bool) -> Result<()> {
        let run = command::run("e2fsck").args(whole.then_some("-f")).arg("-p").arg(device);
        match run.limit(TOOLS_MAX).output().await {
            Ok(_) => Ok(()),
            // It has mended something.
            Err(Failure::Said { status, .. }) if status.code() == Some(1) => Ok(()),
            Err(failure) => Err(Error::passing(format!("check the file system of {}", self.drive), failure)),
        }
    }

    /// Has a file system that is not used take no changes once an error is found in it, as those made here do.
    pub async fn tell_errors(&self, device: &Path) -> Result<()> {
        let act = format!("set up the file system of {}", self.drive);
        let run = command::run("tune2fs").args(["-e", "remount-ro", "-r", "0"]).arg(device);
        run.limit(TOOLS_MAX).done(act).await.map(|_| ())
    }

    /// Removes it, and all that is kept of the drive.
    pub async fn remove(&self) -> Result<()> {
        let folder = self.folder.clone();
        let removed = apart(move || {
            // Whatever comes in between, half an image is none.
            absent_ok(fs::remove_file(folder.join("image.ext4")))?;
            absent_ok(fs::remove_dir_all(&folder))?;
            folder.parent().filter(|drives| drives.exists()).map_or(Ok(()), sync_folder)
        });
        removed.await.map_err(|error| Error::passing(format!("remove the image of {}", self.drive), error))
    }

    /// Refuses what does not fit beside the floor.
    pub fn require_room(&self, act: &str, needed: u64, floor_bytes: u64) -> Result<()> {
        let free = free_bytes(&self.state).map_err(|error| Error::passing(act, error))?;
        match (needed + floor_bytes).checked_sub(free) {
            None | Some(0) => Ok(()),
            Some(short) => Err(Error::lasting(act, short_of(needed, short, floor_bytes, &self.state))),
        }
    }

    fn looked(&self, error: io::Error) -> Error {
        Error::passing(format!("look at the image of {}", self.drive), error)
    }
}

fn short_of(needed: u64, short: u64, floor_bytes: u64, state: &Path) -> String {
    let floor = match floor_bytes {
        0 => String::new(),
        floor => format!(", {} GiB of what is free being kept (disk_floor_gib)", floor / GIB),
    };
    format!(
        "it needs {} MiB more than it has, and {} MiB of them are missing{floor}: make room in {}",
        needed.div_ceil(MIB),
        short.div_ceil(MIB),
        state.display()
    )
}

/// A fault that lasts where space is what is missing.
pub fn told(act: String, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::lasting(act, error)
        }
        io::ErrorKind::Unsupported => Error::lasting(
            act,
            "the state folder's file system cannot reserve space: use ext4, XFS or btrfs for it",
        ),
        _ => Error::passing(act, error),
    }
}

/// The folder, without what a crash has left in it.
fn begin(folder: &Path, fresh: &Path) -> io::Result<()> {
    let drives = folder.parent().unwrap_or(folder);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(drives)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    sync_folder(drives)?;
    absent_ok(fs::remove_file(fresh))
}

/// Makes a file of that size, or makes it that large, every block of it reserved.
pub async fn reserve(file: &Path, size_bytes: u64) -> io::Result<()> {
    let file = file.to_owned();
    let length = i64::try_from(size_bytes).map_err(io::Error::other)?;
    apart(move || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
        fallocate(&file, FallocateFlags::empty(), 0, length)?;
        file.sync_all()
    })
    .await
}

fn publish(fresh: &Path, file: &Path, folder: &Path) -> io::Result<()> {
    File::open(fresh)?.sync_all()?;
    fs::rename(fresh, file)?;
    sync_folder(folder)
}

/// The bytes of the ext4 file system on a device, if one is there.
pub fn read_size(device: &Path) -> io::Result<Option<u64>> {
    const PLACE: u64 = 1024;
    let mut from = File::open(device)?;
    let mut block = [0; 1024];
    from.seek(SeekFrom::Start(PLACE))?;
    match from.read_exact(&mut block) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        read => read.map(|()| size_in(&block)),
    }
}

/// The size that a superblock tells.
fn size_in(block: &[u8; 1024]) -> Option<u64> {
    const MAGIC: [u8; 2] = [0x53, 0xef];
    const WIDE: u32 = 0x80;
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    if block[0x38..0x3a] != MAGIC {
        return None;
    }
    let high = if word(0x60) & WIDE == 0 { 0 } else { u64::from(word(0x150)) };
    let blocks = high << 32 | u64::from(word(0x4));
    blocks.checked_mul(1024u64.checked_shl(word(0x18))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_tells_its_size() {
        let mut block = [0; 1024];
        assert_eq!(size_in(&block), None);
        block[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        block[0x4..0x8].copy_from_slice(&262_144u32.to_le_bytes());
        block[0x18] = 2;
        assert_eq!(size_in(&block), Some(GIB));
        block[0x150] = 1;
        assert_eq!(size_in(&block), Some(GIB), "the high half counts only where it is used");
        block[0x60] = 0x80;
        assert_eq!(size_in(&block), Some(GIB + (4096 << 32)));
    }

    #[test]
    fn what_is_short_is_told() {
        let told = short_of(10 * GIB, 3 * MIB, 2 * GIB, Path::new("/state"));
        let wanted = "it needs 10240 MiB more than it has, and 3 MiB of them are missing, 2 GiB of what is free \
                      being kept (disk_floor_gib): make room in /state";
        assert_eq!(told, wanted);
    }

    #[tokio::test]
    async fn a_drive_that_does_not_fit_says_what_is_missing_and_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let paths = Paths::new(crate::linux::paths::Tag::mint(1), state.path().to_owned());
        let image = Image::of(&paths, &"sda".parse().unwrap());
        let error = image.make(1 << 60, 0).await.unwrap_err();
        assert!(error.is_final() && error.told().contains("MiB of them are missing"), "{}", error.told());
        assert_eq!(image.size(None).unwrap(), None);
        assert_eq!(fs::read_dir(paths.drive(&"sda".parse().unwrap())).unwrap().count(), 0);
    }
}
