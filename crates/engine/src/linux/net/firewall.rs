//! The rules that a network's users make: what may pass to and from its machines.
//!
//! They stand in chains of their own before those of [`network_rules`](super::network_rules), which they can
//! narrow and never widen: what passes here is still asked there. A frame from machine to machine passes them
//! too, because the kernel is told to lead bridged frames through the chains for routed ones
//! ([`BRIDGED`]) for as long as a network has rules; the guard of the bridge makes its source trustworthy.
//!
//! **Invariants**: a machine that no rule of a direction is for is in no set here. Rules are written in an
//! order of their own, so that the same rules are the same text.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use deckle_api::firewall_rules::{FirewallDirection, FirewallProtocol};
use ipnet::Ipv4Net;

use super::files;
use super::network_rules::BRIDGE;
use super::place::Place;
use super::rules::{Chain, set_of};
use crate::error::{Error, Result};
use crate::linux::command::run;
use crate::specs::{FirewallRule, NetworkSpec};

/// Whether the kernel leads bridged frames through the chains for routed ones: a setting of each namespace.
const BRIDGED: &str = "bridge/bridge-nf-call-iptables";
/// The setting of a network with rules.
pub(super) const HEARD: &[(&str, &str)] = &[(BRIDGED, "1")];
/// The setting of one without: what Docker sets on the host holds in new namespaces too.
pub(super) const UNHEARD: &[(&str, &str)] = &[(BRIDGED, "0")];
/// The settings that a host has once it can filter bridged frames, and that change what its own bridges do.
const OF_THE_HOST: &[(&str, &str)] = &[
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
];
/// What brings the setting, where it is not a part of the kernel.
pub(super) const MODULE: &str = "br_netfilter";
/// Is there while the module is loaded only because an installation has done so. A reboot forgets both.
const LOADED_FOR: &str = "/run/deckle-br-netfilter";
/// What stands there until the host's bridges are as before.
const LOADING: &str = "br_netfilter is being loaded\n";
/// What stands there from then on: who wants other values has them.
const LOADED: &str = "br_netfilter was not loaded\n";
/// How to have it from the host's start on.
pub(super) const CURE: &str = "modprobe br_netfilter; echo br_netfilter > /etc/modules-load.d/deckle.conf";

/// Addresses that are every machine's.
const EVERYONE: [Ipv4Net; 2] =
    [Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32)];

/// The chains of a network's rules for packets; empty ones where it has none.
pub(super) fn chains(spec: &NetworkSpec) -> [Chain; 3] {
    let mut rules = spec.firewall.clone();
    rules.sort();
    let [outbound, inbound] = [FirewallDirection::Outbound, FirewallDirection::Inbound]
        .map(|way| rules.iter().filter(|rule| rule.direction == way).collect::<Vec<_>>());
    let chain = |name, hook, rules| Chain { name, hook, rules };
    [
        chain(
            "to_gateway",
            "filter hook input priority filter - 1; policy accept",
            from_machines(&outbound, &of_the_gateway(spec.gateway())),
        ),
        chain(
            "outbound",
            "filter hook forward priority filter - 2; policy accept",
            from_machines(&outbound, &[]),
        ),
        chain(
            "inbound",
            "filter hook forward priority filter - 1; policy accept",
            to_machines(&inbound, spec.cidr.trunc()),
        ),
    ]
}

/// The bridge's chain: a frame goes to the very machine that its packet is for, or to all.
pub(super) fn straight(spec: &NetworkSpec) -> Chain {
    let rule = "ether type ip ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 \
                oifname . ether daddr . ip daddr != @plugged drop";
    let rules = if spec.firewall.is_empty() { Vec::new() } else { vec![rule.to_owned()] };
    Chain { name: "forward", hook: "filter hook forward priority filter; policy accept", rules }
}

/// Whether frames from machine to machine pass the rules, as the network is to have it.
pub(super) async fn is_heeded(place: &Place, spec: &NetworkSpec) -> Result<bool> {
    let seen = place.setting(BRIDGED).await?;
    Ok((seen.as_deref() == Some("1")) != spec.firewall.is_empty())
}

