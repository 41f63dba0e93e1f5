//! What an engine is told: plain values, complete in themselves, ready to travel to another process.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use deckle_api::ids::{MachineId, PrivateNetworkId, StartupScriptId, TemplateId};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

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
    /// The addresses in use: a /24, or a /30 for a machine of its own. The first is the gateway's.
    pub cidr: Ipv4Net,
}

impl NetworkSpec {
    /// The gateway's address: the first of the range.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()) + 1)
    }
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
    /// Its card and its place in a network.
    pub nic: NicSpec,
    /// What the guest is told at boot.
    pub seed: SeedSpec,
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
