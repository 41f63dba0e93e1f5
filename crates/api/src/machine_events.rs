//! Machine events on the wire: the tickets of long work.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::ids::{MachineEventId, MachineId};

/// How a piece of work on a machine goes.
#[wire]
pub struct MachineEvent {
    /// Its id.
    pub id: MachineEventId,
    /// What is being done.
    pub name: MachineEventName,
    /// How far it is.
    pub state: MachineEventState,
    /// The machine that it is about.
    pub machine_id: Nullable<MachineId>,
    /// When it was ordered.
    pub dt_created: Timestamp,
    /// When the work began.
    pub dt_started: Nullable<Timestamp>,
    /// When it ended.
    pub dt_finished: Nullable<Timestamp>,
    /// Why it failed.
    pub error: Nullable<String>,
}

/// What a piece of work on a machine waits for. Once it has ended, nothing is done or tried any more.
#[wire]
pub struct MachineEventDetail {
    /// The event's id.
    pub event_id: MachineEventId,
    /// How far it is.
    pub state: MachineEventState,
    /// What is done, or waited for, while it has not ended.
    pub step: Nullable<String>,
    /// Since when.
    pub since: Nullable<Timestamp>,
    /// What went wrong last; where the event has failed, why.
    pub last_error: Nullable<String>,
    /// When it did, as far as that is known.
    pub dt_last_error: Nullable<Timestamp>,
    /// When it is tried next: this moment where that is being done.
    pub next_try: Nullable<Timestamp>,
    /// How often in a row it went wrong.
    pub failures: u64,
    /// When it ended.
    pub dt_finished: Nullable<Timestamp>,
}

/// What is being done to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the words are the wire's; the used ones are documented where they are opened"
)]
pub enum MachineEventName {
    BillSessions,
    BillUpgrade,
    Create,
    Deactivate,
    Restart,
    SnapshotCreate,
    SnapshotDelete,
    SnapshotRestore,
    Start,
    Stop,
    TemplateCreate,
    TemplateDelete,
    TemplateDistribute,
    TemplateImport,
    VmMigrate,
    VmShutdownForce,
    VmUpgrade,
}

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MachineEventState {
    /// Ordered; nothing was done yet.
    New,
    /// Under way.
    #[serde(rename = "in progress")]
    InProgress,
    /// It has succeeded.
    Done,
    /// It has failed.
    Error,
    /// Another order took its place.
    Cancelled,
}

crate::list_query! {
    /// The machine events of a team.
    ListMachineEvents by MachineEventOrder { DtCreated = "dtCreated" }
    where {
        /// Only events of this machine.
        machine_id: MachineId,
    }
}
