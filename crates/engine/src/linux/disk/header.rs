//! The header of a qcow2 file, read without any program: safe on a file that a stranger wrote, and on one
//! that QEMU has open.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;

const MAGIC: &[u8; 4] = b"QFI\xfb";
const EXTERNAL_DATA: u64 = 1 << 2;
const NAME_MAX: u32 = 1023;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The layout's version: 2 or 3.
    pub version: u32,
    /// The size that a guest sees, in bytes.
    pub size_bytes: u64,
    /// The unit that the file is laid out in, in bytes.
    pub cluster_bytes: u64,
    /// The file that it is an overlay of.
    pub backing_file: Option<String>,
    /// Whether its bytes lie in another file.
    pub external_data: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// A file's header, and the bytes that the file takes on the host; no header where it is not qcow2.
pub fn read(file: &Path) -> io::Result<(Option<Header>, u64)> {
    let mut opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(file)?;
    let facts = opened.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut start = Vec::new();
    Read::by_ref(&mut opened).take(104).read_to_end(&mut start)?;
    let Some((mut header, name)) = parse(&start) else { return Ok((None, facts.blocks() * 512)) };
    if let Some((offset, length)) = name {
        let mut bytes = Vec::new();
        opened.seek(SeekFrom::Start(offset))?;
        opened.take(u64::from(length.min(NAME_MAX))).read_to_end(&mut bytes)?;
        header.backing_file = Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok((Some(header), facts.blocks() * 512))
}

/// The header at the start of a file, and where the backing file's name lies in it.
fn parse(start: &[u8]) -> Option<(Header, Option<(u64, u32)>)> {
    if start.get(..4)? != MAGIC {
        return None;
    }
    let version = u32_at(start, 4)?;
    let name = Some((u64_at(start, 8)?, u32_at(start, 16)?)).filter(|(offset, _)| *offset != 0);
    let incompatible = if version < 3 { 0 } else { u64_at(start, 72)? };
    let header = Header {
        version,
        size_bytes: u64_at(start, 24)?,
        cluster_bytes: 1u64.checked_shl(u32_at(start, 20)?)?,
        backing_file: None,
        external_data: incompatible & EXTERNAL_DATA != 0,
        encrypted: u32_at(start, 32)? != 0,
    };
    Some((header, name))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 3 with a backing file's name behind it.
    fn sample() -> Vec<u8> {
        let mut bytes = vec![0; 104];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[7] = 3;
        bytes[15] = 104;
        bytes[19] = 4;
        bytes[23] = 16;
        bytes[24..32].copy_from_slice(&(5u64 << 30).to_be_bytes());
        bytes[35] = 2;
        bytes[79] = 4;
        bytes.extend(b"base");
        bytes
    }

    #[test]
    fn a_header_is_read_with_its_references() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.qcow2");
        std::fs::write(&file, sample()).unwrap();
        let header = Header {
            version: 3,
            size_bytes: 5 << 30,
            cluster_bytes: 65536,
            backing_file: Some("base".to_owned()),
            external_data: true,
            encrypted: true,
        };
        assert_eq!(read(&file).unwrap().0, Some(header));
    }

    #[test]
    fn what_is_cut_short_or_something_else_has_no_header() {
        for length in 0..80 {
            assert_eq!(parse(&sample()[..length]), None, "{length} bytes");
        }
        assert_eq!(parse(&[0; 104]), None);
    }

    #[test]
    fn a_link_and_a_folder_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(read(&link).is_err());
        assert!(read(folder.path()).is_err());
    }
}
