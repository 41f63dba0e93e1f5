//! Shared drives on this host.

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};

use super::losses::Losses;
use super::paths::Paths;
use crate::error::{Error, Result};
use crate::seen::DriveSeen;
use crate::specs::{DriveSpec, ShareSpec};

/// The shared drives of one installation on this host.
#[derive(Debug)]
pub struct Drives {
    paths: Paths,
    losses: Losses,
}

impl Drives {
    /// The drives of the installation that `paths` names.
    pub fn new(paths: Paths, losses: Losses) -> Self {
        Self { paths, losses }
    }

    /// A drive's image, and its share in a network.
    pub async fn look(&self, _: &SharedDriveId, _: &PrivateNetworkId) -> Result<DriveSeen> {
        Ok(DriveSeen::default())
    }

    /// Makes a drive's image, or grows it.
    pub async fn ensure(&self, spec: &DriveSpec) -> Result<()> {
        let _ = (&self.paths, &self.losses);
        Err(Error::lasting(format!("make the drive {}", spec.drive), "this branch has no drives yet"))
    }

    /// Removes a drive's image.
    pub async fn remove(&self, _: &SharedDriveId) -> Result<()> {
        Ok(())
    }

    /// Shares a drive in its network.
    pub async fn ensure_share(&self, spec: &ShareSpec) -> Result<()> {
        Err(Error::lasting(format!("share {}", spec.drive), "this branch has no drives yet"))
    }

    /// Takes a drive's share away.
    pub async fn remove_share(&self, _: &SharedDriveId, _: &PrivateNetworkId) -> Result<()> {
        Ok(())
    }
}
