//! What `deckle doctor` tells of others on this host: their ranges, their rules, other installations.
//!
//! **Invariant**: it looks and never changes what is another's. A chain that drops packets is opened by the
//! operator, with the printed command, and by nobody else.

use std::fs;

use ipnet::Ipv4Net;

use super::ip::{self, Link, Route};
use super::place::Place;
use super::rules::{self, Ruleset};
use super::{Net, host_rules};
use crate::linux::Settings;
use crate::seen::{Check, Verdict};

/// What the names of all installations' uplinks begin with.
const ANY_UPLINK: &str = "dk";
/// Names the tables of the older kind of rules, which `nft` does not show.
const LEGACY_TABLES: &str = "/proc/net/ip_tables_names";
const RULES: &str = "forwarding rules";
const RANGES: &str = "address ranges";

pub(super) async fn all(net: &Net) -> Vec<Check> {
    let uplinks = net.paths.uplink_prefix();
    let mut checks = Vec::new();
    let (links, routes) = (ip::links(&Place::Host).await, ip::routes(&Place::Host, &[]).await);
    if let (Ok(links), Ok(routes)) = (links, routes) {
        checks.push(ranges(&net.settings, &uplinks, &links, &routes));
    }
    if let Ok(seen) = rules::look(&Place::Host).await {
        checks.push(forward_policy(&seen, &uplinks));
    }
    if fs::read_to_string(LEGACY_TABLES).is_ok_and(|tables| tables.lines().any(|table| table == "filter"))
        && let Ok(said) = Place::Host.run("iptables-legacy").arg("-S").output().await
    {
        checks.push(legacy_policy(&String::from_utf8_lossy(&said), &uplinks));
    }
    checks
}

/// A public pool may be a part of the range that an interface is in: proxy ARP is for that.
fn ranges(settings: &Settings, uplinks: &str, links: &[Link], routes: &[Route]) -> Check {
    let foreign = links.iter().filter(|link| !link.name.starts_with(ANY_UPLINK));
    let addresses = foreign.flat_map(|link| link.addresses().into_iter().map(|at| (link.name.clone(), at)));
    for (name, at) in addresses {
        let of_pool = settings.public_pools.iter().find(|pool| pool.contains(&at.addr()));
        if let Some(range) = closed_over(settings, at.trunc()).or(of_pool.copied()) {
            return overlap(range, &format!("{at} of {name}"));
        }
    }
    for (route, to) in routes.iter().filter_map(|route| Some((route, route.range()?))) {
        if route.dev.is_empty() || route.dev.starts_with(uplinks) {
            continue;
        }
        let of_pool = settings.public_pools.iter().find(|pool| pool.contains(&to));
        if route.dev.starts_with(ANY_UPLINK) {
            let Some(pool) = of_pool else { continue };
            let found =
                format!("{} of {pool} leads to another installation of Deckle, by {}.", to.addr(), route.dev);
            return Check::new(
                RANGES,
                Verdict::Weak,
                found,
                "give each installation public_pools of its own",
            );
        }
        if let Some(range) = closed_over(settings, to).or(of_pool.copied()) {
            return overlap(range, &format!("the route to {to} by {}", route.dev));
        }
    }
    Check::good(RANGES, "No range of Deckle's overlaps one of the host's.")
}

/// The range that machines do not reach and that overlaps `other`.
fn closed_over(settings: &Settings, other: Ipv4Net) -> Option<Ipv4Net> {
    host_rules::closed(settings).into_iter().find(|range| range.contains(&other) || other.contains(range))
}

fn overlap(range: Ipv4Net, other: &str) -> Check {
    let found = format!("{range} overlaps {other}: machines do not reach one of the two.");
    Check::new(RANGES, Verdict::Weak, found, "set another range in the configuration")
}

/// Another's chain that drops what it does not know drops machines' packets too: accepting them in our
/// table does not help.
fn forward_policy(seen: &Ruleset, uplinks: &str) -> Check {
    const FIREWALLD: &str =
        "firewall-cmd --permanent --zone=trusted --add-source= each of uplinks and public_pools";
    let firewalld = seen.has("table", "firewalld");
    let closed = |(family, table, _): &(String, String, String)| !seen.admits(family, table, uplinks);
    let Some((family, table, chain)) = seen.dropping("forward").into_iter().find(closed) else {
        if firewalld && !seen.admits("inet", "firewalld", uplinks) {
            // Its chain accepts by policy, and its last rule rejects.
            let found = "firewalld rejects what machines send and get, unless it is told otherwise.";
            return Check::new(RULES, Verdict::Weak, found, FIREWALLD);
        }
        return Check::good(RULES, "No other rules of the host stop what machines send.");
    };
    let found = format!("The chain {chain} of {family} {table} drops what machines send and get.");
    let cure = if seen.has("chain", "DOCKER-USER") {
        docker(uplinks, "iptables")
    } else if seen.has("chain", "ufw-user-forward") {
        UFW.to_owned()
    } else if firewalld {
        FIREWALLD.to_owned()
    } else {
        let insert = |way| format!("nft insert rule {family} {table} {chain} {way} '\"{uplinks}*\"' accept");
        format!("{}; {}", insert("iifname"), insert("oifname"))
    };
    Check::new(RULES, Verdict::Weak, found, cure)
}

