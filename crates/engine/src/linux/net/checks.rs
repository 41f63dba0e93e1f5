//! What `deckle doctor` asks of this host for its networks.

use std::fs;
use std::path::Path;

use ipnet::Ipv4Net;

use super::ip::{self, Link};
use super::network_rules::CONNECTIONS_MAX;
use super::place::Place;
use super::rules::{self, Ruleset};
use super::{Net, files, host_rules, name_servers};
use crate::linux::Settings;
use crate::seen::{Check, Verdict};

/// Programs, how they tell their version, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str, &str); 3] =
    [("ip", "-V", "iproute2"), ("nft", "--version", "nftables"), ("dnsmasq", "--version", "dnsmasq-base")];

/// Addresses that are kept for documents: no router outside sends packets for them back.
const DOCUMENTATION: [&str; 3] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];

pub(super) async fn all(net: &Net) -> Vec<Check> {
    let mut checks = Vec::new();
    for (program, version, package) in PROGRAMS {
        checks.push(program_check(program, version, package).await);
    }
    checks.extend([
        tun(),
        forwarding(),
        connections(),
        servers(net),
        reach(net),
        public_pools(&net.settings.public_pools),
    ]);
    let uplinks = net.paths.uplink_prefix();
    if let Ok(links) = ip::links(&Place::Host).await {
        checks.push(overlaps(&net.settings, &links));
    }
    if let Ok(seen) = rules::look(&Place::Host).await {
        checks.push(forward_policy(&seen, &uplinks));
    }
    checks
}

/// Whether the kernel forwards packets.
pub(super) fn host_forwards() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

async fn program_check(program: &str, version: &str, package: &str) -> Check {
    match Place::Host.run(program).arg(version).output().await {
        Ok(said) => {
            let said = String::from_utf8_lossy(&said);
            Check::good(program, said.lines().next().unwrap_or("It is there.").trim())
        }
        Err(failure) => {
            Check::new(program, Verdict::Bad, failure.to_string(), format!("apt-get install {package}"))
        }
    }
}

fn tun() -> Check {
    if Path::new("/dev/net/tun").exists() {
        return Check::good("tun", "/dev/net/tun is there.");
    }
    Check::new("tun", Verdict::Bad, "/dev/net/tun is missing: machines have no ports.", "modprobe tun")
}

fn forwarding() -> Check {
    if host_forwards() {
        return Check::good("forwarding", "The host forwards packets.");
    }
    let found = "The host does not forward packets; the server switches it on when it starts.";
    Check::new("forwarding", Verdict::Weak, found, "sysctl -w net.ipv4.ip_forward=1")
}

/// A host that has tracked no connection yet has no bound to look at.
fn connections() -> Check {
    const NAME: &str = "connections";
    let file = "/proc/sys/net/netfilter/nf_conntrack_max";
    let bound = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    bound.map_or_else(
        || Check::good(NAME, "The host tracks no connections yet."),
        |bound| room_to_track(NAME, bound),
    )
}

fn room_to_track(name: &str, bound: u32) -> Check {
    const NETWORKS: u32 = 8;
    let wanted = NETWORKS * CONNECTIONS_MAX;
    if bound >= wanted {
        return Check::good(
            name,
            format!("The host tracks {bound} of them, a network at most {CONNECTIONS_MAX}."),
        );
    }
    let found = format!("The host tracks {bound} connections, a network alone up to {CONNECTIONS_MAX}.");
    Check::new(name, Verdict::Weak, found, format!("sysctl -w net.netfilter.nf_conntrack_max={}", 4 * wanted))
}

fn servers(net: &Net) -> Check {
    let servers = name_servers::of_host(&net.settings);
    if servers.is_empty() {
        let found = "The host names no name server that machines could reach.";
        return Check::new("name servers", Verdict::Weak, found, "set name_servers in the configuration");
    }
    let closed = host_rules::closed(&net.settings);
    if let Some(server) = servers.iter().find(|&ip| closed.iter().any(|range| range.contains(ip))) {
        let found = format!("Machines may not reach the name server {server}, so neither do theirs.");
        return Check::new("name servers", Verdict::Weak, found, "set name_servers in the configuration");
    }
    let listed: Vec<_> = servers.iter().map(ToString::to_string).collect();
    Check::good("name servers", format!("Machines' names are asked of {}.", listed.join(", ")))
}

fn reach(net: &Net) -> Check {
    let folder = net.paths.state();
    if files::is_open_to_all(folder) {
        return Check::good("lease servers", "They run under a user of their own.");
    }
    let found = format!("Other users cannot reach {}: lease servers run as root.", folder.display());
    Check::new(
        "lease servers",
        Verdict::Weak,
        found,
        format!("chmod a+x {} and what it lies in", folder.display()),
    )
}

fn public_pools(pools: &[Ipv4Net]) -> Check {
    let kept: Vec<Ipv4Net> = DOCUMENTATION.iter().filter_map(|range| range.parse().ok()).collect();
    match pools.iter().find(|pool| kept.iter().any(|kept| kept.contains(*pool))) {
        None => Check::good("public addresses", format!("{} ranges of them are configured.", pools.len())),
        Some(pool) => {
            let found =
                format!("{pool} is for examples: machines with such an address reach this host only.");
            Check::new(
                "public addresses",
                Verdict::Weak,
                found,
                "set public_pools to addresses that are yours",
            )
        }
    }
}

