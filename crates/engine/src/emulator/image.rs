//! What an image file says of itself, as far as a pretended host needs it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const GIB: u64 = 1 << 30;
const QCOW2: &[u8; 4] = b"QFI\xfb";

/// A file's sizes as a template, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image {
    pub size_bytes: u64,
    pub used_bytes: u64,
}

/// Why a file cannot be a template.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the image cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("the image is empty")]
    Empty,
    #[error("the image names a backing file")]
    Backed,
    #[error("the image keeps its bytes in an external file")]
    External,
    #[error("the image has {0} bytes, more than are taken")]
    TooLarge(u64),
}

/// Reads a qcow2 file's virtual size from its head; any other file is taken for a raw one, and its length
/// is rounded up to whole GiB.
pub(super) fn read(file: &Path, size_bytes_max: u64) -> Result<Image, Refusal> {
    let mut open = File::open(file)?;
    let used_bytes = open.metadata()?.len();
    let mut head = Vec::new();
    open.by_ref().take(80).read_to_end(&mut head)?;
    let size_bytes = match head.strip_prefix(QCOW2) {
        _ if head.is_empty() => return Err(Refusal::Empty),
        Some(_) => virtual_size(&head)?,
        None => used_bytes.div_ceil(GIB) * GIB,
    };
    match size_bytes > size_bytes_max {
        true => Err(Refusal::TooLarge(size_bytes)),
        false => Ok(Image { size_bytes, used_bytes }),
    }
}

/// The head of a qcow2 file: its version at 4, the backing file's name at 8, its size at 24, and from
/// version 3 on the features that must be known at 72, of which bit 2 is an external data file.
fn virtual_size(head: &[u8]) -> Result<u64, Refusal> {
    if number(head, 8)? != 0 {
        return Err(Refusal::Backed);
    }
    let version = number(head, 4)? >> 32;
    if version >= 3 && number(head, 72)? & 0b100 != 0 {
        return Err(Refusal::External);
    }
    number(head, 24)
}

fn number(head: &[u8], at: usize) -> Result<u64, Refusal> {
    let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qcow2(backing: u64, features: u64) -> Vec<u8> {
        let mut head = vec![0; 104];
        head[..4].copy_from_slice(QCOW2);
        head[7] = 3;
        head[8..16].copy_from_slice(&backing.to_be_bytes());
        head[24..32].copy_from_slice(&(5 * GIB).to_be_bytes());
        head[72..80].copy_from_slice(&features.to_be_bytes());
        head
    }

    fn read_bytes(bytes: &[u8]) -> Result<Image, Refusal> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        std::fs::write(&file, bytes).unwrap();
        read(&file, 10 * GIB)
    }

    #[test]
    fn sizes_come_from_the_head_or_the_length() {
        assert_eq!(read_bytes(&qcow2(0, 0)).unwrap(), Image { size_bytes: 5 * GIB, used_bytes: 104 });
        assert_eq!(read_bytes(b"raw").unwrap(), Image { size_bytes: GIB, used_bytes: 3 });
    }

    #[test]
    fn an_image_that_reaches_out_is_refused() {
        assert!(matches!(read_bytes(&qcow2(104, 0)), Err(Refusal::Backed)));
        assert!(matches!(read_bytes(&qcow2(0, 4)), Err(Refusal::External)));
        assert!(matches!(read_bytes(b""), Err(Refusal::Empty)));
        assert!(matches!(read_bytes(&qcow2(0, 0)[..30]), Err(Refusal::Unreadable(_))));
    }
}
