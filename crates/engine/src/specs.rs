//! What an engine is told: plain values, complete in themselves, ready to travel to another process.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use deckle_api::firewall_rules::{FirewallDirection, FirewallProtocol};
use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, SnapshotId, StartupScriptId, TemplateId};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::pci::PciAddress;

/// A network on a host: a private network's, or the one that a machine without a network has to itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HostNetwork {
    /// The place of a private network's machines.
    Private(PrivateNetworkId),
    /// The isolated place of one machine.
    Own(MachineId),
}

impl fmt::Display for HostNetwork {
    /// The id that the host's names are made from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(id) => id.fmt(f),
            Self::Own(id) => id.fmt(f),
        }
    }
}

/// A network to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// Which one.
    pub network: HostNetwork,
    /// The addresses in use: a /24, or a /30 for a machine of its own. The first is the gateway's, and
    /// that of a private network's drives is the second.
    pub cidr: Ipv4Net,
    /// What may pass to and from its machines. In no set order; no two are the same.
    pub firewall: Vec<FirewallRule>,
}

impl NetworkSpec {
    /// The gateway's address: the first of the range.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()) + 1)
    }
}

/// The address that a private network's drives are served at: the second of its range.
pub fn drives_address(cidr: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()) + 2)
}

/// What may pass to or from some machines of a network.
///
/// A machine that no rule of a direction is for has no filter in that direction. One that some rule is for
/// sends, or gets, only what a rule that is for it allows, answers to that, and what it needs of the
/// gateway: an address, names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FirewallRule {
    /// Which machines it is for, by their addresses in the network: one, or all of its range.
    pub machines: Ipv4Net,
    /// Which way, as the machine sees it.
    pub direction: FirewallDirection,
    /// What is carried.
    pub protocol: FirewallProtocol,
    /// The first and the last port on the receiving side, for TCP and UDP; every port where it is absent.
    pub ports: Option<(u16, u16)>,
    /// The addresses on the other side.
    pub peers: Ipv4Net,
}

/// A hardware address of a network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// An address in the form that it is shown in.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            *byte = u8::from_str_radix(pairs.next()?, 16).ok()?;
        }
        pairs.next().is_none().then_some(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A machine's place in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicSpec {
    /// Whose.
    pub machine: MachineId,
    /// Where.
    pub network: HostNetwork,
    /// Its hardware address, the same for the machine's whole life.
    pub mac: Mac,
    /// The only address that the machine may use here.
    pub ip: Ipv4Addr,
    /// The names that resolve to it inside the network: the machine's id, and its name where that is one.
    pub names: Vec<String>,
}

/// A public address for a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicIpSpec {
    /// Whose.
    pub machine: MachineId,
    /// Where the machine is plugged in.
    pub network: HostNetwork,
    /// The address of the pool.
    pub public_ip: Ipv4Addr,
    /// The machine's own address there.
    pub ip: Ipv4Addr,
}

/// A machine's disk to make or grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// Whose.
    pub machine: MachineId,
    /// What it begins as.
    pub template: TemplateId,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A shared drive's image to make or grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveSpec {
    /// Which one.
    pub drive: SharedDriveId,
    /// The network that it is, or is to be, shared in.
    pub network: PrivateNetworkId,
    /// Its size in bytes: a whole number of GiB.
    pub size_bytes: u64,
}

/// A shared drive's share: what the machines of its network mount.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareSpec {
    /// Which drive. The share has its id as its name.
    pub drive: SharedDriveId,
    /// The network that it is shared in, and nowhere else.
    pub network: PrivateNetworkId,
    /// The network's addresses in use: the share is at [`drives_address`].
    pub cidr: Ipv4Net,
    /// The only user that may mount it.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// The number of the password, from 1; the look tells it back.
    pub password_number: u64,
}

impl fmt::Debug for ShareSpec {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { drive, network, cidr, password_number, .. } = self;
        write!(f, "ShareSpec {{ {drive} in {network}, {cidr}, password {password_number} }}")
    }
}

/// An image file to take in as a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSpec {
    /// What it is to be.
    pub id: TemplateId,
    /// The file, on the host.
    pub file: PathBuf,
    /// The largest virtual size that is taken, in bytes.
    pub size_bytes_max: u64,
}

/// A machine's disk to become a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureSpec {
    /// What it is to be.
    pub template: TemplateId,
    /// Whose disk it is a copy of, with all that the disk's own template put into it.
    pub machine: MachineId,
}

/// A disk to go back to what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreSpec {
    /// Whose.
    pub machine: MachineId,
    /// When it was so. Snapshots that were taken later stay.
    pub snapshot: SnapshotId,
    /// The number of the restore in the disk's life, from 1; the look tells the last one that is finished.
    pub generation: u64,
}

/// All that a machine is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootSpec {
    /// Which machine.
    pub machine: MachineId,
    /// The number of this boot in the machine's life, from 1; the look tells it back.
    pub boot: u64,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in bytes.
    pub ram_bytes: u64,
    /// The GPUs that it has to itself. No two are the same.
    pub gpus: Vec<PciAddress>,
    /// Its card and its place in a network.
    pub nic: NicSpec,
    /// What the guest is told at boot.
    pub seed: SeedSpec,
    /// A screen that can be watched and used from elsewhere; none for a headless machine.
    pub desktop: Option<DesktopSpec>,
}

/// A machine's screen, keyboard and pointer, reached by VNC.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesktopSpec {
    /// What lets a viewer in: [`DesktopSpec::PASSWORD_BYTES`] printable ASCII characters without spaces, new
    /// at each power-on.
    pub password: String,
}

impl DesktopSpec {
    /// The protocol cuts a password there.
    pub const PASSWORD_BYTES: usize = 8;

    /// Whether the password is one. An empty one would let everybody in.
    pub fn is_guarded(&self) -> bool {
        self.password.len() == Self::PASSWORD_BYTES
            && self.password.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Debug for DesktopSpec {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DesktopSpec")
    }
}

/// What a guest reads from its seed at boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedSpec {
    /// The guest's host name.
    pub hostname: String,
    /// SSH public keys, one line each, that may log in as [`LOGIN`].
    pub authorized_keys: Vec<String>,
    /// The script to run as root at the end of boot.
    pub startup_script: Option<StartupScriptSpec>,
}

/// A startup script as the guest gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartupScriptSpec {
    /// Which script.
    pub id: StartupScriptId,
    /// Its text.
    pub script: String,
    /// Whether the guest is to run it only if it never did.
    pub once: bool,
}

/// The account that every Linux guest has for its users.
pub const LOGIN: &str = "paperspace";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_read_as_it_is_shown() {
        let mac = Mac([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
        assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
        for wrong in ["", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:01", "52:54:00:ab:cd:xx"] {
            assert_eq!(Mac::parse(wrong), None, "{wrong}");
        }
    }
}
