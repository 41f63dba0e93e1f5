//! Public addresses of machines: two elements in the namespace's maps, and a route on the host.
//!
//! **Invariants**: the maps say which machine an address leads to; they are changed last, both at once, so
//! that what a crash left half done is seen as not done. Routes and entries of proxy ARP follow: they are
//! laid before the maps, taken before them, and laid again from them when an uplink is mended. The kernel's memory
//! of connections goes with an address: an old one would be led the old way for as long as it lasts. One address
//! changes hands at a time.

use std::net::Ipv4Addr;

use deckle_api::ids::MachineId;

use super::ip::{self, Route};
use super::network_rules::{self, Led};
use super::place::Place;
use super::rules::Ruleset;
use super::uplink::Pair;
use super::{Net, connections, rules};
use crate::error::{Error, Result};
use crate::specs::{HostNetwork, PublicIpSpec};

pub(super) async fn look(net: &Net, machine: &MachineId, network: &HostNetwork) -> Result<Option<Ipv4Addr>> {
    let place = net.place(network);
    if !place.is_there() {
        return Ok(None);
    }
    Ok(led_to(&rules::look(&place).await?, machine).first().map(|led| led.public_ip))
}

/// Who had the address loses it first, and with it the connections that were led by it: a crash at any point
/// leaves an address that is seen to lead nowhere, and the next call begins anew.
pub(super) async fn ensure(net: &Net, spec: &PublicIpSpec) -> Result<()> {
    let PublicIpSpec { machine, network, public_ip, ip } = spec;
    let _alone = net.leading.lock().await;
    let place = net.place(network);
    take_elsewhere(net, network, *public_ip).await?;
    let led = led_to(&rules::look(&place).await?, machine);
    if !matches!(&led[..], [one] if one.public_ip == *public_ip && one.ip == *ip) {
        take_here(net, network, machine, *public_ip).await?;
        let text = network_rules::lead(&rules::look(&place).await?, machine, *public_ip, *ip);
        route(net, network, *public_ip).await?;
        return rules::apply(&place, &format!("lead {public_ip} to {machine}"), text).await;
    }
    route(net, network, *public_ip).await
}

pub(super) async fn remove(net: &Net, machine: &MachineId, network: &HostNetwork) -> Result<()> {
    let _alone = net.leading.lock().await;
    if net.place(network).is_there() {
        unlead(net, network, machine).await?;
    }
    remove_stray_proxies(net).await
}

/// Lays the routes of a network whose uplink was made again. One that leads elsewhere by now stays there.
pub(super) async fn lay_routes(net: &Net, network: &HostNetwork) -> Result<()> {
    let _alone = net.leading.lock().await;
    for led in network_rules::led(&rules::look(&net.place(network)).await?) {
        if route_of(led.public_ip).await?.is_none() {
            route(net, network, led.public_ip).await?;
        }
    }
    Ok(())
}

