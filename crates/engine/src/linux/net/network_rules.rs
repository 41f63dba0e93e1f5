//! The packet rules inside a network's namespace: who may send as whom, what leaves, what comes in.
//!
//! **Invariants**: a frame from a machine's port passes the bridge only with that machine's hardware and
//! IPv4 address, in ARP too; all else is dropped, IPv6 included. What the kernel takes by the port itself, past
//! the bridge, is dropped too. A question to a lease server passes only about the card that the port has, not
//! about a neighbour's. Plugging a machine in, or leading a public
//! address to one, changes elements of sets and never a rule. A packet to the sender's own public address goes by
//! way of the host: no frame leaves a bridge where it came in. An element's comment, or the port's name in
//! it, says which machine it is for.

use std::net::Ipv4Addr;

use deckle_api::ids::MachineId;
use ipnet::Ipv4Net;

use super::firewall;
use super::gate::PORT;
use super::rules::{Chain, Element, Ruleset, Table};
use crate::specs::{Mac, NetworkSpec, drives_address};

/// The bridge's name in every namespace.
pub(super) const BRIDGE: &str = "br0";
/// The name of the uplink's end in every namespace.
pub(super) const UPLINK: &str = "uplink";
/// How many connections the machines of a network may have open to others at once: the host's table of them
/// is one for all.
pub(super) const CONNECTIONS_MAX: u32 = 8192;
/// The tables' name in every namespace.
const TABLE: &str = "deckle";

/// The two tables of a network.
pub(super) fn tables(spec: &NetworkSpec) -> [Table; 2] {
    [guard(spec), routing(spec)]
}

/// The card that a question to a lease server is about (`chaddr`): 28 bytes into its text.
const ASKED_ABOUT: &str = "@th,288,48";

/// An element of a set, by which a machine's port may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pass {
    set: &'static str,
    words: Vec<String>,
}

/// What lets a machine's port send: its own address, and none yet when it asks for one; and the card that it may
/// ask about, which the set has as a number.
pub(super) fn passes(port: &str, mac: Mac, ip: Ipv4Addr) -> [Pass; 3] {
    let pass = |set, words: &[String]| Pass { set, words: [&[port.to_owned()], words].concat() };
    let [a, b, c, d, e, f] = mac.0;
    let number = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    [
        pass("plugged", &[mac.to_string(), ip.to_string()]),
        pass("plugged", &[mac.to_string(), Ipv4Addr::UNSPECIFIED.to_string()]),
        pass("asking", &[number.to_string()]),
    ]
}

/// The batch that gives a port these passes and no others; empty when it has them.
pub(super) fn plug(seen: &Ruleset, port: &str, passes: &[Pass]) -> String {
    let held: Vec<_> = held(seen).into_iter().filter(|pass| pass.words[0] == port).collect();
    let stale = held.iter().filter(|pass| !passes.contains(pass));
    let missing = passes.iter().filter(|pass| !held.contains(pass));
    let change = |verb: &str, Pass { set, words }: &Pass| {
        format!("{verb} element bridge {TABLE} {set} {{ \"{}\" . {} }}\n", words[0], words[1..].join(" . "))
    };
    stale.map(|pass| change("delete", pass)).chain(missing.map(|pass| change("add", pass))).collect()
}

/// Whether a port has its passes.
pub(super) fn is_plugged(seen: &Ruleset, passes: &[Pass]) -> bool {
    let held = held(seen);
    passes.iter().all(|pass| held.contains(pass))
}

fn held(seen: &Ruleset) -> Vec<Pass> {
    let of = |set| seen.elements(set).into_iter().map(move |element| Pass { set, words: element.words });
    ["plugged", "asking"].into_iter().flat_map(of).collect()
}

/// A public address that leads to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Led {
    pub machine: String,
    pub public_ip: Ipv4Addr,
    pub ip: Ipv4Addr,
}

/// The public addresses that lead to machines of this namespace.
pub(super) fn led(seen: &Ruleset) -> Vec<Led> {
    let led = |element: Element| {
        let [public_ip, ip] = &element.words[..] else { return None };
        Some(Led { public_ip: public_ip.parse().ok()?, ip: ip.parse().ok()?, machine: element.comment })
    };
    seen.elements("public_in").into_iter().filter_map(led).collect()
}