/// A public pool may be a part of the range that an interface is in: proxy ARP is for that.
fn overlaps(settings: &Settings, links: &[Link]) -> Check {
    let foreign = links.iter().filter(|link| !link.name.starts_with("dk"));
    for (name, at) in foreign.flat_map(|link| link.addresses().into_iter().map(|at| (&link.name, at))) {
        let closed = host_rules::closed(settings);
        let mut ranges = closed.iter().filter(|range| range.contains(&at.network()) || at.contains(*range));
        let mut pools = settings.public_pools.iter().filter(|pool| pool.contains(&at.addr()));
        if let Some(range) = ranges.next().or_else(|| pools.next()) {
            let found = format!("{range} overlaps {at} of {name}: machines do not reach one of the two.");
            return Check::new(
                "address ranges",
                Verdict::Weak,
                found,
                "set another range in the configuration",
            );
        }
    }
    Check::good("address ranges", "No range of Deckle's overlaps one of the host's.")
}

/// Another's chain that drops what it does not know drops machines' packets too: accepting them in our
/// table does not help.
fn forward_policy(seen: &Ruleset, uplinks: &str) -> Check {
    const NAME: &str = "forwarding rules";
    const FIREWALLD: &str =
        "firewall-cmd --permanent --zone=trusted --add-source= each of uplinks and public_pools";
    let firewalld = seen.has("table", "firewalld");
    let Some((family, table, chain)) = seen.dropping("forward").into_iter().next() else {
        if firewalld {
            // Its chain accepts by policy, and its last rule rejects.
            let found = "firewalld rejects what machines send and get, unless it is told otherwise.";
            return Check::new(NAME, Verdict::Weak, found, FIREWALLD);
        }
        return Check::good(NAME, "No other rules of the host stop what machines send.");
    };
    let found = format!("The chain {chain} of {family} {table} drops what machines send and get.");
    let cure = if seen.has("chain", "DOCKER-USER") {
        format!(
            "iptables -I DOCKER-USER -i {uplinks}+ -j ACCEPT; iptables -I DOCKER-USER -o {uplinks}+ -j ACCEPT"
        )
    } else if seen.has("chain", "ufw-user-forward") {
        "set DEFAULT_FORWARD_POLICY=\"ACCEPT\" in /etc/default/ufw; ufw reload".to_owned()
    } else if firewalld {
        FIREWALLD.to_owned()
    } else {
        let insert = |way| format!("nft insert rule {family} {table} {chain} {way} '\"{uplinks}*\"' accept");
        format!("{}; {}", insert("iifname"), insert("oifname"))
    };
    Check::new(NAME, Verdict::Weak, found, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> Vec<Link> {
        let (ip, length) = address.split_once('/').unwrap();
        let text = format!(r#"[{{"ifname":"eth0","addr_info":[{{"local":"{ip}","prefixlen":{length}}}]}}]"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_range_that_the_host_is_in_is_told() {
        let verdict = |address| overlaps(&Settings::default(), &host(address)).verdict;
        assert_eq!(verdict("192.168.1.2/24"), Verdict::Good);
        assert_eq!(verdict("10.64.3.2/24"), Verdict::Weak);
        assert_eq!(verdict("10.0.0.2/8"), Verdict::Weak);
        assert_eq!(verdict("100.96.200.1/30"), Verdict::Weak);
        assert_eq!(verdict("203.0.113.5/24"), Verdict::Weak);
        assert_eq!(verdict("203.0.112.5/23"), Verdict::Good);
    }

    #[test]
    fn a_host_that_one_network_could_fill_is_told() {
        assert_eq!(room_to_track("connections", 262_144).verdict, Verdict::Good);
        assert_eq!(room_to_track("connections", 8192).verdict, Verdict::Weak);
    }

    #[test]
    fn a_pool_for_examples_is_told() {
        let verdict = |pool: &str| public_pools(&[pool.parse().unwrap()]).verdict;
        assert_eq!(verdict("203.0.113.128/25"), Verdict::Weak);
        assert_eq!(verdict("198.18.0.0/24"), Verdict::Good);
    }

    #[test]
    fn rules_that_drop_what_is_forwarded_come_with_their_cure() {
        let chain = r#"{"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}}"#;
        let docker = r#"{"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER"}}"#;
        let seen = |items: &[&str]| {
            Ruleset::parse(format!(r#"{{"nftables": [{}]}}"#, items.join(",")).as_bytes()).unwrap()
        };
        assert_eq!(forward_policy(&seen(&[]), "dkabc").verdict, Verdict::Good);
        let plain = forward_policy(&seen(&[chain]), "dkabc");
        assert!(plain.cure.starts_with("nft insert rule ip filter FORWARD iifname"), "{}", plain.cure);
        let firewalld = r#"{"table": {"family": "inet", "name": "firewalld"}}"#;
        let told = forward_policy(&seen(&[firewalld]), "dkabc");
        assert_eq!(told.verdict, Verdict::Weak);
        assert!(told.cure.starts_with("firewall-cmd"), "{}", told.cure);
        let docker = forward_policy(&seen(&[chain, docker]), "dkabc");
        assert!(docker.cure.starts_with("iptables -I DOCKER-USER -i dkabc+"), "{}", docker.cure);
    }
}
