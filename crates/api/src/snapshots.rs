//! Snapshots of machines' disks on the wire.

use deckle_api_macros::wire;

use crate::ids::{MachineId, SnapshotId};
use crate::machine_events::MachineEvent;

/// A machine's disk as it was at a moment. It goes with its machine.
#[wire]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Its name.
    pub name: String,
    /// The machine whose disk it is of.
    pub machine_id: MachineId,
    /// Whether it was taken by itself, at a time.
    pub is_auto_snapshot: bool,
}

/// A snapshot to take.
#[wire(strict)]
pub struct CreateSnapshot {
    /// Its name.
    pub name: String,
    /// The machine whose disk it is to be of, on or off.
    pub machine_id: MachineId,
}

/// What to change of a snapshot; what is left out stays.
#[wire(strict)]
pub struct UpdateSnapshot {
    /// Its name.
    pub name: Optional<String>,
}

/// How a machine's disk is to go back to a snapshot.
#[wire(strict)]
pub struct RestoreSnapshot {
    /// Whether a snapshot is to be taken first of what the restore discards.
    pub create_snapshot_before_restore: Optional<bool>,
}

/// What was ordered of a snapshot.
#[wire]
pub struct SnapshotOrdered {
    /// How it goes.
    pub event: MachineEvent,
    /// The snapshot.
    pub data: Snapshot,
}

crate::list_query! {
    /// The snapshots of a team's machines.
    ListSnapshots by SnapshotOrder { DtCreated = "dtCreated", Name = "name" }
    where {
        /// Only snapshots of this machine.
        machine_id: MachineId,
    }
}
