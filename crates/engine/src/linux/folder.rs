//! A machine's folder: what lies in it, and whose it is.
//!
//! **Invariants**: the folder is root's, so that a guest that has broken out into its QEMU can neither
//! replace a file in it nor lead the server elsewhere by a link. Its *group* is the number of the user that
//! the machine's QEMU runs as, for the machine's whole life; no two folders have the same one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use deckle_api::ids::MachineId;
use nix::errno::Errno;

use super::paths::Paths;
use crate::error::{Error, Result};

/// The names in a machine's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of a machine, there or not.
    pub fn of(paths: &Paths, machine: &MachineId) -> Self {
        Self(paths.machine(machine))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The machine's disk: the user's bytes.
    pub fn disk(&self) -> PathBuf {
        self.0.join("disk.qcow2")
    }

    /// What the disk began as, for as long as it needs it: a link to the template's image.
    pub fn template(&self) -> PathBuf {
        self.0.join("template.qcow2")
    }

    /// The number of the disk's last restore that is finished.
    pub fn generation(&self) -> PathBuf {
        self.0.join("generation")
    }

    /// What a restore that is not finished is about.
    pub fn restore(&self) -> PathBuf {
        self.0.join("restore.json")
    }

    /// There while somebody writes the disk, and after one was killed doing so.
    pub fn unclosed(&self) -> PathBuf {
        self.0.join("unclosed")
    }

    /// There while the guest's file systems are held still.
    pub fn held(&self) -> PathBuf {
        self.0.join("held")
    }

    /// What the guest is told at boot.
    pub fn seed(&self) -> PathBuf {
        self.0.join("seed.iso")
    }

    /// What is known of the last start.
    pub fn run_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// Where QEMU takes commands.
    pub fn qmp(&self) -> PathBuf {
        self.0.join("qmp.sock")
    }

    /// Where the guest's agent is reached.
    pub fn agent(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// What the guest writes to its serial port.
    pub fn serial_log(&self) -> PathBuf {
        self.0.join("serial.log")
    }

    /// What QEMU itself has to say.
    pub fn qemu_log(&self) -> PathBuf {
        self.0.join("qemu.log")
    }

    /// The user that the machine's QEMU runs as; none before the folder is made.
    pub fn owner(&self) -> io::Result<Option<u32>> {
        let folder = unless_absent(fs::metadata(&self.0))?;
        Ok(folder.map(|folder| folder.gid()).filter(|gid| *gid != 0))
    }

    /// Writes a file whole or not at all, for its owner alone to read.
    pub fn write(&self, file: &Path, bytes: &[u8], owner: u32) -> io::Result<()> {
        write_whole(file, bytes, 0o600, Some(owner))
    }
}

/// Writes a file of a folder whole or not at all, and durably.
pub fn write_whole(file: &Path, bytes: &[u8], mode: u32, owner: Option<u32>) -> io::Result<()> {
    let fresh = file.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    io::Write::write_all(&mut to, bytes)?;
    fchown(&to, owner, owner)?;
    to.sync_all()?;
    fs::rename(&fresh, file)?;
    file.parent().map_or(Ok(()), sync_folder)
}

/// Makes an empty file for a user and a group in a folder of root's, where they cannot make one.
pub fn create_for(file: &Path, mode: u32, (uid, gid): (u32, u32)) -> io::Result<File> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(file)?;
    fchown(&made, Some(uid), Some(gid))?;
    made.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(made)
}

/// Does what may keep a thread waiting for the disk on one that nobody else waits for.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Who gives each machine's QEMU a user of its own.
#[derive(Debug)]
pub struct Owners {
    paths: Paths,
    first_uid: u32,
    taking: Mutex<()>,
}

impl Owners {
    /// Users from `first_uid` on.
    pub fn new(paths: Paths, first_uid: u32) -> Self {
        Self { paths, first_uid, taking: Mutex::new(()) }
    }

    /// A machine's folder, made if it is not there, and its user: the lowest that no folder has.
    pub fn ensure(&self, machine: &MachineId) -> Result<(Folder, u32)> {
        let folder = Folder::of(&self.paths, machine);
        let _one_at_a_time = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        self.ensure_at(&folder).map(|uid| (folder, uid)).map_err(|error| {
            let act = format!("make the folder for {machine}");
            let full = error.kind() == io::ErrorKind::StorageFull;
            if full { Error::lasting(act, error) } else { Error::passing(act, error) }
        })
    }

    fn ensure_at(&self, folder: &Folder) -> io::Result<u32> {
        if let Some(uid) = folder.owner()? {
            return Ok(uid);
        }
        let machines = self.paths.machines();
        open_to_pass(self.paths.state(), &machines)?;
        let uid = self.lowest_free(&machines)?;
        fs::create_dir_all(folder.path())?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        chown(folder.path(), Some(0), Some(uid))?;
        sync_folder(&machines)?;
        Ok(uid)
    }

    fn lowest_free(&self, machines: &Path) -> io::Result<u32> {
        let mut taken = Vec::new();
        for entry in fs::read_dir(machines)? {
            taken.push(entry?.metadata()?.gid());
        }
        let free = (self.first_uid..u32::MAX).find(|uid| !taken.contains(uid));
        free.ok_or_else(|| io::Error::other("every user id is taken"))
    }
}

/// What was read, or none where there is nothing to read. Any other failure is one: a host that is out of
/// descriptors has not lost its machines. A process that ends while its files are read has none either.
pub fn unless_absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes `inner`, and lets QEMU's users pass through it and through `outer`, but list neither.
pub fn open_to_pass(outer: &Path, inner: &Path) -> io::Result<()> {
    fs::create_dir_all(inner)?;
    for folder in [outer, inner] {
        let mode = fs::metadata(folder)?.permissions().mode();
        if mode & 0o111 != 0o111 {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o111))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::Tag;

    #[test]
    fn each_machine_has_a_user_of_its_own_and_a_freed_one_is_given_again() {
        let state = tempfile::tempdir().unwrap();
        let paths = Paths::new(Tag::mint(1), state.path().to_owned());
        let owners = Owners::new(paths, 70_000);
        let machines: Vec<MachineId> = (1..=3).map(MachineId::mint).collect();
        let uids: Vec<u32> = machines.iter().map(|id| owners.ensure(id).unwrap().1).collect();
        assert_eq!(uids, [70_000, 70_001, 70_002]);
        assert_eq!(owners.ensure(&machines[1]).unwrap().1, 70_001);

        fs::remove_dir(owners.ensure(&machines[0]).unwrap().0.path()).unwrap();
        assert_eq!(owners.ensure(&MachineId::mint(4)).unwrap().1, 70_000);
    }

    #[test]
    fn a_folder_that_a_crash_left_without_a_user_gets_one() {
        let state = tempfile::tempdir().unwrap();
        let paths = Paths::new(Tag::mint(1), state.path().to_owned());
        let machine = MachineId::mint(1);
        fs::create_dir_all(paths.machine(&machine)).unwrap();
        assert_eq!(Owners::new(paths, 70_000).ensure(&machine).unwrap().1, 70_000);
    }
}
