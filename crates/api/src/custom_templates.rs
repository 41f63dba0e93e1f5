//! Custom templates on the wire: what a team has made of its machines' disks.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::{MachineId, TemplateId};
use crate::machine_events::MachineEvent;
use crate::os_templates::AvailableMachineType;
use crate::regions::Region;
use crate::sizes::SizeGb;

/// A template that a team has made of a machine's disk, with the users and files that were on it.
#[wire]
pub struct CustomTemplate {
    /// Its id.
    pub id: TemplateId,
    /// Its name.
    pub name: String,
    /// What kind of agent it has, as its machine had: `LinuxHeadless`.
    pub agent_type: String,
    /// Its operating system, in words.
    pub operating_system_label: String,
    /// Where it is, and where machines can be made from it.
    pub region: Region,
    /// The smallest disk that a machine from it may have: its machine's.
    pub default_size_gb: SizeGb,
    /// The machine types that machines from it may have: those of its machine's family.
    pub available_machine_types: Vec<AvailableMachineType>,
    /// The machine that it was made of, which may be deleted by now.
    pub parent_machine_id: MachineId,
    /// When it was ordered.
    pub dt_created: Timestamp,
    /// When it was deleted.
    pub dt_deleted: Optional<Nullable<Timestamp>>,
}

/// A custom template to make of a machine that is off.
#[wire(strict)]
pub struct CreateCustomTemplate {
    /// Its name.
    pub name: String,
    /// The machine. It is off, and stays off until the event ends.
    pub machine_id: MachineId,
}

/// What to change of a custom template.
#[wire(strict)]
pub struct UpdateCustomTemplate {
    /// Its name.
    pub name: String,
}

/// What was ordered: the event that tells how it goes, and the template, which can be used once that is done.
#[wire]
pub struct CustomTemplateOrdered {
    /// How it goes.
    pub event: MachineEvent,
    /// The template.
    pub data: CustomTemplate,
}

crate::list_query! {
    /// The custom templates of a team.
    ListCustomTemplates by CustomTemplateOrder { DtCreated = "dtCreated", Name = "name" }
    where {
        /// Only templates whose name contains this, in any case.
        name: String,
        /// Only those that were made of this machine.
        machine_id: MachineId,
    }
}
