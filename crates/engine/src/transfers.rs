//! What users have stored, as files: a machine's disk, a shared drive.

use std::fmt;
use std::path::PathBuf;

use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId};
use serde::{Deserialize, Serialize};

/// Something that holds users' bytes on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stored {
    /// A machine's disk.
    Disk(MachineId),
    /// A shared drive, and the network that it is, or is to be, shared in.
    Drive(SharedDriveId, PrivateNetworkId),
}

impl Stored {
    /// The id of the machine or the drive.
    pub fn id(&self) -> &str {
        match self {
            Self::Disk(id) => id.as_str(),
            Self::Drive(id, _) => id.as_str(),
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(id) => write!(f, "the disk of {id}"),
            Self::Drive(id, _) => write!(f, "the drive {id}"),
        }
    }
}

/// What is to become a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSpec {
    /// What.
    pub of: Stored,
    /// The file, by its absolute path on the host.
    pub file: PathBuf,
    /// Whether a file that is there is replaced; it is a refusal otherwise.
    pub replace: bool,
}

/// What is to become what a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// What.
    pub of: Stored,
    /// The file, by its absolute path on the host.
    pub file: PathBuf,
    /// Its size afterwards, in bytes. A file that holds more is refused.
    pub size_bytes: u64,
}

/// How far an export or an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferSeen {
    /// The bytes that are copied.
    pub done_bytes: u64,
    /// The bytes to copy, at most; 0 until that is known.
    pub total_bytes: u64,
}
