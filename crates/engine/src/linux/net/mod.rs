//! Networks on this host: a namespace each, with everything of the network inside.
//!
//! ```text
//!  host      eth0 ── routing, the installation's table ── dk<tag><network>  (a /31, routes of public addresses)
//!                                                               │ veth
//!  namespace                             table ip deckle ── uplink   (NAT, default route)
//!                                                               │
//!            dnsmasq (addresses, names) ── br0, the gateway's address, and that of drives ── smbd
//!                                                               │ table bridge deckle (who may send as whom)
//!                                          a tap for each machine, opened here, handed to QEMU outside
//! ```
//!
//! **Invariants**: ranges of networks exist inside namespaces only, so that any two may be the same. Every
//! look asks the kernel and the lease server's files; nothing is remembered but two locks, under which uplinks'
//! addresses are chosen and public addresses change hands. What a public address leads to stands in the namespace's maps: host routes follow
//! from them.

mod cards;
mod checks;
mod connections;
mod files;
mod firewall;
mod gate;
mod host_rules;
mod ip;
mod lease_server;
mod leases;
mod leave;
mod name_servers;
mod network;
mod network_rules;
mod nic;
mod others;
mod place;
mod public_ip;
mod rules;
mod tap;
mod things;
mod uplink;

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use tokio::sync::Mutex;

use crate::error::Result;
use crate::linux::Settings;
use crate::linux::losses::Losses;
use crate::linux::paths::Paths;
use crate::seen::{Check, HostThing, NetworkSeen};
use crate::specs::{HostNetwork, NetworkSpec, NicSpec, PublicIpSpec};
pub use gate::{Gate, PORT};
use lease_server::LeaseServer;
pub use nic::PlaceSeen;
use place::Place;

/// The networks of one installation on this host.
#[derive(Debug)]
pub struct Net {
    paths: Paths,
    settings: Settings,
    /// Held while an uplink's addresses are chosen.
    choosing: Mutex<()>,
    /// Held while a public address changes hands.
    leading: Mutex<()>,
    losses: Losses,
}

impl Net {
    /// The networks of the installation that `paths` names.
    pub fn new(paths: Paths, settings: Settings, losses: Losses) -> Self {
        Self { paths, settings, choosing: Mutex::new(()), leading: Mutex::new(()), losses }
    }

    /// Prepares the host itself: its table of packet rules, forwarding, the folder of networks. To be
    /// called at each start of the server, before anything else.
    pub async fn start(&self) -> Result<()> {
        files::ensure_folder(&self.paths.networks())?;
        self.apply_host_rules().await?;
        lease_server::wake_all(&self.paths.networks())?;
        leave::ensure_forwarding().await
    }

    /// Takes back what belongs to no network: the host's table, and what the installations of a host share, if this
    /// is the last one. For one that leaves the host for good.
    pub async fn leave(&self) -> Result<()> {
        leave::leave(self).await
    }

    /// Takes back the host's table: for an installation that leaves the host. Guests have no way out then.
    pub async fn remove_host_rules(&self) -> Result<()> {
        let name = self.paths.rules();
        let text = format!("add table inet {name}\ndelete table inet {name}\n");
        rules::apply(&Place::Host, &format!("remove the packet rules {name}"), text).await
    }

    /// The host's table, if it is there. It is for no object.
    pub async fn look_host_rules(&self) -> Result<Vec<HostThing>> {
        things::look_host_rules(self).await
    }

    /// A network on the host, compared with what it is to be.
    pub async fn look_network(&self, spec: &NetworkSpec) -> Result<NetworkSeen> {
        network::look(self, spec).await
    }

    /// Makes a network, or mends what is missing of it.
    pub async fn ensure_network(&self, spec: &NetworkSpec) -> Result<()> {
        network::ensure(self, spec).await
    }

    /// Removes a network and all that is in it.
    pub async fn remove_network(&self, network: &HostNetwork) -> Result<()> {
        network::remove(self, network).await
    }

    /// Whether a machine is plugged into a network, with all that belongs to it.
    pub async fn look_nic(&self, machine: &MachineId, network: &HostNetwork) -> Result<bool> {
        self.look_place(machine, network).await.map(|seen| seen.nic)
    }

    /// The same, and whether at least its port is there.
    pub async fn look_place(&self, machine: &MachineId, network: &HostNetwork) -> Result<PlaceSeen> {
        nic::look(self, machine, network).await
    }

    /// Plugs a machine into a network: its port, its fixed lease, its names, the guard of its address.
    pub async fn ensure_nic(&self, spec: &NicSpec) -> Result<()> {
        nic::ensure(self, spec).await
    }

    /// Unplugs a machine from a network, its public address included.
    pub async fn remove_nic(&self, machine: &MachineId, network: &HostNetwork) -> Result<()> {
        nic::remove(self, machine, network).await
    }

    /// Opens a machine's port, to be handed to QEMU: frames with a header of virtio before each.
    pub async fn open_tap(&self, machine: &MachineId, network: &HostNetwork) -> Result<OwnedFd> {
        tap::open(&self.place(network), self.paths.tap(machine)).await
    }

    /// Frees the lease of a machine that is off, so that one that is seen later is of its next boot.
    pub async fn forget_lease(&self, machine: &MachineId, network: &HostNetwork) -> Result<()> {
        nic::forget_lease(self, machine, network).await
    }

    /// When the guest of a machine that was started at `since` last took or renewed its lease, if it has.
    pub async fn leased(
        &self,
        machine: &MachineId,
        network: &HostNetwork,
        since: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let server = self.lease_server(network);
        let Some(card) = server.cards().look(machine)? else { return Ok(None) };
        let lease = server.leases()?.into_iter().find(|lease| card.took(lease));
        Ok(lease.map(|lease| lease.taken_between(since, Timestamp::of_system_clock())))
    }

    /// The public address that leads to a machine.
    pub async fn look_public_ip(
        &self,
        machine: &MachineId,
        network: &HostNetwork,
    ) -> Result<Option<Ipv4Addr>> {
        public_ip::look(self, machine, network).await
    }

    /// Leads a public address to a machine, and no other; whichever machine had it has it no longer.
    pub async fn ensure_public_ip(&self, spec: &PublicIpSpec) -> Result<()> {
        public_ip::ensure(self, spec).await
    }

    /// Takes every public address from a machine.
    pub async fn remove_public_ip(&self, machine: &MachineId, network: &HostNetwork) -> Result<()> {
        public_ip::remove(self, machine, network).await
    }

    /// All that this installation has on the host for its networks and their machines. The host's table
    /// is for no object and not among it.
    pub async fn look_things(&self) -> Result<Vec<HostThing>> {
        things::look(self).await
    }

    /// What is in the way of networks on this host.
    pub async fn checks(&self) -> Vec<Check> {
        checks::all(self).await
    }

    fn place(&self, network: &HostNetwork) -> Place {
        Place::Inside(self.paths.namespace(network))
    }

    fn lease_server(&self, network: &HostNetwork) -> LeaseServer {
        LeaseServer { folder: self.paths.network(network), place: self.place(network) }
    }

    async fn apply_host_rules(&self) -> Result<()> {
        let table = host_rules::table(&self.paths, &self.settings);
        rules::apply(&Place::Host, "write the host's packet rules", table.text()).await
    }
}
