//! Pretended disks and drives as small real files, which carry all that is remembered of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use deckle_api::ids::{MachineId, SharedDriveId, StartupScriptId};
use serde::{Deserialize, Serialize};

use super::world::{Thing, World};
use crate::error::{Error, Result};
use crate::transfers::{ExportSpec, ImportSpec, Stored};

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Pretended {
    Disk { size_bytes: u64, used_bytes: u64, ran: BTreeSet<StartupScriptId> },
    Drive { size_bytes: u64, written: String },
}

impl World {
    pub fn export(&self, spec: &ExportSpec) -> Result<()> {
        let act = || format!("export {} to {}", spec.of, spec.file.display());
        let missing = || Error::lasting(act(), "it is missing");
        let pretended = match &spec.of {
            Stored::Disk(id) => {
                let disk = self.machines.get(id).and_then(|machine| machine.disk.as_ref());
                let disk = disk.ok_or_else(missing)?;
                let (size_bytes, used_bytes) = (disk.size_bytes, disk.used_bytes);
                Pretended::Disk { size_bytes, used_bytes, ran: disk.ran.clone() }
            }
            Stored::Drive(id, _) => {
                let drive = self.drives.get(id).ok_or_else(missing)?;
                Pretended::Drive { size_bytes: drive.size_bytes, written: drive.written.clone() }
            }
        };
        write(spec, &pretended).map_err(|error| Error::lasting(act(), error))
    }

    pub fn import(&mut self, spec: &ImportSpec) -> Result<()> {
        let refused =
            |why: String| Error::lasting(format!("import {} as {}", spec.file.display(), spec.of), why);
        let pretended = read(&spec.file).map_err(|error| refused(error.to_string()))?;
        let fits = |size_bytes: u64| match size_bytes > spec.size_bytes {
            true => Err(refused(format!("it holds {size_bytes} bytes and there are {}", spec.size_bytes))),
            false => Ok(()),
        };
        match (&spec.of, pretended) {
            (Stored::Disk(id), Pretended::Disk { size_bytes, used_bytes, ran }) => {
                self.require_replaceable(id).map_err(refused)?;
                fits(size_bytes)?;
                if let Some(disk) = &mut self.machine(id).disk {
                    (disk.used_bytes, disk.ran) = (used_bytes, ran);
                }
                Ok(())
            }
            (Stored::Drive(id, _), Pretended::Drive { size_bytes, written }) => {
                if !self.drives.contains_key(id) {
                    return Err(refused("it is missing".to_owned()));
                }
                fits(size_bytes)?;
                self.write_drive(id, written);
                Ok(())
            }
            _ => Err(refused("the file holds something else".to_owned())),
        }
    }

    pub fn write_drive(&mut self, id: &SharedDriveId, written: String) {
        if let Some(drive) = self.drives.get_mut(id) {
            drive.written = written;
            self.changed.insert(Thing::Drive(id.clone()));
        }
    }

    fn require_replaceable(&self, id: &MachineId) -> std::result::Result<(), String> {
        let machine = self.machines.get(id).ok_or("it is missing")?;
        let disk = machine.disk.as_ref().ok_or("it is missing")?;
        if machine.boot.is_some() {
            return Err("its power is on".to_owned());
        }
        let there: Vec<_> = disk.snapshots.iter().map(|snapshot| snapshot.id.to_string()).collect();
        match there.is_empty() {
            true => Ok(()),
            false => Err(format!("it has snapshots, which would be lost: delete {} first", there.join(", "))),
        }
    }
}

fn write(spec: &ExportSpec, pretended: &Pretended) -> io::Result<()> {
    let file = &spec.file;
    if !file.is_absolute() || file.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not an absolute path"));
    }
    if !spec.replace && file.symlink_metadata().is_ok() {
        let why = "it is there already: name another file, or have it replaced with --force";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let mut part = file.clone().into_os_string();
    part.push(format!(".{}.part", spec.of.id()));
    fs::write(&part, serde_json::to_vec(pretended)?)?;
    fs::rename(&part, file)
}

fn read(file: &Path) -> io::Result<Pretended> {
    let seen = fs::metadata(file)?;
    if !seen.is_file() || seen.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no pretended disk or drive is so large"));
    }
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}
