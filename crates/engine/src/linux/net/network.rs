//! A network as a whole: the namespace, its links, its rules and its lease server.

use ipnet::Ipv4Net;

use super::ip::{self, Link};
use super::network_rules::{self, BRIDGE};
use super::place::Place;
use super::rules::Ruleset;
use super::{Net, firewall, gate, host_rules, name_servers, public_ip, rules, uplink};
use crate::error::Result;
use crate::seen::{Loss, NetworkSeen};
use crate::specs::{HostNetwork, Mac, NetworkSpec, drives_address};

/// The kernel's settings in a namespace; one more is the [firewall]'s.
const SETTINGS: &[(&str, &str)] = &[
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv4/ip_forward", "1"),
    ("bridge/bridge-nf-call-arptables", "0"),
];

/// The largest packet of an Ethernet.
const ETHERNET: u32 = 1500;

pub(super) async fn look(net: &Net, spec: &NetworkSpec) -> Result<NetworkSeen> {
    let network = &spec.network;
    watch(net, network)?;
    if net.place(network).is_there() {
        let whole = is_whole(net, spec).await?;
        return Ok(if whole { NetworkSeen::Whole } else { NetworkSeen::Broken });
    }
    let remains = remains(net, network).await?;
    Ok(if remains { NetworkSeen::Broken } else { NetworkSeen::Absent })
}

/// The order is the one in which nothing is ever reachable unguarded: rules, links, lease server.
pub(super) async fn ensure(net: &Net, spec: &NetworkSpec) -> Result<()> {
    let place = net.place(&spec.network);
    let mtu = mtu_of_host().await?;
    net.apply_host_rules().await?;
    place.ensure().await?;
    place.set(SETTINGS).await?;
    firewall::ensure_heard(&place, spec).await?;
    place.set(if spec.firewall.is_empty() { firewall::UNHEARD } else { firewall::HEARD }).await?;
    let text = network_rules::tables(spec).map(|table| table.text()).concat();
    rules::apply(&place, &format!("write the packet rules of {}", spec.network), text).await?;
    ensure_bridge(&place, spec, mtu).await?;
    uplink::ensure(net, &spec.network, mtu).await?;
    public_ip::lay_routes(net, &spec.network).await?;
    let server = net.lease_server(&spec.network);
    server.ensure(&server.conf(spec, mtu, &name_servers::of_host(&net.settings))).await?;
    watch(net, &spec.network)
}

pub(super) async fn remove(net: &Net, network: &HostNetwork) -> Result<()> {
    net.lease_server(network).stop().await?;
    uplink::remove(&net.paths.uplink(network)).await?;
    net.place(network).remove().await?;
    {
        let _alone = net.leading.lock().await;
        public_ip::remove_stray_proxies(net).await?;
    }
    net.lease_server(network).remove().await
}

/// The range that a network's bridge has, its address that of the gateway.
pub(super) fn range(inside: &[Link]) -> Option<Ipv4Net> {
    ip::named(inside, BRIDGE)?.addresses().into_iter().find(|at| at.prefix_len() < 32)
}

/// The largest packet that leaves this host whole, by the interface of its default route.
pub(super) async fn mtu_of_host() -> Result<u32> {
    let routes = ip::routes(&Place::Host, &["default"]).await?;
    let links = ip::links(&Place::Host).await?;
    let outward = routes.first().and_then(|route| ip::named(&links, &route.dev));
    Ok(outward.map_or(ETHERNET, |link| link.mtu.min(ETHERNET)))
}

/// Has the end of the network's lease server noticed, if one runs.
fn watch(net: &Net, network: &HostNetwork) -> Result<()> {
    if let Some(process) = net.lease_server(network).process()? {
        net.losses.watch(process, &Loss::Server(network.clone()));
    }
    Ok(())
}

async fn is_whole(net: &Net, spec: &NetworkSpec) -> Result<bool> {
    let network = &spec.network;
    let place = net.place(network);
    let inside = ip::links(&place).await?;
    let up = |name| ip::named(&inside, name).filter(|link| link.is_up());
    let (Some(_), Some(bridge), Some(range)) = (up("lo"), up(BRIDGE), range(&inside)) else {
        return Ok(false);
    };
    let server = net.lease_server(network);
    let conf = server.conf(spec, bridge.mtu, &name_servers::of_host(&net.settings));
    if range.trunc() != spec.cidr.trunc()
        || range.addr() != spec.gateway()
        || !bridge.learns_guarded_only()
        || !firewall::is_heeded(&place, spec).await?
        || !server.is_whole(&conf)?
    {
        return Ok(false);
    }
    let seen = rules::look(&place).await?;
    Ok(network_rules::tables(spec).iter().all(|table| table.is_whole(&seen))
        && is_outside_whole(net, network, &inside, &seen).await?)
}

async fn is_outside_whole(net: &Net, network: &HostNetwork, inside: &[Link], seen: &Ruleset) -> Result<bool> {
    let table = host_rules::table(&net.paths, &net.settings);
    Ok(table.is_whole(&rules::look_table(table.family, &table.name).await?)
        && uplink::is_whole(net, network, inside).await?
        && public_ip::are_routed(net, network, seen).await?)
}

/// What is left of a network whose namespace is gone.
async fn remains(net: &Net, network: &HostNetwork) -> Result<bool> {
    let server = net.lease_server(network);
    let hosts = ip::links(&Place::Host).await?;
    Ok(net.place(network).is_named()
        || server.folder.exists()
        || ip::named(&hosts, &net.paths.uplink(network)).is_some()
        || !server.processes()?.is_empty())
}

async fn ensure_bridge(place: &Place, spec: &NetworkSpec, mtu: u32) -> Result<()> {
    let inside = ip::links(place).await?;
    let address = Ipv4Net::new_assert(spec.gateway(), spec.cidr.prefix_len());
    let mut lines = vec!["link set lo up".to_owned()];
    let held = ip::named(&inside, BRIDGE).map(Link::addresses).unwrap_or_default();
    if ip::named(&inside, BRIDGE).is_none() {
        let mac = gateway_mac(spec);
        lines.push(format!(
            "link add {BRIDGE} address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ));
    }
    // The kernel never asks the guard about frames to link-local groups: nothing is learnt from them.
    lines.push(format!("link set {BRIDGE} type bridge no_linklocal_learn 1"));
    // The address of drives stays, and comes after the gateway's, which the lease server takes for its own.
    let drives = held.iter().find(|&&at| is_of_drives(spec, at));
    let stays = |at: Ipv4Net| at == address || (Some(&at) == drives && held.first() == Some(&address));
    lines.extend(held.iter().filter(|&&at| !stays(at)).map(|at| format!("address delete {at} dev {BRIDGE}")));
    lines.push(format!("address replace {address} dev {BRIDGE}"));
    lines.extend(drives.map(|at| format!("address replace {at} dev {BRIDGE}")));
    lines.push(format!("link set {BRIDGE} mtu {mtu} up"));
    ip::batch(place, &format!("make the bridge of {}", spec.network), &lines).await
}

fn is_of_drives(spec: &NetworkSpec, at: Ipv4Net) -> bool {
    matches!(spec.network, HostNetwork::Private(_)) && at == gate::single(drives_address(spec.cidr))
}

/// The gateway's hardware address stays the same when ports come and go, and after a mending.
fn gateway_mac(spec: &NetworkSpec) -> Mac {
    let [a, b, c, d] = spec.gateway().octets();
    Mac([0x02, 0x64, a, b, c, d])
}
