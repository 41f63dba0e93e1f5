//! Startup scripts on the wire.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::{MachineId, StartupScriptId, StartupScriptRunId};

/// A saved script that machines run as root at the end of their boot. Its text is never shown.
#[wire]
pub struct StartupScript {
    /// Its id.
    pub id: StartupScriptId,
    /// Its name.
    pub name: String,
    /// A description, where there is one.
    pub description: Nullable<String>,
    /// Whether machines run it at all.
    pub is_enabled: bool,
    /// Whether each machine runs it once only.
    pub is_run_once: bool,
    /// The machines that it is assigned to.
    pub assigned_machine_ids: Vec<MachineId>,
    /// When it was created.
    pub dt_created: Timestamp,
    /// When it was deleted.
    pub dt_deleted: Nullable<Timestamp>,
}

/// A startup script to create.
#[wire(strict)]
pub struct CreateStartupScript {
    /// Its name.
    pub name: String,
    /// Its text, at most 16 KiB.
    pub script: String,
    /// Whether each machine is to run it once only.
    #[schema(default = false)]
    pub is_run_once: Optional<bool>,
}

/// What to change of a startup script; what is left out stays. Machines take it up at their next start.
#[wire(strict)]
pub struct UpdateStartupScript {
    /// Its name.
    pub name: Optional<String>,
    /// Its text, at most 16 KiB.
    pub script: Optional<String>,
    /// Whether each machine is to run it once only. One that has run it does not run it again.
    pub is_run_once: Optional<bool>,
    /// Whether machines run it at all.
    pub is_enabled: Optional<bool>,
}

/// The machine that a startup script is assigned to, or taken from.
#[wire(strict)]
pub struct AssignStartupScript {
    /// The machine.
    pub machine_id: MachineId,
}

/// One run of a startup script: what came of it at one start of one machine.
#[wire]
pub struct StartupScriptRun {
    /// Its id.
    pub id: StartupScriptRunId,
    /// The machine that was started with the script.
    pub machine_id: MachineId,
    /// The number of that start in the machine's life, from 1.
    #[schema(value_type = i64)]
    pub boot: u64,
    /// What the script ended with, 0 to 255. Null while it runs, and where its end was not seen.
    pub exit_status: Nullable<u8>,
    /// The last 64 KiB of what it printed so far. Null where its beginning was not seen; bytes that are not
    /// UTF-8 are shown as U+FFFD.
    pub output: Nullable<String>,
    /// When the machine was started with it.
    pub dt_created: Timestamp,
    /// When its end was seen.
    pub dt_finished: Nullable<Timestamp>,
}

crate::list_query! {
    /// The startup scripts of a team.
    ListStartupScripts by StartupScriptOrder { DtCreated = "dtCreated", Name = "name" }
    where {
        /// Only scripts whose name contains this, in any case.
        name: String,
    }
}

crate::list_query! {
    /// The runs of a startup script.
    ListStartupScriptRuns by StartupScriptRunOrder { DtCreated = "dtCreated" }
    where {
        /// Only runs on this machine.
        machine_id: MachineId,
    }
}
