//! Startup scripts on the wire.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::{MachineId, StartupScriptId};

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

crate::list_query! {
    /// The startup scripts of a team.
    ListStartupScripts by StartupScriptOrder { DtCreated = "dtCreated", Name = "name" }
    where {
        /// Only scripts whose name contains this, in any case.
        name: String,
    }
}
