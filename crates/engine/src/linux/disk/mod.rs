//! Disks and the templates that they begin as: qcow2 files, and nothing that runs.
//!
//! **Invariants**: an image appears under its name only when it is whole and durable. A disk is made once,
//! grows, and never shrinks. Each machine's folder holds a link to the image that its disk began as, so that
//! a template can go while disks made from it live, and its space is freed with the last of them. Snapshots
//! lie in the disk's own file, named by their ids.

mod capture;
mod export;
pub mod header;
pub mod import;
mod overlay;
pub mod qemu_img;
mod replace;
mod restore;
mod snapshot_table;
mod snapshots;
mod template;
pub mod unclosed;

pub use restore::require_none as require_restored;
pub use template::absent_ok;

use std::path::Path;

use super::Settings;
use super::folder::Owners;
use super::paths::Paths;
use crate::error::{Error, Result};

/// A GiB in bytes.
pub const GIB: u64 = 1 << 30;

/// The disks and templates of an installation.
#[derive(Debug)]
pub struct Disks {
    paths: Paths,
    owners: Owners,
    /// Free bytes below which nothing is made or grown.
    floor_bytes: u64,
    /// The user that reads images which are taken in: nobody's disk is its.
    import_uid: u32,
}

impl Disks {
    /// Those that lie at `paths`.
    pub fn new(paths: Paths, settings: &Settings) -> Self {
        // The first number is the importing user's, so the machines' begin one further.
        let first_uid = settings.first_uid.saturating_add(1);
        let owners = Owners::new(paths.clone(), first_uid);
        let floor_bytes = settings.disk_floor_gib.saturating_mul(GIB);
        Self { paths, owners, floor_bytes, import_uid: settings.first_uid }
    }

    /// Free bytes above the floor.
    fn room(&self) -> Result<u64> {
        free_bytes(self.paths.state())
            .map(|free| free.saturating_sub(self.floor_bytes))
            .map_err(|error| Error::passing("look for free disk space", error))
    }
}

/// The bytes that are free where a folder lies, or would lie, for those who are not root too.
pub fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let seen = nix::sys::statvfs::statvfs(there)?;
    Ok(seen.blocks_available() * seen.fragment_size())
}
