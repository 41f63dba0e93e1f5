//! What users have stored as files, and files as what users have stored: over the operator's socket only.

use std::path::PathBuf;

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{MachineId, SharedDriveId, TransferId};

/// A machine's disk or a shared drive to copy to a file: `POST /admin/exports`. Exactly one of them is named.
#[wire(strict)]
pub struct Export {
    /// The machine whose disk it is.
    pub machine_id: Optional<MachineId>,
    /// The drive.
    pub shared_drive_id: Optional<SharedDriveId>,
    /// The file, by its absolute path on the server's host.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Whether a file that is there is replaced; false when left out.
    pub replace: Optional<bool>,
}

/// A file whose contents take the place of all that a machine's disk or a shared drive holds:
/// `POST /admin/imports`. Exactly one of them is named.
#[wire(strict)]
pub struct Import {
    /// The machine whose disk it is: off, without snapshots.
    pub machine_id: Optional<MachineId>,
    /// The drive.
    pub shared_drive_id: Optional<SharedDriveId>,
    /// The file, by its absolute path on the server's host.
    #[schema(value_type = String)]
    pub file: PathBuf,
}

/// An export or an import: `GET /admin/transfers` answers a list of those since the server's start.
#[wire]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// What is done.
    pub act: TransferAct,
    /// The machine whose disk it is.
    pub machine_id: Optional<MachineId>,
    /// The drive.
    pub shared_drive_id: Optional<SharedDriveId>,
    /// The file, on the server's host.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// How it is.
    pub state: TransferState,
    /// The bytes that are copied, where that is known.
    #[schema(value_type = i64)]
    pub done_bytes: Optional<u64>,
    /// The bytes to copy, at most, where that is known.
    #[schema(value_type = i64)]
    pub total_bytes: Optional<u64>,
    /// Why it failed.
    pub error: Optional<String>,
    /// When it was asked for.
    pub dt_created: Timestamp,
    /// When it ended.
    pub dt_finished: Optional<Timestamp>,
}

/// What a transfer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransferAct {
    /// What is stored becomes a file.
    Export,
    /// A file becomes what is stored.
    Import,
}

impl TransferAct {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Import => "import",
        }
    }
}

/// How a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransferState {
    /// Something else is done with the machine or the drive first.
    Waiting,
    /// It is under way.
    Running,
    /// It is done.
    Done,
    /// It has failed, and has changed nothing.
    Error,
}

impl TransferState {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Error => "error",
        }
    }
}
