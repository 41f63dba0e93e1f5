//! What `deckle doctor` asks of this host for its networks.

use std::fs;
use std::path::Path;

use ipnet::Ipv4Net;

use super::network_rules::CONNECTIONS_MAX;
use super::place::Place;
use super::{Net, files, firewall, host_rules, name_servers, others};
use crate::seen::{Check, Verdict};

/// Programs, how they tell their version, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str, &str); 4] = [
    ("ip", "-V", "iproute2"),
    ("nft", "--version", "nftables"),
    ("conntrack", "--version", "conntrack"),
    ("dnsmasq", "--version", "dnsmasq-base"),
];

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
    checks.push(bridged_frames().await);
    checks.extend(others::all(net).await);
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

/// A kernel that has it as a module gets it with the first firewall rule.
async fn bridged_frames() -> Check {
    const NAME: &str = "firewall";
    if firewall::is_at_hand() {
        return Check::good(NAME, "The kernel can filter what machines of a network send each other.");
    }
    if Place::Host.run("modprobe").args(["--dry-run", firewall::MODULE]).output().await.is_ok() {
        return Check::good(
            NAME,
            format!("{} is loaded with a network's first firewall rule.", firewall::MODULE),
        );
    }
    let found = "The kernel cannot filter bridged frames: networks with firewall rules are not made.";
    Check::new(NAME, Verdict::Weak, found, firewall::CURE)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
