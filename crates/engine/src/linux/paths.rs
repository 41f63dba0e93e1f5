//! Every name that this installation has on the host, made from ids.
//!
//! **Invariant**: each name carries the installation's tag or lies in its state folder, so that two
//! installations on one host never see, mend or remove each other's things.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, TemplateId};

use crate::specs::HostNetwork;

/// The random mark of an installation: three lower-case letters or digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// A tag from random bits.
    pub fn mint(random: u64) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let digit = |place: u32| char::from(DIGITS[(random / 36u64.pow(place) % 36) as usize]);
        Self((0..3).map(digit).collect())
    }
}

impl FromStr for Tag {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let right = text.len() == 3 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        right.then(|| Self(text.to_owned())).ok_or("a tag is three lower-case letters or digits")
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names of one installation.
#[derive(Debug, Clone)]
pub struct Paths {
    tag: Tag,
    state: PathBuf,
}

impl Paths {
    /// The names of the installation with that tag and state folder.
    pub fn new(tag: Tag, state: PathBuf) -> Self {
        Self { tag, state }
    }

    /// What the name of each of this installation's namespaces begins with.
    pub fn namespace_prefix(&self) -> String {
        format!("deckle-{}-", self.tag)
    }

    /// The network namespace of a network.
    pub fn namespace(&self, network: &HostNetwork) -> String {
        format!("{}{network}", self.namespace_prefix())
    }

    /// What the name of each of this installation's uplinks begins with.
    pub fn uplink_prefix(&self) -> String {
        format!("dk{}", self.tag)
    }

    /// The host's end of a network's uplink: at most 15 characters, for ids as they are minted.
    pub fn uplink(&self, network: &HostNetwork) -> String {
        format!("{}{network}", self.uplink_prefix())
    }

    /// The machine's port in its network's namespace.
    pub fn tap(&self, machine: &MachineId) -> String {
        machine.to_string()
    }

    /// This installation's table of packet rules on the host.
    pub fn rules(&self) -> String {
        format!("deckle_{}", self.tag)
    }

    /// Where all of the engine's files lie.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where templates lie.
    pub fn templates(&self) -> PathBuf {
        self.state.join("templates")
    }

    /// A template's image.
    pub fn template(&self, id: &TemplateId) -> PathBuf {
        self.templates().join(format!("{id}.qcow2"))
    }

    /// Where machines lie.
    pub fn machines(&self) -> PathBuf {
        self.state.join("machines")
    }

    /// Where a machine's disk, seed, sockets and logs lie. Its group is the user that QEMU runs as.
    pub fn machine(&self, id: &MachineId) -> PathBuf {
        self.machines().join(id.as_str())
    }

    /// Where the notes of GPUs that were taken from the host lie.
    pub fn gpus(&self) -> PathBuf {
        self.state.join("gpus")
    }

    /// Where networks lie.
    pub fn networks(&self) -> PathBuf {
        self.state.join("networks")
    }

    /// Where a network's lease server keeps its files.
    pub fn network(&self, network: &HostNetwork) -> PathBuf {
        self.networks().join(network.to_string())
    }

    /// Where shared drives lie.
    pub fn drives(&self) -> PathBuf {
        self.state.join("drives")
    }

    /// Where a shared drive's image lies.
    pub fn drive(&self, id: &SharedDriveId) -> PathBuf {
        self.drives().join(id.as_str())
    }

    /// What lives no longer than the host's boot.
    pub fn run(&self) -> PathBuf {
        PathBuf::from(format!("/run/deckle-{}", self.tag))
    }

    /// Where the server of a network's drives has its files, and the drives are mounted.
    pub fn served(&self, network: &PrivateNetworkId) -> PathBuf {
        self.run().join(network.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_fit_the_kernel() {
        let paths = Paths::new(Tag::mint(u64::MAX), PathBuf::from("/state"));
        let own = HostNetwork::Own(MachineId::mint(u64::MAX));
        assert!(paths.uplink(&own).len() <= 15);
        assert!(paths.tap(&MachineId::mint(7)).len() <= 15);
    }
}
