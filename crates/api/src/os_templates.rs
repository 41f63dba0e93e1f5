//! Templates of operating systems on the wire.

use deckle_api_macros::wire;

use crate::Timestamp;
use crate::ids::TemplateId;
use crate::sizes::SizeGb;

/// A template that machines can be made from.
#[wire]
pub struct OsTemplate {
    /// Its id.
    pub id: TemplateId,
    /// Its name.
    pub name: String,
    /// What kind of agent it has: `LinuxHeadless`.
    pub agent_type: String,
    /// Its operating system, in words.
    pub operating_system_label: String,
    /// The smallest disk that a machine from it may have.
    pub default_size_gb: Nullable<SizeGb>,
    /// The machine types that it runs on.
    pub available_machine_types: Vec<AvailableMachineType>,
    /// When it was taken in.
    pub dt_created: Timestamp,
}

/// A machine type that a template runs on.
#[wire]
pub struct AvailableMachineType {
    /// The type's label.
    pub machine_type_label: String,
    /// Whether there is room for one somewhere now.
    pub is_available: bool,
}

crate::list_query! {
    /// The templates of operating systems.
    ListOsTemplates by OsTemplateOrder { Name = "name" }
    where {
        /// Only templates whose name contains this, in any case.
        name: String,
    }
}
