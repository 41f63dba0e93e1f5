//! The snapshots in a qcow2 file, read without any program, also while QEMU has the file open.
//!
//! QEMU writes a changed table to a fresh place and then sets the header's pointer, in one write. A table is
//! therefore right if the pointer is the same after it was read as before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use deckle_api::Timestamp;
use nix::libc;

use crate::seen::SnapshotSeen;

/// How many bytes of a table are read: more than 65,535 snapshots take.
const TABLE_MAX: u64 = 16 << 20;
/// How often a table that changes under the reader is read.
const TRIES: usize = 20;

/// A snapshot as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    /// The disk's size then; absent in old layouts.
    size_bytes: Option<u64>,
    taken: Timestamp,
}

/// The snapshots of a disk that have the name of one of ours, the oldest first.
pub fn read(file: &Path) -> io::Result<Vec<SnapshotSeen>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file)?;
    for _ in 0..TRIES {
        let before = pointer(&file)?;
        let table = table(&file, before)?;
        if pointer(&file)? == before {
            let entries =
                parse(&table, before.1).ok_or_else(|| broken("its table of snapshots is cut short"))?;
            return Ok(entries.into_iter().filter_map(ours).collect());
        }
    }
    Err(broken("its table of snapshots never stands still"))
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn ours(entry: Entry) -> Option<SnapshotSeen> {
    let id = entry.name.parse().ok()?;
    Some(SnapshotSeen { id, size_bytes: entry.size_bytes.unwrap_or_default(), taken: entry.taken })
}

/// Where the table lies, and how many entries it has.
fn pointer(file: &File) -> io::Result<(u64, u32)> {
    let mut bytes = [0; 12];
    file.read_exact_at(&mut bytes, 60)?;
    let [a, b, c, d, offset @ ..] = bytes;
    Ok((u64::from_be_bytes(offset), u32::from_be_bytes([a, b, c, d])))
}

fn table(file: &File, (offset, entries): (u64, u32)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if entries > 0 {
        io::Seek::seek(&mut &*file, io::SeekFrom::Start(offset))?;
        file.take(TABLE_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// So many entries, one behind the other, each on a multiple of eight.
fn parse(table: &[u8], entries: u32) -> Option<Vec<Entry>> {
    let mut parsed = Vec::new();
    let mut at = 0usize;
    for _ in 0..entries {
        let rest = table.get(at..)?;
        let (entry, length) = parse_one(rest)?;
        parsed.push(entry);
        at += length.next_multiple_of(8);
    }
    Some(parsed)
}

fn parse_one(bytes: &[u8]) -> Option<(Entry, usize)> {
    const HEAD: usize = 40;
    let short = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (id, name, extra) = (short(12)? as usize, short(14)? as usize, word(36)? as usize);
    let taken = i64::from(word(16)?) * 1_000_000 + i64::from(word(20)?) / 1000;
    // The extra part begins with the size of a guest's memory; the disk's own size is the second in it.
    let size_bytes = match extra >= 16 {
        true => Some(u64::from_be_bytes(bytes.get(HEAD + 8..HEAD + 16)?.try_into().ok()?)),
        false => None,
    };
    let from = HEAD.checked_add(extra)?.checked_add(id)?;
    let length = from.checked_add(name)?;
    let name = String::from_utf8_lossy(bytes.get(from..length)?).into_owned();
    Some((Entry { name, size_bytes, taken: Timestamp(taken) }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, name: &str, size_bytes: Option<u64>) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        bytes[12..14].copy_from_slice(&(id.len() as u16).to_be_bytes());
        bytes[14..16].copy_from_slice(&(name.len() as u16).to_be_bytes());
        bytes[16..20].copy_from_slice(&7u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&5_000u32.to_be_bytes());
        if let Some(size_bytes) = size_bytes {
            bytes[36..40].copy_from_slice(&24u32.to_be_bytes());
            bytes.extend([0; 8]);
            bytes.extend(size_bytes.to_be_bytes());
            bytes.extend([0; 8]);
        }
        bytes.extend(id.bytes());
        bytes.extend(name.bytes());
        bytes
    }

    /// A file with a table of those entries behind its header.
    fn file(entries: &[Vec<u8>], told: u32) -> tempfile::NamedTempFile {
        let mut bytes = vec![0; 128];
        bytes[60..64].copy_from_slice(&told.to_be_bytes());
        bytes[64..72].copy_from_slice(&128u64.to_be_bytes());
        for entry in entries {
            bytes.extend(entry);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn our_snapshots_are_read_in_the_order_of_the_table() {
        let size = 5 << 30;
        let entries =
            [entry("1", "slone", Some(size)), entry("2", "of somebody", None), entry("10", "sltwo", None)];
        let seen = read(file(&entries, 3).path()).unwrap();
        let told: Vec<_> = seen.iter().map(|it| (it.id.as_str(), it.size_bytes, it.taken.0)).collect();
        assert_eq!(told, [("slone", size, 7_000_005), ("sltwo", 0, 7_000_005)]);
        assert_eq!(read(file(&[], 0).path()).unwrap(), []);
    }

    #[test]
    fn a_table_that_is_cut_short_is_an_error() {
        let whole = [entry("1", "slone", Some(1))];
        assert!(read(file(&whole, 2).path()).is_err());
        for length in 0..whole[0].len() {
            assert_eq!(parse(&whole[0][..length], 1), None, "{length} bytes");
        }
        assert_eq!(parse(&[0xff; 4096], 1), None);
    }

    #[test]
    fn a_link_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(read(&link).is_err());
    }
}
