//! Quotas: what a team may have at most, where the operator has set a limit.
//!
//! **Invariant**: whatever makes one more thing that a quota counts calls [`service::admit`] in the
//! transaction that makes it. Writers take turns, so no two of them see the same room.

pub mod service;
mod store;

use crate::catalogue::Catalogue;

/// What a quota counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noun {
    /// Machines that exist, on or off.
    Machines,
    /// Private networks.
    PrivateNetworks,
    /// Claimed public addresses.
    PublicIps,
    /// Shared drives.
    SharedDrives,
    /// The sizes of shared drives together, in GB.
    SharedDrivesGb,
    /// Custom templates.
    CustomTemplates,
    /// GPUs of one model, in machines that exist.
    Gpus(String),
}

impl Noun {
    /// The word that it has in rows and on the operator's socket.
    pub fn word(&self) -> String {
        match self {
            Self::Machines => "machines".to_owned(),
            Self::PrivateNetworks => "private-networks".to_owned(),
            Self::PublicIps => "public-ips".to_owned(),
            Self::SharedDrives => "shared-drives".to_owned(),
            Self::SharedDrivesGb => "shared-drives-gb".to_owned(),
            Self::CustomTemplates => "custom-templates".to_owned(),
            Self::Gpus(model) => format!("gpus/{model}"),
        }
    }

    /// What a word counts, where the catalogue has these models of GPUs.
    pub fn of(word: &str, catalogue: &Catalogue) -> Option<Self> {
        if let Some(model) = word.strip_prefix("gpus/") {
            return catalogue.gpu_model(model).map(|model| Self::Gpus(model.to_owned()));
        }
        let plain = [
            Self::Machines,
            Self::PrivateNetworks,
            Self::PublicIps,
            Self::SharedDrives,
            Self::SharedDrivesGb,
            Self::CustomTemplates,
        ];
        plain.into_iter().find(|noun| noun.word() == word)
    }
}
