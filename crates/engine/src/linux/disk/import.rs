//! What of an image file may become a template, and why not.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::header;

/// Why an image cannot serve as a template; each says how to mend it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such file.
    #[error("there is no file {}", .0.display())]
    NotThere(PathBuf),
    /// A folder, a device, a pipe.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// An overlay.
    #[error("it is an overlay of `{0}`: flatten it with `qemu-img convert -O qcow2 IMAGE FLAT`")]
    BackingFile(String),
    /// A qcow2 file that keeps its bytes elsewhere.
    #[error("its bytes lie in another file: gather them with `qemu-img convert -O qcow2 IMAGE WHOLE`")]
    ExternalData,
    /// An encrypted image.
    #[error("it is encrypted: decrypt it with `qemu-img convert` first")]
    Encrypted,
    /// Neither a known format nor a raw disk that can boot.
    #[error(
        "its format is unknown: it must be qcow2, VDI, VHD, VHDX, or a raw disk with a boot sector; make one \
         with `qemu-img convert -O qcow2 IMAGE NEW`"
    )]
    Unknown,
    /// Too large for this installation.
    #[error("its disk has {size_bytes} bytes, and at most {size_bytes_max} are taken")]
    TooLarge {
        /// The size that a guest would see.
        size_bytes: u64,
        /// The bound.
        size_bytes_max: u64,
    },
    /// QEMU's own tool cannot read it.
    #[error("qemu-img cannot read it: {0}")]
    Unreadable(String),
    /// Its parts do not hang together.
    #[error("it is damaged, or its download broke off: fetch it again, or try `qemu-img check -r all IMAGE`")]
    Broken,
    /// No room to take it in.
    #[error("it needs {needed} bytes and {free} are free above the floor: make room in the state folder")]
    NoRoom {
        /// What it may take.
        needed: u64,
        /// What is free.
        free: u64,
    },
}

/// The formats that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// QEMU's own.
    Qcow2,
    /// A disk, byte for byte.
    Raw,
    /// VirtualBox's.
    Vdi,
    /// Hyper-V's first.
    Vpc,
    /// Hyper-V's second.
    Vhdx,
}

impl Format {
    /// QEMU's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vdi => "vdi",
            Self::Vpc => "vpc",
            Self::Vhdx => "vhdx",
        }
    }
}

/// Looks at a file's own bytes: its format, and whether it leads out of itself.
///
/// VMDK is not taken: its descriptor may name any file of the host as an extent.
pub fn examine(file: &Path) -> Result<Format, Refusal> {
    match fs::metadata(file) {
        Err(_) => return Err(Refusal::NotThere(file.to_owned())),
        Ok(facts) if !facts.is_file() => return Err(Refusal::NotAFile(file.to_owned())),
        Ok(_) => {}
    }
    let unreadable = |error: io::Error| Refusal::Unreadable(error.to_string());
    // The file itself may be a link that the operator made: the header is read where it leads.
    let real = file.canonicalize().map_err(unreadable)?;
    match header::read(&real).map_err(unreadable)?.0 {
        Some(header) => whole_in_itself(header),
        None => detect(&real).map_err(unreadable)?.ok_or(Refusal::Unknown),
    }
}

fn whole_in_itself(header: header::Header) -> Result<Format, Refusal> {
    match header {
        header::Header { backing_file: Some(name), .. } => {
            Err(Refusal::BackingFile(name.chars().filter(|c| !c.is_control()).collect()))
        }
        header::Header { external_data: true, .. } => Err(Refusal::ExternalData),
        header::Header { encrypted: true, .. } => Err(Refusal::Encrypted),
        _ => Ok(Format::Qcow2),
    }
}

