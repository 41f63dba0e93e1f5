//! An ISO 9660 image with Joliet and Rock Ridge names, made in memory, the same for the same files.

use std::io::Cursor;

use hadris_iso::joliet::JolietLevel;
use hadris_iso::read::PathSeparator;
use hadris_iso::rrip::RripOptions;
use hadris_iso::write::options::{CreationFeatures, IsoFormatOptions};
use hadris_iso::write::{InputEntry, InputTree, IsoImageWriter};

const SECTOR: usize = 2048;
const FIRST_DESCRIPTOR: usize = 16;

/// A disc could not be made of those files.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// The writer refused.
    #[error("the seed cannot be written")]
    Written(#[from] hadris_iso::write::IsoCreationError),
    /// What was written is not laid out as it should be.
    #[error("the written seed has no sound directory")]
    Unsound,
}

/// A file by its name.
pub struct File {
    name: String,
    bytes: Vec<u8>,
}

impl File {
    /// A file with those bytes.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

/// What lies in a folder.
pub struct Folder {
    /// Its files.
    pub files: Vec<File>,
    /// Its folders, by their names.
    pub folders: Vec<(&'static str, Self)>,
}

impl Folder {
    fn entries(self) -> Vec<InputEntry> {
        let files = self.files.into_iter().map(|file| InputEntry::file(file.name, file.bytes));
        let folders =
            self.folders.into_iter().map(|(name, folder)| InputEntry::directory(name, folder.entries()));
        files.chain(folders).collect()
    }
}

/// A disc with that label.
pub fn image(label: &str, root: Folder) -> Result<Vec<u8>, NotMade> {
    let tree = InputTree::new(PathSeparator::ForwardSlash, root.entries());
    let written = IsoImageWriter::create(Cursor::new(Vec::new()), tree, options(label))?;
    let mut image = written.into_inner();
    settle_dates(&mut image).ok_or(NotMade::Unsound)?;
    Ok(image)
}

fn options(label: &str) -> IsoFormatOptions {
    let rock_ridge = RripOptions { preserve_timestamps: false, ..RripOptions::default() };
    IsoFormatOptions {
        volume_name: label.to_owned(),
        system_id: None,
        volume_set_id: None,
        publisher_id: None,
        preparer_id: None,
        application_id: None,
        sector_size: SECTOR,
        path_separator: PathSeparator::ForwardSlash,
        strict_charset: false,
        features: CreationFeatures {
            joliet: Some(JolietLevel::Level3),
            rock_ridge: Some(rock_ridge),
            ..CreationFeatures::extensions()
        },
    }
}

/// The writer stamps the time of writing everywhere: takes it out again.
fn settle_dates(image: &mut [u8]) -> Option<()> {
    const PRIMARY: u8 = 1;
    const JOLIET: u8 = 2;
    const MADE_AND_CHANGED: std::ops::Range<usize> = 813..847;
    const ROOT: usize = 156;
    for descriptor in (FIRST_DESCRIPTOR..).map(|sector| sector * SECTOR) {
        match *image.get(descriptor)? {
            PRIMARY | JOLIET => {
                let made = descriptor + MADE_AND_CHANGED.start;
                let stamp = image.get_mut(made..descriptor + MADE_AND_CHANGED.end)?;
                stamp.copy_from_slice(b"2020010100000000\x002020010100000000\x00");
                settle_record(image, descriptor + ROOT, 0)?;
            }
            255 => return Some(()),
            _ => {}
        }
    }
    None
}

/// A directory's record, and all records inside it.
fn settle_record(image: &mut [u8], record: usize, depth: usize) -> Option<()> {
    const DEPTH_MAX: usize = 8;
    const DATE: std::ops::Range<usize> = 18..25;
    const FOLDER: u8 = 2;
    image.get_mut(record + DATE.start..record + DATE.end)?.copy_from_slice(&[120, 1, 1, 0, 0, 0, 0]);
    let is_itself_or_above = depth > 0 && image[record + 32] == 1 && image[record + 33] <= 1;
    if image[record + 25] & FOLDER == 0 || is_itself_or_above || depth > DEPTH_MAX {
        return Some(());
    }
    let start = u32_at(image, record + 2)? * SECTOR;
    let end = start + u32_at(image, record + 10)?;
    let mut at = start;
    while at < end {
        match usize::from(*image.get(at)?) {
            // The rest of a sector is empty when the next record does not fit.
            0 => at = (at / SECTOR + 1) * SECTOR,
            length => {
                settle_record(image, at, depth + 1)?;
                at += length;
            }
        }
    }
    Some(())
}

fn u32_at(image: &[u8], at: usize) -> Option<usize> {
    let bytes = image.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}
