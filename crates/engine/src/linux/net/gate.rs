//! Where the drives of a private network are reached: an address on its bridge, and its port.
//!
//! The packet rules of the network let its machines through to the port, always; what is here is whether
//! anything answers. A pause is a table of its own, so that mending the network's rules does not end it.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use deckle_api::ids::PrivateNetworkId;
use ipnet::Ipv4Net;

use super::ip::{self, Link};
use super::network_rules::BRIDGE;
use super::place::Place;
use super::rules;
use crate::error::Result;
use crate::linux::paths::Paths;
use crate::specs::HostNetwork;

/// The port of SMB.
pub const PORT: u16 = 445;

/// The table that keeps new connections away.
const PAUSE: &str = "deckle_pause";
/// From this port on, a plain user may listen in the namespace, in which nobody else does.
const SETTINGS: &[(&str, &str)] = &[("ipv4/ip_unprivileged_port_start", "445")];

/// The gate of one network's drives.
#[derive(Debug, Clone)]
pub struct Gate {
    place: Place,
    namespace: String,
}

impl Gate {
    /// The gate of a network, there or not.
    pub fn of(paths: &Paths, network: &PrivateNetworkId) -> Self {
        let namespace = paths.namespace(&HostNetwork::Private(network.clone()));
        Self { place: Place::Inside(namespace.clone()), namespace }
    }

    /// Whether the network's namespace is there.
    pub fn is_there(&self) -> bool {
        self.place.is_there()
    }

    /// The file of the network's namespace.
    pub fn file(&self) -> PathBuf {
        super::place::file_of(&self.namespace)
    }

    /// Whether a process is in the network's namespace.
    pub fn holds(&self, process: u32) -> bool {
        self.place.holds(process)
    }

    /// Whether an address is one that drives are reached at.
    pub async fn has(&self, address: Ipv4Addr) -> Result<bool> {
        Ok(self.addresses().await?.contains(&single(address)))
    }

    /// Gives the bridge an address for drives, and no other such.
    pub async fn open(&self, address: Ipv4Addr) -> Result<()> {
        self.place.set(SETTINGS).await?;
        let held = self.addresses().await?;
        let mut lines: Vec<_> = held.iter().filter(|&&at| at != single(address)).map(delete).collect();
        lines.push(format!("address replace {} dev {BRIDGE}", single(address)));
        ip::batch(&self.place, &format!("give {} the address {address}", self.namespace), &lines).await
    }

    /// Takes the address for drives from the bridge.
    pub async fn close(&self) -> Result<()> {
        let lines: Vec<_> = self.addresses().await?.iter().map(delete).collect();
        ip::batch(&self.place, &format!("take the address of {}'s drives", self.namespace), &lines).await
    }

    /// Drops what would open a connection, without a word: who is there already stays, and who is not tries
    /// again.
    pub async fn pause(&self) -> Result<()> {
        let text = format!(
            "add table ip {PAUSE}\nadd chain ip {PAUSE} input {{ type filter hook input priority -10; }}\n\
             flush chain ip {PAUSE} input\nadd rule ip {PAUSE} input tcp dport {PORT} ct state new drop\n"
        );
        rules::apply(&self.place, &format!("pause the drives of {}", self.namespace), text).await
    }

    /// Ends a pause.
    pub async fn resume(&self) -> Result<()> {
        let text = format!("add table ip {PAUSE}\ndelete table ip {PAUSE}\n");
        rules::apply(&self.place, &format!("end the pause of {}'s drives", self.namespace), text).await
    }

    async fn addresses(&self) -> Result<Vec<Ipv4Net>> {
        let links = ip::links(&self.place).await?;
        let held = ip::named(&links, BRIDGE).map(Link::addresses).unwrap_or_default();
        Ok(held.into_iter().filter(|at| at.prefix_len() == 32).collect())
    }
}

/// The network's range belongs to the gateway's address alone.
pub(super) fn single(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::from(address)
}

fn delete(at: &Ipv4Net) -> String {
    format!("address delete {at} dev {BRIDGE}")
}