const UFW: &str = "set DEFAULT_FORWARD_POLICY=\"ACCEPT\" in /etc/default/ufw; ufw reload";

fn docker(uplinks: &str, program: &str) -> String {
    let insert = |way| format!("{program} -I DOCKER-USER {way} {uplinks}+ -j ACCEPT");
    format!("{}; {}", insert("-i"), insert("-o"))
}

/// The same of the older kind of rules, as `iptables-legacy -S` says them.
fn legacy_policy(said: &str, uplinks: &str) -> Check {
    let has = |line: &str| said.lines().any(|said| said.trim() == line);
    let admits =
        |chain: &str| ["-i", "-o"].iter().all(|way| has(&format!("-A {chain} {way} {uplinks}+ -j ACCEPT")));
    if !has("-P FORWARD DROP") || admits("FORWARD") || admits("DOCKER-USER") {
        return Check::good(RULES, "No rules of iptables-legacy stop what machines send.");
    }
    let found = "The chain FORWARD of iptables-legacy drops what machines send and get.";
    let cure = if has("-N DOCKER-USER") {
        docker(uplinks, "iptables-legacy")
    } else if has("-N ufw-user-forward") {
        UFW.to_owned()
    } else {
        docker(uplinks, "iptables-legacy").replace("DOCKER-USER", "FORWARD")
    };
    Check::new(RULES, Verdict::Weak, found, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> Vec<Link> {
        let (ip, length) = address.split_once('/').unwrap();
        let text = format!(r#"[{{"ifname":"eth0","addr_info":[{{"local":"{ip}","prefixlen":{length}}}]}}]"#);
        serde_json::from_str(&text).unwrap()
    }

    fn route(to: &str, dev: &str) -> Vec<Route> {
        vec![Route { dst: to.to_owned(), gateway: None, dev: dev.to_owned() }]
    }

    #[test]
    fn a_range_that_the_host_is_in_is_told() {
        let verdict = |address| ranges(&Settings::default(), "dkabc", &host(address), &[]).verdict;
        assert_eq!(verdict("192.168.1.2/24"), Verdict::Good);
        assert_eq!(verdict("10.64.3.2/24"), Verdict::Weak);
        assert_eq!(verdict("10.0.0.2/8"), Verdict::Weak);
        assert_eq!(verdict("100.96.200.1/30"), Verdict::Weak);
        assert_eq!(verdict("203.0.113.5/24"), Verdict::Weak);
        assert_eq!(verdict("203.0.112.5/23"), Verdict::Good);
    }

    #[test]
    fn a_range_that_another_s_route_leads_to_is_told() {
        let settings = Settings {
            public_pools: vec!["203.0.113.0/24".parse().unwrap(), "203.0.113.128/25".parse().unwrap()],
            ..Settings::default()
        };
        let told = |to, dev| ranges(&settings, "dkabc", &[], &route(to, dev));
        for (to, dev) in [
            ("default", "eth0"),
            ("192.168.1.0/24", "eth0"),
            ("203.0.113.7", "dkabcn1"),
            ("100.96.0.0/31", "dkabcn1"),
            ("100.96.0.2/31", "dkxyzn1"),
            ("203.0.113.0/24", ""),
            ("203.0.112.0/23", "eth0"),
        ] {
            assert_eq!(told(to, dev).verdict, Verdict::Good, "{to} by {dev:?}");
        }
        for (to, dev) in [
            ("10.0.0.0/8", "wg0"),
            ("10.64.3.0/24", "wg0"),
            ("100.64.0.0/10", "tailscale0"),
            ("203.0.113.0/24", "eth1"),
            ("203.0.113.130", "docker0"),
        ] {
            assert_eq!(told(to, dev).verdict, Verdict::Weak, "{to} by {dev}");
        }
        let second = told("203.0.113.7", "dkxyzn1");
        assert!(second.found.contains("another installation"), "{}", second.found);
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

    #[test]
    fn rules_of_the_older_kind_are_told_too() {
        let open = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n";
        let closed = "-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n";
        let mended =
            format!("{closed}-A DOCKER-USER -o dkabc+ -j ACCEPT\n-A DOCKER-USER -i dkabc+ -j ACCEPT\n");
        let half = format!("{closed}-A DOCKER-USER -i dkabc+ -j ACCEPT\n");
        let verdict = |said: &str| legacy_policy(said, "dkabc").verdict;
        assert_eq!([verdict(open), verdict(closed)], [Verdict::Good, Verdict::Weak]);
        assert_eq!([verdict(&mended), verdict(&half)], [Verdict::Good, Verdict::Weak]);
        let told = legacy_policy("-P FORWARD DROP\n", "dkabc").cure;
        assert_eq!(
            told,
            "iptables-legacy -I FORWARD -i dkabc+ -j ACCEPT; iptables-legacy -I FORWARD -o dkabc+ -j ACCEPT"
        );
    }
}
