//! A file of an operator's that is being written: beside its place until it is whole.
//!
//! **Invariants**: it appears under its name only when it is whole and durable, and takes the place of another
//! only where that was asked for. While it is written it has a name that no other transfer has.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::libc;

use super::disk::absent_ok;
use super::folder::{sync_folder, unless_absent};
use crate::transfers::ExportSpec;

/// Why a file cannot be written; each says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A path that depends on who reads it.
    #[error("{} is not an absolute path: write it from / on", .0.display())]
    NotAbsolute(PathBuf),
    /// There is no folder for it.
    #[error("there is no folder {}: make it first", .0.display())]
    NoFolder(PathBuf),
    /// It would lie among the host's own files.
    #[error("{} lies in the state folder {}: name a file elsewhere", .file.display(), .state.display())]
    OfTheHost {
        /// The file.
        file: PathBuf,
        /// Where it must not lie.
        state: PathBuf,
    },
    /// There is one already.
    #[error("{} is there already: name another file, or have it replaced with --force", .0.display())]
    There(PathBuf),
    /// There is something else.
    #[error("{} is not a regular file: name another file", .0.display())]
    NotAFile(PathBuf),
    /// Another reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A file that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    file: PathBuf,
    path: PathBuf,
    replace: bool,
}

impl Part {
    /// The file that an export is to be; refused where it cannot be written there.
    pub fn of(spec: &ExportSpec, state: &Path) -> Result<Self, Refusal> {
        let ExportSpec { of, file, replace } = spec;
        let (Some(folder), Some(name)) = (file.parent().filter(|_| file.is_absolute()), file.file_name())
        else {
            return Err(Refusal::NotAbsolute(file.clone()));
        };
        let folder = folder.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refusal::NoFolder(folder.to_owned()),
            _ => error.into(),
        })?;
        if folder.starts_with(state) {
            return Err(Refusal::OfTheHost { file: file.clone(), state: state.to_owned() });
        }
        let file = folder.join(name);
        match unless_absent(fs::symlink_metadata(&file))? {
            Some(there) if !there.is_file() => return Err(Refusal::NotAFile(file)),
            Some(_) if !replace => return Err(Refusal::There(file)),
            _ => {}
        }
        let mut beside = name.to_owned();
        beside.push(format!(".{}.part", of.id()));
        Ok(Self { path: folder.join(beside), file, replace: *replace })
    }

    /// Where it lies until it is whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it anew and empty, for a user to write.
    pub fn begin(&self, uid: u32) -> io::Result<File> {
        absent_ok(fs::remove_file(&self.path))?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let made = options.open(&self.path)?;
        fchown(&made, Some(uid), Some(uid))?;
        Ok(made)
    }

    /// Gives it its name, now that it is whole.
    pub fn publish(&self, written: &File) -> Result<(), Refusal> {
        fchown(written, Some(0), Some(0))?;
        written.set_permissions(fs::Permissions::from_mode(0o600))?;
        written.sync_all()?;
        self.rename()?;
        Ok(self.file.parent().map_or(Ok(()), sync_folder)?)
    }

    fn rename(&self) -> Result<(), Refusal> {
        if self.replace {
            return Ok(fs::rename(&self.path, &self.file)?);
        }
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(AT_FDCWD, &self.path, AT_FDCWD, &self.file, flags) {
            Ok(()) => Ok(()),
            Err(nix::errno::Errno::EEXIST) => Err(Refusal::There(self.file.clone())),
            // A file system that does not know the flag: a link does not replace anything either.
            Err(nix::errno::Errno::EINVAL) => match fs::hard_link(&self.path, &self.file) {
                Ok(()) => Ok(fs::remove_file(&self.path)?),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Err(Refusal::There(self.file.clone()))
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfers::Stored;
    use deckle_api::ids::MachineId;

    fn part(file: &Path, replace: bool) -> Result<Part, Refusal> {
        let of = Stored::Disk(MachineId::mint(1));
        Part::of(&ExportSpec { of, file: file.to_owned(), replace }, Path::new("/no/state"))
    }

    #[test]
    fn a_file_appears_whole_and_replaces_another_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("disk");
        let write = |replace| {
            let part = part(&file, replace)?;
            let uid = nix::unistd::getuid().as_raw();
            let written = part.begin(uid)?;
            io::Write::write_all(&mut &written, b"whole")?;
            assert!(!file.exists() || replace);
            // Somebody else may be as fast.
            if !replace {
                fs::write(&file, "another's")?;
                assert!(matches!(part.rename(), Err(Refusal::There(_))));
                fs::remove_file(&file)?;
            }
            part.rename()
        };
        write(false).unwrap();
        assert!(matches!(write(false), Err(Refusal::There(_))));
        fs::write(&file, "old").unwrap();
        write(true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(part(Path::new("disk"), true), Err(Refusal::NotAbsolute(_))));
        assert!(matches!(part(&folder.path().join("no/disk"), true), Err(Refusal::NoFolder(_))));
        assert!(matches!(part(Path::new("/dev/null"), true), Err(Refusal::NotAFile(_))));
        let inside = folder.path().canonicalize().unwrap();
        let of = Stored::Disk(MachineId::mint(1));
        let spec = ExportSpec { of, file: folder.path().join("disk"), replace: true };
        assert!(matches!(Part::of(&spec, &inside), Err(Refusal::OfTheHost { .. })));
    }
}
