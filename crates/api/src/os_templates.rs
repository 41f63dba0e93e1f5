//! Templates of operating systems on the wire.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// What kind of agent it has: `LinuxHeadless`, or `LinuxDesktop` where its machines have a desktop.
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

/// What kind of agent a template that is taken in has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum AgentType {
    /// Its machines are reached over the network.
    #[default]
    LinuxHeadless,
    /// Its machines have a desktop too.
    LinuxDesktop,
}

impl AgentType {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LinuxHeadless => "LinuxHeadless",
            Self::LinuxDesktop => "LinuxDesktop",
        }
    }
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