fn detect(file: &Path) -> io::Result<Option<Format>> {
    let mut opened = File::open(file)?;
    let mut start = Vec::new();
    Read::by_ref(&mut opened).take(512).read_to_end(&mut start)?;
    let length = opened.seek(SeekFrom::End(0))?;
    let mut end = Vec::new();
    opened.seek(SeekFrom::Start(length.saturating_sub(512)))?;
    opened.read_to_end(&mut end)?;
    let found = if start.starts_with(b"vhdxfile") {
        Some(Format::Vhdx)
    } else if start.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) {
        Some(Format::Vdi)
    } else if start.starts_with(b"conectix") || end.starts_with(b"conectix") {
        Some(Format::Vpc)
    } else if start.get(510..512) == Some(&[0x55, 0xaa]) {
        Some(Format::Raw)
    } else {
        None
    };
    Ok(found)
}

/// The part of `qemu-img info --output=json` that decides.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Described {
    virtual_size: u64,
    #[serde(default)]
    encrypted: bool,
    backing_filename: Option<String>,
}

/// Judges what `qemu-img info` says; the answer is the size that a guest sees.
pub fn judge(said: &[u8], size_bytes_max: u64) -> Result<u64, Refusal> {
    let info: Described =
        serde_json::from_slice(said).map_err(|error| Refusal::Unreadable(error.to_string()))?;
    match info {
        Described { backing_filename: Some(name), .. } => Err(Refusal::BackingFile(name)),
        Described { encrypted: true, .. } => Err(Refusal::Encrypted),
        Described { virtual_size: size_bytes, .. } if size_bytes > size_bytes_max => {
            Err(Refusal::TooLarge { size_bytes, size_bytes_max })
        }
        Described { virtual_size, .. } => Ok(virtual_size),
    }
}

/// Judges what `qemu-img check` says: an image that ends a cluster or more before its end is cut off.
pub fn judge_check(said: &[u8], file: &Path) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Checked {
        image_end_offset: u64,
    }
    let unreadable = |error: &dyn std::error::Error| Refusal::Unreadable(error.to_string());
    let checked: Checked = serde_json::from_slice(said).map_err(|error| unreadable(&error))?;
    let length = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    let cluster = header::read(file).map_err(|error| unreadable(&error))?.0.map_or(0, |it| it.cluster_bytes);
    if checked.image_end_offset >= length + cluster { Err(Refusal::Broken) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qemu_img_says_is_judged() {
        let says = |text: &str| judge(text.as_bytes(), 100);
        assert_eq!(says(r#"{"virtual-size":100,"format":"qcow2","children":[]}"#), Ok(100));
        let too_large = Refusal::TooLarge { size_bytes: 101, size_bytes_max: 100 };
        assert_eq!(says(r#"{"virtual-size":101}"#), Err(too_large));
        assert_eq!(says(r#"{"virtual-size":9,"encrypted":true}"#), Err(Refusal::Encrypted));
        let overlay = says(r#"{"virtual-size":9,"backing-filename":"/etc/passwd"}"#);
        assert_eq!(overlay, Err(Refusal::BackingFile("/etc/passwd".to_owned())));
        assert!(matches!(says("{}"), Err(Refusal::Unreadable(_))));
    }

    #[test]
    fn a_format_is_told_by_its_own_mark_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        let marked = |at: usize, mark: &[u8]| {
            let mut bytes = vec![0; 1024];
            bytes[at..at + mark.len()].copy_from_slice(mark);
            fs::write(&file, bytes).unwrap();
            examine(&file)
        };
        assert_eq!(marked(0, b"vhdxfile"), Ok(Format::Vhdx));
        assert_eq!(marked(64, &[0x7f, 0x10, 0xda, 0xbe]), Ok(Format::Vdi));
        assert_eq!(marked(512, b"conectix"), Ok(Format::Vpc));
        assert_eq!(marked(510, &[0x55, 0xaa]), Ok(Format::Raw));
        assert_eq!(marked(0, b"KDMV"), Err(Refusal::Unknown));
        assert_eq!(examine(folder.path()), Err(Refusal::NotAFile(folder.path().to_owned())));
    }
}
