//! Shared drives: their images, and their shares in networks.

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};

use super::world::{Drive, Thing, World};
use crate::error::{Error, Result};
use crate::seen::{DriveImageSeen, DriveSeen, ShareSeen};
use crate::specs::{DriveSpec, HostNetwork, ShareSpec};

impl World {
    pub fn look_drive(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> DriveSeen {
        let image = self.drives.get(id).map(|drive| DriveImageSeen { size_bytes: drive.size_bytes });
        let network = self.networks.get(&HostNetwork::Private(network.clone()));
        let password_number = network.and_then(|network| network.shares.get(id).copied());
        DriveSeen { image, share: password_number.map(|password_number| ShareSeen { password_number }) }
    }

    pub fn ensure_drive(&mut self, spec: &DriveSpec) -> Result<()> {
        let DriveSpec { drive: id, network: _, size_bytes } = spec;
        let there_bytes = self.drives.get(id).map_or(0, |drive| drive.size_bytes);
        let more = size_bytes.saturating_sub(there_bytes);
        if more == 0 {
            return Ok(());
        }
        if self.capacity_seen().is_some_and(|capacity| more > capacity.disk_free_bytes) {
            return Err(Error::lasting(format!("make the drive {id}, {size_bytes} bytes"), "no space left"));
        }
        let written = self.drives.remove(id).map(|drive| drive.written).unwrap_or_default();
        self.drives.insert(id.clone(), Drive { id: id.clone(), size_bytes: *size_bytes, written });
        self.taken.disk_bytes += more;
        self.changed.insert(Thing::Drive(id.clone()));
        Ok(())
    }

    pub fn remove_drive(&mut self, id: &SharedDriveId) -> Result<()> {
        if self.networks.values().any(|network| network.shares.contains_key(id)) {
            return Err(Error::lasting(format!("remove the drive {id}"), "it is shared"));
        }
        self.lose_drive(id);
        Ok(())
    }

    /// The image is gone, and nothing else of it: what it was.
    pub fn lose_drive(&mut self, id: &SharedDriveId) -> Option<Drive> {
        let drive = self.drives.remove(id)?;
        self.taken.disk_bytes -= drive.size_bytes;
        self.changed.insert(Thing::Drive(id.clone()));
        Some(drive)
    }

    pub fn put_back_drive(&mut self, drive: Drive) {
        self.taken.disk_bytes += drive.size_bytes;
        self.changed.insert(Thing::Drive(drive.id.clone()));
        self.drives.insert(drive.id.clone(), drive);
    }

    pub fn ensure_share(&mut self, spec: &ShareSpec) -> Result<()> {
        let ShareSpec { drive, network, password_number, .. } = spec;
        let act = || format!("share {drive} in {network}");
        if !self.drives.contains_key(drive) {
            return Err(Error::lasting(act(), "the drive has no image"));
        }
        let id = HostNetwork::Private(network.clone());
        let Some(network) = self.networks.get_mut(&id) else {
            return Err(Error::passing(act(), "the network is not there"));
        };
        if network.shares.insert(drive.clone(), *password_number) != Some(*password_number) {
            self.changed.insert(Thing::Network(id));
        }
        Ok(())
    }

    pub fn remove_share(&mut self, id: &SharedDriveId, network: &PrivateNetworkId) {
        let name = HostNetwork::Private(network.clone());
        let network = self.networks.get_mut(&name);
        if network.is_some_and(|network| network.shares.remove(id).is_some()) {
            self.changed.insert(Thing::Network(name));
        }
    }
}