/// Has the kernel filter bridged frames, which may need a module. The host's own bridges, and networks without
/// rules, go on as before, also where this ended halfway.
pub(super) async fn ensure_heard(place: &Place, spec: &NetworkSpec) -> Result<()> {
    settle_host().await?;
    if spec.firewall.is_empty() || place.setting(BRIDGED).await?.is_some() {
        return Ok(());
    }
    files::ensure(Path::new(LOADED_FOR), LOADING)?;
    let loaded = run("modprobe").arg(MODULE).output().await;
    if place.setting(BRIDGED).await?.is_some() {
        tracing::info!("the host can filter bridged frames from now on ({MODULE})");
        return settle_host().await;
    }
    files::remove(Path::new(LOADED_FOR))?;
    let why = loaded.err().map_or_else(String::new, |failure| format!(" ({failure})"));
    let cure = format!("this kernel does not filter bridged frames{why}: {CURE}");
    Err(Error::lasting(format!("filter what the machines of {} send each other", spec.network), cure))
}

/// Gives the host's own bridges back what they had before the module was loaded: no filter.
async fn settle_host() -> Result<()> {
    let mark = Path::new(LOADED_FOR);
    if fs::read_to_string(mark).is_ok_and(|text| text == LOADING) && is_at_hand() {
        Place::Host.set(OF_THE_HOST).await?;
        files::ensure(mark, LOADED)?;
    }
    Ok(())
}

/// Takes the module back that an installation has loaded, unless another program of the host has a use for it
/// by now. Where it cannot go, the host's bridges are unfiltered all the same.
pub(super) async fn unload() -> Result<()> {
    let mark = Path::new(LOADED_FOR);
    if !fs::exists(mark).unwrap_or(false) {
        return Ok(());
    }
    settle_host().await?;
    let mut wanted = false;
    for (setting, off) in OF_THE_HOST {
        wanted |= Place::Host.setting(setting).await?.is_some_and(|value| value != *off);
    }
    if wanted {
        tracing::info!("{MODULE} stays: another program filters the host's bridges");
    } else if let Err(error) = run("modprobe").args(["-r", MODULE]).output().await {
        tracing::info!(%error, "{MODULE} stays");
    }
    files::remove(mark).map(|_| ())
}

/// Whether the host can filter bridged frames now.
pub(super) fn is_at_hand() -> bool {
    Path::new("/proc/sys/net").join(BRIDGED).exists()
}

/// What any machine may ask of its gateway.
fn of_the_gateway(gateway: Ipv4Addr) -> [String; 2] {
    [
        format!("iifname \"{BRIDGE}\" udp dport 67 accept"),
        format!("iifname \"{BRIDGE}\" ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 accept"),
    ]
}

/// The other side is the one that the machine named: its public address, where it has called it by that.
fn from_machines(rules: &[&FirewallRule], always: &[String]) -> Vec<String> {
    let allow = |rule: &&FirewallRule| {
        let of = format!("iifname \"{BRIDGE}\" ip saddr {}", rule.machines.trunc());
        words(&[of, within("ct original ip daddr", rule.peers), carried(rule)])
    };
    let filtered: Vec<_> = rules.iter().map(|rule| rule.machines).collect();
    let drop = |filtered: &[Ipv4Net]| format!("iifname \"{BRIDGE}\" ip saddr {} drop", set_of(filtered));
    chain_of(always, rules.iter().map(allow), &filtered, drop)
}

/// What is for every machine passes where a rule for every machine allows it.
fn to_machines(rules: &[&FirewallRule], range: Ipv4Net) -> Vec<String> {
    let allow = |rule: &&FirewallRule| {
        let mut machines = vec![rule.machines];
        if rule.machines.contains(&range) {
            machines.extend(EVERYONE);
        }
        let of = format!("oifname \"{BRIDGE}\" ip daddr {}", set_of(&machines));
        words(&[of, within("ip saddr", rule.peers), carried(rule)])
    };
    let broadcast = Ipv4Net::from(range.broadcast());
    let mut filtered: Vec<_> = rules.iter().map(|rule| rule.machines).collect();
    if !filtered.is_empty() {
        filtered.extend(EVERYONE);
        filtered.push(broadcast);
    }
    let drop = |filtered: &[Ipv4Net]| format!("oifname \"{BRIDGE}\" ip daddr {} drop", set_of(filtered));
    chain_of(&[], rules.iter().map(allow), &filtered, drop)
}

/// Answers, what always passes, what is allowed, and the end of all else of those who are filtered.
fn chain_of(
    always: &[String],
    allowed: impl Iterator<Item = String>,
    filtered: &[Ipv4Net],
    drop: impl FnOnce(&[Ipv4Net]) -> String,
) -> Vec<String> {
    if filtered.is_empty() {
        return Vec::new();
    }
    let mut rules = vec!["ct state established,related accept".to_owned()];
    rules.extend_from_slice(always);
    rules.extend(allowed);
    rules.push(drop(filtered));
    rules
}

