//! A machine's disk: an overlay on the image that it began as.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use deckle_api::ids::{MachineId, TemplateId};

use super::absent_ok;
use super::qemu_img::{self, Bounds};
use super::restore::{self, Restore};
use super::{Disks, header};
use crate::error::{Error, Result};
use crate::linux::command;
use crate::linux::folder::{Folder, apart, sync_folder};
use crate::linux::vm::running::Running;
use crate::seen::DiskSeen;
use crate::specs::DiskSpec;

const MAKE_MAX: Duration = Duration::from_secs(120);
const COPY_MAX: Duration = Duration::from_secs(3600);
/// QEMU takes a size in whole sectors.
const SECTOR: u64 = 512;
/// Large clusters keep a snapshot of a large disk short, because it touches each of them; their parts of 8 KiB
/// keep small writes small.
pub(super) const LAYOUT: &str = "compat=1.1,cluster_size=256k,extended_l2=on";

impl Disks {
    /// A machine's disk, if it is there; whether or not QEMU has it open.
    pub async fn look_disk(&self, machine: &MachineId) -> Result<Option<DiskSeen>> {
        let act = || format!("read the disk of {machine}");
        let folder = Folder::of(&self.paths, machine);
        match header::read(&folder.disk()) {
            Ok((Some(header), used_bytes)) => {
                let told = |error| Error::passing(act(), error);
                let generation = restore::generation(&folder).map_err(told)?;
                // Halfway, a restored disk has the size that it had when the snapshot was taken.
                let kept_bytes =
                    Restore::read(&folder).map_err(told)?.map_or(0, |restore| restore.size_bytes);
                let size_bytes = header.size_bytes.max(kept_bytes);
                Ok(Some(DiskSeen { size_bytes, used_bytes, generation }))
            }
            Ok((None, _)) => Err(Error::lasting(act(), "it is not qcow2 any more")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::passing(act(), error)),
        }
    }

    /// Makes a machine's disk on its template, or grows it. A smaller wish than what is there is met.
    pub async fn ensure_disk(&self, spec: &DiskSpec) -> Result<()> {
        match self.look_disk(&spec.machine).await? {
            Some(seen) if seen.size_bytes >= spec.size_bytes => Ok(()),
            Some(_) => self.grow(spec).await,
            None => self.make(spec).await,
        }
    }

    /// Removes a machine's whole folder: its disk, and all else that is kept of it.
    pub async fn remove_disk(&self, machine: &MachineId) -> Result<()> {
        let act = format!("remove the disk of {machine}");
        let folder = Folder::of(&self.paths, machine);
        match Running::find_begun(&folder).await {
            Ok(None) => {}
            Ok(Some(_)) => return Err(Error::passing(act, "its power is on")),
            Err(error) => return Err(Error::passing(act, error)),
        }
        let removed = apart(move || absent_ok(fs::remove_dir_all(folder.path()))).await;
        removed.map_err(|error| Error::passing(act, error))
    }

    async fn make(&self, spec: &DiskSpec) -> Result<()> {
        let act = format!("make the disk for {}", spec.machine);
        self.require_floor(&act)?;
        let Some(template) = self.look_template(&spec.template).await? else {
            let cure = format!("the image of template {} is not here: import it again", spec.template);
            return Err(Error::lasting(act, cure));
        };
        let (folder, uid) = self.owners.ensure(&spec.machine)?;
        self.keep_template(&folder, &spec.template, &act).await?;
        let size_bytes = spec.size_bytes.max(template.size_bytes).next_multiple_of(SECTOR);
        let fresh = folder.disk().with_extension("new");
        // The backing file is named relative to the disk, so that the state folder can be moved.
        qemu_img::trusted(MAKE_MAX)
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "template.qcow2"])
            .args(["-o", LAYOUT])
            .arg(qemu_img::shown(&fresh))
            .arg(size_bytes.to_string())
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.clone(), failure))?;
        apart(move || publish(&fresh, &folder, uid)).await.map_err(|error| told(act, error))
    }

    /// Links the template's image into the machine's folder; copies it where a link cannot be.
    async fn keep_template(&self, folder: &Folder, template: &TemplateId, act: &str) -> Result<()> {
        let (image, kept) = (self.paths.template(template), folder.template());
        // There is no disk yet, so what a crash left here may be of another template.
        absent_ok(fs::remove_file(&kept)).map_err(|error| told(act.to_owned(), error))?;
        if fs::hard_link(&image, &kept).is_ok() {
            return Ok(());
        }
        let fresh = kept.with_extension("new");
        command::run("cp")
            .args(["--reflink=auto", "--sparse=always", "--preserve=mode", "--"])
            .args([&image, &fresh])
            .limit(COPY_MAX)
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        fs::rename(&fresh, &kept).map_err(|error| told(act.to_owned(), error))
    }

    async fn grow(&self, spec: &DiskSpec) -> Result<()> {
        let act = format!("grow the disk of {}", spec.machine);
        self.require_floor(&act)?;
        let (folder, uid) = self.owners.ensure(&spec.machine)?;
        restore::require_none(&folder, &act)?;
        let size_bytes = spec.size_bytes.next_multiple_of(SECTOR);
        let running = Running::find_begun(&folder).await;
        let running = running.map_err(|error| Error::passing(act.clone(), error))?;
        if let Some(running) = running {
            return running.grow_disk(&folder, size_bytes).await.map_err(|error| Error::passing(act, error));
        }
        resize(&folder, uid, size_bytes).await.map_err(|failure| qemu_img::told(act, failure))
    }

    /// Refuses an act that takes space when there is none to spare.
    pub(super) fn require_floor(&self, act: &str) -> Result<()> {
        // Without a floor the file system itself says when it is full.
        if self.floor_bytes == 0 || self.room()? > 0 {
            return Ok(());
        }
        let floor_gib = self.floor_bytes / super::GIB;
        let cure =
            format!("less than {floor_gib} GiB (disk_floor_gib) are free: make room in the state folder");
        Err(Error::lasting(act, cure))
    }
}

/// Makes a disk larger that no QEMU has open.
pub(super) async fn resize(
    folder: &Folder,
    uid: u32,
    size_bytes: u64,
) -> std::result::Result<(), command::Failure> {
    // The guest may have written anything here, so the tool is shut in; it does not open the backing
    // file of a disk that it resizes for more than its size.
    qemu_img::confined(&Bounds { uid, file_bytes_max: u64::MAX >> 1, time: MAKE_MAX })
        .args(["resize", "-q", "-f", "qcow2"])
        .arg(qemu_img::shown(&folder.disk()))
        .arg(size_bytes.to_string())
        .output()
        .await
        .map(|_| ())
}

/// The disk under its name, and its user's.
fn publish(fresh: &Path, folder: &Folder, uid: u32) -> io::Result<()> {
    fs::set_permissions(fresh, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    chown(fresh, Some(uid), Some(uid))?;
    File::open(fresh)?.sync_all()?;
    fs::rename(fresh, folder.disk())?;
    sync_folder(folder.path())
}

fn told(act: String, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::lasting(act, error),
        _ => Error::passing(act, error),
    }
}