/// The batch that leads `public_ip` to the machine at `ip`, and no other to it.
pub(super) fn lead(seen: &Ruleset, machine: &MachineId, public_ip: Ipv4Addr, ip: Ipv4Addr) -> String {
    let add =
        |map, from, to| format!("add element ip {TABLE} {map} {{ {from} comment \"{machine}\" : {to} }}\n");
    let taken = |element: &Element| {
        element.comment == machine.as_str()
            || element.words.iter().any(|word| *word == public_ip.to_string() || *word == ip.to_string())
    };
    let own = format!("add element ip {TABLE} own {{ {ip} . {public_ip} comment \"{machine}\" }}\n");
    take(seen, taken) + &add("public_in", public_ip, ip) + &add("public_out", ip, public_ip) + &own
}

/// The batch that takes every public address from a machine; empty when it has none.
pub(super) fn unlead(seen: &Ruleset, machine: &MachineId) -> String {
    take(seen, |element| element.comment == machine.as_str())
}

/// The batch that takes a public address from whichever machine has it.
pub(super) fn release(seen: &Ruleset, public_ip: Ipv4Addr) -> String {
    take(seen, |element| element.words.contains(&public_ip.to_string()))
}

fn take(seen: &Ruleset, which: impl Fn(&Element) -> bool) -> String {
    let of = |map: &'static str| {
        let taken = seen.elements(map).into_iter().filter(&which);
        let key = |element: Element| match map {
            "own" => element.words.join(" . "),
            _ => element.words[0].clone(),
        };
        taken.map(|element| format!("delete element ip {TABLE} {map} {{ {} }}\n", key(element))).collect()
    };
    ["public_in", "public_out", "own"].map(of).into_iter().collect::<Vec<String>>().concat()
}

fn guard(spec: &NetworkSpec) -> Table {
    let sender = "iifname . ether saddr . ip saddr @plugged";
    let about_itself = format!("iifname . {ASKED_ABOUT} @asking");
    let rules = vec![
        // A frame with a VLAN's tag would pass for what it carries.
        "ether type != { ip, arp } drop".to_owned(),
        "udp sport 67 drop".to_owned(),
        format!(
            "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 {about_itself} {sender} accept"
        ),
        format!("ip saddr != 0.0.0.0 udp dport 67 {about_itself} {sender} accept"),
        // One that is too short to tell whom it is about, too.
        "udp dport 67 drop".to_owned(),
        format!("ip saddr != 0.0.0.0 {sender} accept"),
        "iifname . ether saddr . arp saddr ip @plugged iifname . arp saddr ether . arp saddr ip @plugged accept"
            .to_owned(),
    ];
    Table {
        family: "bridge",
        name: TABLE.to_owned(),
        sets: vec![
            ("set", "plugged", "type ifname . ether_addr . ipv4_addr"),
            ("set", "asking", "typeof iifname . @th,288,48"),
        ],
        chains: vec![
            Chain { name: "prerouting", hook: "filter hook prerouting priority filter; policy drop", rules },
            firewall::straight(spec),
        ],
    }
}

fn routing(spec: &NetworkSpec) -> Table {
    let range = spec.cidr.trunc();
    let [to_gateway, outbound, inbound] = firewall::chains(spec);
    let chain = |name, hook, rules: &[String]| Chain { name, hook, rules: rules.to_vec() };
    let chains = vec![
        chain("arriving", "filter hook prerouting priority raw; policy accept", &[bridged_or_routed()]),
        chain(
            "prerouting",
            "nat hook prerouting priority dstnat; policy accept",
            &["ip saddr . ip daddr @own accept".to_owned(), "dnat to ip daddr map @public_in".to_owned()],
        ),
        to_gateway,
        chain("input", "filter hook input priority filter; policy drop", &to_namespace(spec)),
        outbound,
        inbound,
        chain("forward", "filter hook forward priority filter; policy drop", &through_namespace(range)),
        chain("output", "filter hook output priority filter; policy accept", &from_namespace(spec)),
        chain(
            "postrouting",
            "nat hook postrouting priority srcnat; policy accept",
            &[
                format!("oifname \"{UPLINK}\" snat to ip saddr map @public_out"),
                format!("oifname \"{UPLINK}\" ip saddr {range} masquerade"),
                format!("oifname \"{BRIDGE}\" ip saddr {range} ct status dnat masquerade"),
            ],
        ),
    ];
    let map = "type ipv4_addr : ipv4_addr";
    let own = ("set", "own", "type ipv4_addr . ipv4_addr");
    let sets = vec![("map", "public_in", map), ("map", "public_out", map), own];
    Table { family: "ip", name: TABLE.to_owned(), sets, chains }
}

