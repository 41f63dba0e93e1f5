//! A machine's place in a network: its port on the bridge, what it may send, its card and its names.

use deckle_api::ids::MachineId;

use super::cards::Card;
use super::ip;
use super::leases::Lease;
use super::network_rules::{self, BRIDGE};
use super::{Net, network, public_ip, rules};
use crate::error::Result;
use crate::specs::{HostNetwork, NicSpec};

/// A machine's place in a network, as it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlaceSeen {
    /// Whether its port is there.
    pub port: bool,
    /// Whether all of its place is there, and as it should be.
    pub nic: bool,
}

pub(super) async fn look(net: &Net, machine: &MachineId, network: &HostNetwork) -> Result<PlaceSeen> {
    let (place, port) = (net.place(network), net.paths.tap(machine));
    if !place.is_there() {
        return Ok(PlaceSeen::default());
    }
    let inside = ip::links(&place).await?;
    let Some(link) = ip::named(&inside, &port) else { return Ok(PlaceSeen::default()) };
    let Some(card) = net.lease_server(network).cards().look(machine)? else {
        return Ok(PlaceSeen { port: true, nic: false });
    };
    let on_bridge = link.is_up() && link.master.as_deref() == Some(BRIDGE);
    let passes = network_rules::passes(&port, card.mac, card.ip);
    let nic = on_bridge && network_rules::is_plugged(&rules::look(&place).await?, &passes);
    Ok(PlaceSeen { port: true, nic })
}

pub(super) async fn ensure(net: &Net, spec: &NicSpec) -> Result<()> {
    let (place, port) = (net.place(&spec.network), net.paths.tap(&spec.machine));
    free_address(net, spec).await?;
    let seen = rules::look(&place).await?;
    let passes = network_rules::plug(&seen, &port, &network_rules::passes(&port, spec.mac, spec.ip));
    rules::apply(&place, &format!("guard the address of {}", spec.machine), passes).await?;
    ensure_port(net, spec, &port).await?;
    net.lease_server(&spec.network).plug(spec)
}

/// The card goes last: by it the lease is found that is to be freed.
pub(super) async fn remove(net: &Net, machine: &MachineId, network: &HostNetwork) -> Result<()> {
    public_ip::remove(net, machine, network).await?;
    let (place, port) = (net.place(network), net.paths.tap(machine));
    if place.is_there() {
        let act = format!("unplug {machine} from {network}");
        if ip::named(&ip::links(&place).await?, &port).is_some() {
            ip::batch(&place, &act, &[format!("link delete {port}")]).await?;
        }
        let passes = network_rules::plug(&rules::look(&place).await?, &port, &[]);
        rules::apply(&place, &act, passes).await?;
    }
    forget_lease(net, machine, network).await?;
    net.lease_server(network).unplug(machine)
}

/// Frees what the machine's card has leased.
pub(super) async fn forget_lease(net: &Net, machine: &MachineId, network: &HostNetwork) -> Result<()> {
    match net.lease_server(network).cards().look(machine)? {
        Some(card) => free(net, network, |lease| card.took(lease)).await,
        None => Ok(()),
    }
}

async fn ensure_port(net: &Net, spec: &NicSpec, port: &str) -> Result<()> {
    let place = net.place(&spec.network);
    let inside = ip::links(&place).await?;
    let mut lines = Vec::new();
    if ip::named(&inside, port).is_none() {
        lines.push(format!("tuntap add dev {port} mode tap vnet_hdr"));
    }
    let mtu = ip::named(&inside, BRIDGE).map_or(network::mtu_of_host().await?, |bridge| bridge.mtu);
    lines.push(format!("link set {port} mtu {mtu} master {BRIDGE} up"));
    ip::batch(&place, &format!("plug {} into {}", spec.machine, spec.network), &lines).await
}

/// An address that another machine leased and never gave back would be withheld from this one.
async fn free_address(net: &Net, spec: &NicSpec) -> Result<()> {
    let card = Card { mac: spec.mac, ip: spec.ip };
    free(net, &spec.network, |lease| lease.ip == spec.ip && !card.took(lease)).await
}

async fn free(net: &Net, network: &HostNetwork, which: impl Fn(&Lease) -> bool) -> Result<()> {
    let server = net.lease_server(network);
    for lease in server.leases()?.into_iter().filter(which) {
        let inside = ip::links(&net.place(network)).await?;
        if let Some(range) = network::range(&inside) {
            server.free(&lease, range.addr()).await?;
        }
    }
    Ok(())
}