/// A match of addresses; none where it is all of them.
fn within(what: &str, range: Ipv4Net) -> String {
    if range.prefix_len() == 0 { String::new() } else { format!("{what} {}", range.trunc()) }
}

fn carried(rule: &FirewallRule) -> String {
    let (name, has_ports) = match rule.protocol {
        FirewallProtocol::Any => return String::new(),
        FirewallProtocol::Tcp => ("tcp", true),
        FirewallProtocol::Udp => ("udp", true),
        FirewallProtocol::Icmp => ("icmp", false),
    };
    match rule.ports.filter(|_| has_ports) {
        Some((first, last)) if first == last => format!("{name} dport {first}"),
        Some((first, last)) => format!("{name} dport {first}-{last}"),
        None => format!("ip protocol {name}"),
    }
}

fn words(parts: &[String]) -> String {
    let parts = parts.iter().map(String::as_str).filter(|part| !part.is_empty());
    parts.chain(["accept"]).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::HostNetwork;

    fn rule(machines: &str, direction: FirewallDirection, peers: &str) -> FirewallRule {
        let (machines, peers) = (machines.parse().unwrap(), peers.parse().unwrap());
        FirewallRule { machines, direction, protocol: FirewallProtocol::Any, ports: None, peers }
    }

    fn spec(firewall: Vec<FirewallRule>) -> NetworkSpec {
        let network = HostNetwork::Private("na".parse().unwrap());
        NetworkSpec { network, cidr: "10.64.8.0/24".parse().unwrap(), firewall }
    }

    #[test]
    fn a_network_without_rules_has_empty_chains() {
        assert!(chains(&spec(Vec::new())).iter().all(|chain| chain.rules.is_empty()));
        assert!(straight(&spec(Vec::new())).rules.is_empty());
    }

    #[test]
    fn the_whole_chains() {
        use FirewallDirection::{Inbound, Outbound};
        let web = FirewallRule {
            protocol: FirewallProtocol::Tcp,
            ports: Some((80, 81)),
            ..rule("10.64.8.0/24", Inbound, "0.0.0.0/0")
        };
        let ssh = FirewallRule {
            protocol: FirewallProtocol::Tcp,
            ports: Some((22, 22)),
            ..rule("10.64.8.3/32", Inbound, "198.51.100.0/24")
        };
        let ping =
            FirewallRule { protocol: FirewallProtocol::Icmp, ..rule("10.64.8.3/32", Outbound, "0.0.0.0/0") };
        let spec = spec(vec![web, ssh, ping, rule("10.64.8.4/32", Outbound, "198.51.100.2/32")]);
        let [to_gateway, outbound, inbound] = chains(&spec).map(|chain| chain.rules);
        assert_eq!(
            inbound,
            [
                "ct state established,related accept",
                "oifname \"br0\" ip daddr { 10.64.8.0/24, 224.0.0.0/4, 255.255.255.255/32 } tcp dport 80-81 accept",
                "oifname \"br0\" ip daddr { 10.64.8.3/32 } ip saddr 198.51.100.0/24 tcp dport 22 accept",
                "oifname \"br0\" ip daddr { 10.64.8.0/24, 224.0.0.0/4, 255.255.255.255/32 } drop",
            ]
        );
        assert_eq!(
            outbound,
            [
                "ct state established,related accept",
                "iifname \"br0\" ip saddr 10.64.8.3/32 ip protocol icmp accept",
                "iifname \"br0\" ip saddr 10.64.8.4/32 ct original ip daddr 198.51.100.2/32 accept",
                "iifname \"br0\" ip saddr { 10.64.8.3/32, 10.64.8.4/32 } drop",
            ]
        );
        assert_eq!(to_gateway[1], "iifname \"br0\" udp dport 67 accept");
        assert_eq!((to_gateway.len(), straight(&spec).rules.len()), (6, 1));
    }

    #[test]
    fn the_order_of_rules_is_not_a_difference() {
        let one = rule("10.64.8.3/32", FirewallDirection::Inbound, "0.0.0.0/0");
        let two = rule("10.64.8.4/32", FirewallDirection::Outbound, "0.0.0.0/0");
        assert_eq!(chains(&spec(vec![one.clone(), two.clone()])), chains(&spec(vec![two, one])));
    }
}