/// Whether each public address of a network has its route, to wherever.
pub(super) async fn are_routed(net: &Net, network: &HostNetwork, seen: &Ruleset) -> Result<bool> {
    let led = network_rules::led(seen);
    if led.is_empty() {
        return Ok(true);
    }
    let here = ip::routes(&Place::Host, &["dev", &net.paths.uplink(network)]).await?;
    for Led { public_ip, .. } in led {
        let by_uplink = here.iter().any(|route| route.dst == public_ip.to_string());
        if !by_uplink && route_of(public_ip).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes entries of proxy ARP for addresses of the pools that no route leads on.
pub(super) async fn remove_stray_proxies(net: &Net) -> Result<()> {
    for public_ip in proxied(net).await? {
        if route_of(public_ip).await?.is_none() {
            remove_proxy(net, public_ip).await?;
        }
    }
    Ok(())
}

/// The addresses of the pools that the host answers ARP for.
pub(super) async fn proxied(net: &Net) -> Result<Vec<Ipv4Addr>> {
    let Some(interface) = &net.settings.proxy_arp_on else { return Ok(Vec::new()) };
    let entries = ip::proxies(&Place::Host).await?.into_iter().filter(|entry| entry.dev == *interface);
    let ours = |ip: &Ipv4Addr| net.settings.public_pools.iter().any(|pool| pool.contains(ip));
    Ok(entries.filter_map(|entry| entry.dst.parse().ok()).filter(ours).collect())
}

fn led_to(seen: &Ruleset, machine: &MachineId) -> Vec<Led> {
    network_rules::led(seen).into_iter().filter(|led| led.machine == machine.as_str()).collect()
}

/// An address that was in use in another network of this installation leads there no longer; one that is
/// another's is left alone.
async fn take_elsewhere(net: &Net, network: &HostNetwork, public_ip: Ipv4Addr) -> Result<()> {
    let Some(route) = route_of(public_ip).await? else { return Ok(()) };
    let Some(id) = route.dev.strip_prefix(&net.paths.uplink_prefix()) else {
        let cure =
            format!("it leads to {} already: give each installation public_pools of its own", route.dev);
        return Err(Error::lasting(format!("lead {public_ip} to {network}"), cure));
    };
    let other = Place::Inside(format!("{}{id}", net.paths.namespace_prefix()));
    if id == network.to_string() || !other.is_there() {
        return Ok(());
    }
    release(&other, id, public_ip).await
}

/// Takes the address from any machine of this network, and every other one from the machine that is to have it.
async fn take_here(net: &Net, network: &HostNetwork, machine: &MachineId, public_ip: Ipv4Addr) -> Result<()> {
    unlead(net, network, machine).await?;
    release(&net.place(network), &network.to_string(), public_ip).await
}

/// Takes all public addresses from a machine of this network.
async fn unlead(net: &Net, network: &HostNetwork, machine: &MachineId) -> Result<()> {
    let place = net.place(network);
    let seen = rules::look(&place).await?;
    let led = led_to(&seen, machine);
    for led in &led {
        unroute(net, network, led.public_ip).await?;
    }
    let text = network_rules::unlead(&seen, machine);
    rules::apply(&place, &format!("take the public address from {machine}"), text).await?;
    for led in &led {
        connections::forget(&place, led.public_ip).await?;
    }
    Ok(())
}

/// Takes the address from whichever machine of a namespace has it. What is left of its connections goes in any
/// case: a crash may have come before that.
async fn release(place: &Place, network: &str, public_ip: Ipv4Addr) -> Result<()> {
    let text = network_rules::release(&rules::look(place).await?, public_ip);
    rules::apply(place, &format!("take {public_ip} from {network}"), text).await?;
    connections::forget(place, public_ip).await
}

async fn route(net: &Net, network: &HostNetwork, public_ip: Ipv4Addr) -> Result<()> {
    let (name, act) = (net.paths.uplink(network), format!("route {public_ip} to {network}"));
    let hosts = ip::links(&Place::Host).await?;
    let pair = ip::named(&hosts, &name).and_then(|link| Pair::of(link, net.settings.uplinks));
    let inner = pair.ok_or_else(|| Error::passing(act.clone(), "its uplink is not there"))?.inner;
    let mut lines = vec![format!("route replace {public_ip}/32 via {inner} dev {name}")];
    if let Some(interface) = &net.settings.proxy_arp_on {
        lines.push(format!("neighbour replace proxy {public_ip} dev {interface}"));
    }
    ip::batch(&Place::Host, &act, &lines).await
}

async fn unroute(net: &Net, network: &HostNetwork, public_ip: Ipv4Addr) -> Result<()> {
    let name = net.paths.uplink(network);
    if route_of(public_ip).await?.is_none_or(|route| route.dev != name) {
        return Ok(());
    }
    if proxied(net).await?.contains(&public_ip) {
        remove_proxy(net, public_ip).await?;
    }
    let line = format!("route delete {public_ip}/32 dev {name}");
    ip::batch(&Place::Host, &format!("take the route of {public_ip}"), &[line]).await
}

async fn remove_proxy(net: &Net, public_ip: Ipv4Addr) -> Result<()> {
    let Some(interface) = &net.settings.proxy_arp_on else { return Ok(()) };
    let line = format!("neighbour delete proxy {public_ip} dev {interface}");
    ip::batch(&Place::Host, &format!("answer ARP for {public_ip} no longer"), &[line]).await
}

async fn route_of(public_ip: Ipv4Addr) -> Result<Option<Route>> {
    Ok(ip::routes(&Place::Host, &[&format!("{public_ip}/32")]).await?.into_iter().next())
}
