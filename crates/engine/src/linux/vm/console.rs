//! A machine's serial log: one file for its whole life, of which the end is kept.
//!
//! QEMU only ever appends to it, boot after boot. What is older than the bound is *punched out*: the file
//! keeps its length and gives its blocks back, so that an offset in the file means the same for ever, no
//! write is lost to a rotation, and there is nothing that a crash could leave half done.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;

use crate::seen::ConsoleChunk;

/// What is kept of a log, in bytes.
const KEPT: u64 = 1 << 20;
/// How far a log may outgrow the bound before its beginning is given back.
const SLACK: u64 = 1 << 20;

/// Makes the log, if it is not there: its user may write it, and nobody else.
pub fn ensure(log: &Path, uid: u32) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(log)?;
    chown(log, Some(uid), Some(uid))
}

/// Gives back what is older than the bound.
pub fn trim(log: &Path) -> io::Result<()> {
    let file = match open(log, true) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let facts = file.metadata()?;
    if facts.blocks() * 512 <= KEPT + SLACK {
        return Ok(());
    }
    let gone = facts.len().saturating_sub(KEPT) as i64;
    let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(&file, punch, 0, gone)?)
}

/// A piece of the log from byte `from` on, or from the oldest kept byte where that is later.
pub fn read(log: &Path, from: u64, bytes_max: usize) -> io::Result<ConsoleChunk> {
    let mut file = match open(log, false) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ConsoleChunk::default()),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let from = from.clamp(length.saturating_sub(KEPT), length);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(ConsoleChunk { from, next: from + bytes.len() as u64, bytes })
}

fn open(log: &Path, writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(writable).custom_flags(libc::O_NOFOLLOW).open(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn offsets_stay_true_while_the_beginning_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("serial.log");
        assert_eq!(read(&log, 5, 100).unwrap(), ConsoleChunk::default());
        let mut guest = OpenOptions::new().append(true).create(true).open(&log).unwrap();
        for line in 0..400_000 {
            writeln!(guest, "{line:09}").unwrap();
        }
        trim(&log).unwrap();
        writeln!(guest, "the end").unwrap();

        let facts = log.metadata().unwrap();
        assert!(facts.blocks() * 512 < KEPT + SLACK, "{} blocks", facts.blocks());
        let first = read(&log, 0, 10).unwrap();
        assert_eq!(first.from, facts.len() - KEPT);
        assert_eq!(first.next, first.from + 10);
        let line = read(&log, 3_500_000, 10).unwrap();
        assert_eq!(line.bytes, b"000350000\n");
        let end = read(&log, 4_000_000, 100).unwrap();
        assert_eq!(end, ConsoleChunk { from: 4_000_000, next: 4_000_008, bytes: b"the end\n".to_vec() });
        assert_eq!(read(&log, u64::MAX, 100).unwrap().from, facts.len());
    }
}