/// A frame to a link-local group passes by the guard, and would come up as from its machine's own port.
fn bridged_or_routed() -> String {
    format!("iifname != {{ \"lo\", \"{BRIDGE}\", \"{UPLINK}\" }} drop")
}

/// In a network of a machine's own, the drives' address is the machine's: nothing comes here for it.
fn to_namespace(spec: &NetworkSpec) -> [String; 6] {
    let from_machines = format!("iifname \"{BRIDGE}\"");
    let (gateway, drives) = (spec.gateway(), drives_address(spec.cidr));
    [
        "iifname \"lo\" accept".to_owned(),
        "ct state established,related accept".to_owned(),
        format!("{from_machines} udp dport 67 accept"),
        format!("{from_machines} ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 accept"),
        format!("{from_machines} ip daddr {gateway} icmp type echo-request accept"),
        format!("{from_machines} ip daddr {drives} tcp dport {PORT} accept"),
    ]
}

/// A drive's server that ends in the middle of things resets its connections. A client that is just sending
/// then tells programs of errors, although it would find the server again: Linux 6.1 does so. It is told of an
/// orderly end instead, upon which it sends everything once more, and what comes late is not answered.
fn from_namespace(spec: &NetworkSpec) -> [String; 2] {
    let from_drives = format!("ip saddr {} tcp sport {PORT}", drives_address(spec.cidr));
    [
        format!("{from_drives} tcp flags & (rst | ack) == rst drop"),
        format!("{from_drives} tcp flags & rst == rst tcp flags set fin | ack"),
    ]
}

