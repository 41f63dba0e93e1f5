//! A mark beside a disk that is being written: left behind, whoever wrote was killed.
//!
//! A writer that is killed has not written the last of the disk's tables, which loses space in the file and
//! nothing else. **Invariant**: the mark of one that was killed stays until the space is given back, also when
//! others have written and closed the disk since.

use std::fs;
use std::io::{self, Write};

use crate::linux::disk::absent_ok;
use crate::linux::folder::{Folder, unless_absent};

/// Says that a disk is being written, and by whom.
pub fn open(folder: &Folder, by: &str) -> io::Result<()> {
    match fs::File::create_new(folder.unclosed()) {
        Ok(mut mark) => mark.write_all(by.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Says that who wrote a disk has closed it.
pub fn close(folder: &Folder, by: &str) -> io::Result<()> {
    match unless_absent(fs::read(folder.unclosed()))? {
        Some(mark) if mark == by.as_bytes() => mended(folder),
        _ => Ok(()),
    }
}

/// Whether a disk that nobody has open was left by somebody who was killed.
pub fn is_left(folder: &Folder) -> io::Result<bool> {
    Ok(unless_absent(fs::symlink_metadata(folder.unclosed()))?.is_some())
}

/// Says that nothing is lost in a disk.
pub fn mended(folder: &Folder) -> io::Result<()> {
    absent_ok(fs::remove_file(folder.unclosed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::{Paths, Tag};
    use deckle_api::ids::MachineId;

    #[test]
    fn the_mark_of_one_who_was_killed_outlives_one_who_was_not() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::of(&Paths::new(Tag::mint(1), state.path().into()), &MachineId::mint(1));
        fs::create_dir_all(folder.path()).unwrap();
        close(&folder, "nobody").unwrap();
        open(&folder, "first").unwrap();
        close(&folder, "first").unwrap();
        assert!(!is_left(&folder).unwrap());
        open(&folder, "killed").unwrap();
        open(&folder, "second").unwrap();
        close(&folder, "second").unwrap();
        assert!(is_left(&folder).unwrap());
        mended(&folder).unwrap();
        assert!(!is_left(&folder).unwrap());
    }
}
