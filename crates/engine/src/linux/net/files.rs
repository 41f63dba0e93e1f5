//! Small files that another program reads: a reader sees the old text or the new one, never half of it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file unless it says so already, and tells whether it was written.
pub(super) fn ensure(file: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(file).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    write(file, text).map_err(|error| Error::passing(format!("write {}", file.display()), error))?;
    Ok(true)
}

/// Makes a folder that every user may look into, and what it lies in.
pub(super) fn ensure_folder(folder: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
    let open = made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)));
    open.map_err(|error| Error::passing(format!("make {}", folder.display()), error))
}

/// Removes a file or a folder with all in it, and tells whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::passing(format!("remove {}", path.display()), error)),
    }
}

/// Whether every user can reach what lies in `folder`.
pub(super) fn is_open_to_all(folder: &Path) -> bool {
    let open = |folder: &Path| fs::metadata(folder).is_ok_and(|seen| seen.permissions().mode() & 0o001 != 0);
    folder.ancestors().filter(|folder| !folder.as_os_str().is_empty()).all(open)
}

/// The new text gets a name that dnsmasq passes over, then the file's own.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}"));
    fs::write(&new, text)?;
    fs::set_permissions(&new, Permissions::from_mode(0o644))?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("psa");
        assert!(ensure(&file, "one\n").unwrap());
        assert!(!ensure(&file, "one\n").unwrap());
        assert!(ensure(&file, "two\n").unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(remove(&file).unwrap());
        assert!(!remove(&file).unwrap());
    }
}