/// Machine to machine passes here for a public address of the same network, and where bridged frames pass these
/// hooks too: in a network with a firewall, and on hosts where Docker has set it so.
fn through_namespace(range: Ipv4Net) -> [String; 5] {
    [
        "ct state established,related accept".to_owned(),
        format!("iifname \"{BRIDGE}\" ct state new ct count over {CONNECTIONS_MAX} drop"),
        format!("iifname \"{BRIDGE}\" oifname \"{UPLINK}\" ip saddr {range} accept"),
        format!("iifname \"{UPLINK}\" oifname \"{BRIDGE}\" ct status dnat accept"),
        format!("iifname \"{BRIDGE}\" oifname \"{BRIDGE}\" accept"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::HostNetwork;

    fn seen(json: &str) -> Ruleset {
        Ruleset::parse(format!(r#"{{"nftables": [{json}]}}"#).as_bytes()).unwrap()
    }

    fn machine() -> MachineId {
        "psa".parse().unwrap()
    }

    #[test]
    fn the_whole_tables() {
        let network = HostNetwork::Own(machine());
        let spec = NetworkSpec { network, cidr: "10.64.8.0/24".parse().unwrap(), firewall: Vec::new() };
        let shown = |table: &Table| {
            let chain =
                |chain: &Chain| format!("{} ({})\n  {}\n", chain.name, chain.hook, chain.rules.join("\n  "));
            table.chains.iter().map(chain).collect::<String>()
        };
        let wanted = "\
prerouting (filter hook prerouting priority filter; policy drop)
  ether type != { ip, arp } drop
  udp sport 67 drop
  ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 iifname . @th,288,48 @asking iifname . ether saddr . ip saddr @plugged accept
  ip saddr != 0.0.0.0 udp dport 67 iifname . @th,288,48 @asking iifname . ether saddr . ip saddr @plugged accept
  udp dport 67 drop
  ip saddr != 0.0.0.0 iifname . ether saddr . ip saddr @plugged accept
  iifname . ether saddr . arp saddr ip @plugged iifname . arp saddr ether . arp saddr ip @plugged accept
forward (filter hook forward priority filter; policy accept)
  \n\
arriving (filter hook prerouting priority raw; policy accept)
  iifname != { \"lo\", \"br0\", \"uplink\" } drop
prerouting (nat hook prerouting priority dstnat; policy accept)
  ip saddr . ip daddr @own accept
  dnat to ip daddr map @public_in
to_gateway (filter hook input priority filter - 1; policy accept)
  \n\
input (filter hook input priority filter; policy drop)
  iifname \"lo\" accept
  ct state established,related accept
  iifname \"br0\" udp dport 67 accept
  iifname \"br0\" ip daddr 10.64.8.1 meta l4proto { tcp, udp } th dport 53 accept
  iifname \"br0\" ip daddr 10.64.8.1 icmp type echo-request accept
  iifname \"br0\" ip daddr 10.64.8.2 tcp dport 445 accept
outbound (filter hook forward priority filter - 2; policy accept)
  \n\
inbound (filter hook forward priority filter - 1; policy accept)
  \n\
forward (filter hook forward priority filter; policy drop)
  ct state established,related accept
  iifname \"br0\" ct state new ct count over 8192 drop
  iifname \"br0\" oifname \"uplink\" ip saddr 10.64.8.0/24 accept
  iifname \"uplink\" oifname \"br0\" ct status dnat accept
  iifname \"br0\" oifname \"br0\" accept
output (filter hook output priority filter; policy accept)
  ip saddr 10.64.8.2 tcp sport 445 tcp flags & (rst | ack) == rst drop
  ip saddr 10.64.8.2 tcp sport 445 tcp flags & rst == rst tcp flags set fin | ack
postrouting (nat hook postrouting priority srcnat; policy accept)
  oifname \"uplink\" snat to ip saddr map @public_out
  oifname \"uplink\" ip saddr 10.64.8.0/24 masquerade
  oifname \"br0\" ip saddr 10.64.8.0/24 ct status dnat masquerade
";
        assert_eq!(tables(&spec).each_ref().map(shown).concat(), wanted);
    }

    #[test]
    fn plugging_changes_only_what_differs() {
        let passes = passes("psa", Mac([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 64, 8, 2));
        let held = r#"{"set": {"name": "plugged", "elem": [
            {"concat": ["psa", "02:00:00:00:00:01", "0.0.0.0"]}, {"concat": ["psa", "02:00:00:00:00:01", "10.64.8.9"]},
            {"concat": ["psb", "02:00:00:00:00:02", "10.64.8.3"]}]}},
            {"set": {"name": "asking", "elem": [{"concat": ["psa", 2199023255554]}, {"concat": ["psb", 2199023255554]}]}}"#;
        let wanted = "delete element bridge deckle plugged { \"psa\" . 02:00:00:00:00:01 . 10.64.8.9 }\n\
             delete element bridge deckle asking { \"psa\" . 2199023255554 }\n\
             add element bridge deckle plugged { \"psa\" . 02:00:00:00:00:01 . 10.64.8.2 }\n\
             add element bridge deckle asking { \"psa\" . 2199023255553 }\n";
        assert_eq!(plug(&seen(held), "psa", &passes), wanted);
        assert!(!is_plugged(&seen(held), &passes));
        assert_eq!(plug(&seen(held), "psc", &[]), "");
    }

    #[test]
    fn leading_takes_the_address_from_whoever_has_it() {
        let held = r#"{"map": {"name": "public_in", "elem": [[{"elem": {"val": "203.0.113.7", "comment": "psb"}}, "10.64.8.3"]]}},
            {"map": {"name": "public_out", "elem": [[{"elem": {"val": "10.64.8.3", "comment": "psb"}}, "203.0.113.7"]]}},
            {"set": {"name": "own", "elem": [{"elem": {"val": {"concat": ["10.64.8.3", "203.0.113.7"]}, "comment": "psb"}}]}}"#;
        let text = lead(&seen(held), &machine(), Ipv4Addr::new(203, 0, 113, 7), Ipv4Addr::new(10, 64, 8, 2));
        let wanted = "delete element ip deckle public_in { 203.0.113.7 }\n\
             delete element ip deckle public_out { 10.64.8.3 }\n\
             delete element ip deckle own { 10.64.8.3 . 203.0.113.7 }\n\
             add element ip deckle public_in { 203.0.113.7 comment \"psa\" : 10.64.8.2 }\n\
             add element ip deckle public_out { 10.64.8.2 comment \"psa\" : 203.0.113.7 }\n\
             add element ip deckle own { 10.64.8.2 . 203.0.113.7 comment \"psa\" }\n";
        assert_eq!(text, wanted);
        assert_eq!(unlead(&seen(held), &machine()), "");
    }
}
