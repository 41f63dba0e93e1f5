//! Others that have rules on the host: they go on, and so do machines, or `deckle doctor` says what is in the way.

use std::net::Ipv4Addr;

use deckle_engine::seen::{Check, Verdict};

use super::guest::Guest;
use super::hosts::{follow, load, on_a_bare_host};
use super::world::{NEVER, OUTSIDE, World, fresh_port, ip, listen, nic, reaches, said};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// As Docker leaves a host, through iptables-nft.
const DOCKER: &str = "
    table ip filter {
        chain DOCKER-USER { return; }
        chain FORWARD {
            type filter hook forward priority filter; policy drop;
            jump DOCKER-USER
            oifname \"docker0\" ct state established,related accept
            iifname \"docker0\" accept
        }
    }
    table ip nat {
        chain POSTROUTING { type nat hook postrouting priority srcnat; ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade; }
    }";
/// As ufw leaves it.
const UFW: &str = "
    table ip filter {
        chain ufw-user-forward { }
        chain FORWARD {
            type filter hook forward priority filter; policy drop;
            ct state established,related accept
            jump ufw-user-forward
        }
    }";
/// As firewalld leaves it: it accepts by policy, and rejects at last.
const FIREWALLD: &str = "
    table inet firewalld {
        chain filter_FORWARD {
            type filter hook forward priority filter + 10; policy accept;
            ct state { established, related } accept
            reject with icmpx type admin-prohibited
        }
    }";
/// As somebody has written it by hand.
const BY_HAND: &str = "
    table inet mine {
        chain gate { type filter hook forward priority 5; policy drop; ct state established accept; }
    }";

async fn check(world: &World, name: &str) -> Check {
    let checks = world.net.checks().await;
    checks.into_iter().find(|check| check.name == name).expect("such a check")
}

fn passes(world: &World, guest: &Guest) -> (bool, bool) {
    let port = fresh_port();
    let _served = listen(&guest.namespace, port);
    (guest.pings(OUTSIDE), reaches(&world.outside, PUBLIC, port, NEVER))
}

/// What the doctor prints opens the way; `mend` stands for a program that this machine does not have.
fn another(rules: &'static str, told: &'static str, mend: impl Fn(&World, &str) + Send + 'static) {
    on_a_bare_host(move || async move {
        let world = World::new().await;
        let spec = world.network("a", "10.64.8.0/24").await;
        let guest = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
        world.lead(PUBLIC, &guest.nic).await;
        assert_eq!(check(&world, "forwarding rules").await.verdict, Verdict::Good);
        assert_eq!(passes(&world, &guest), (true, true));

        load(rules);
        let before = said("nft", &["list", "ruleset"]);
        let found = check(&world, "forwarding rules").await;
        assert_eq!(found.verdict, Verdict::Weak, "{found:?}");
        assert!(found.cure.contains(told), "{}", found.cure);
        assert_eq!(passes(&world, &guest), (false, false), "what is told is true");
        world.net.ensure_network(&spec).await.unwrap();
        let others = |text: &str| text.split("table inet deckle").next().unwrap_or_default().to_owned();
        assert_eq!(others(&said("nft", &["list", "ruleset"])), others(&before), "others' rules are theirs");

        mend(&world, &found.cure);
        assert_eq!(passes(&world, &guest), (true, true), "the cure helps");
        let after = check(&world, "forwarding rules").await;
        assert_eq!(after.verdict, Verdict::Good, "{after:?}");
    });
}

#[test]
fn docker_and_machines_live_on_one_host() {
    another(DOCKER, "iptables -I DOCKER-USER -i", |world, _| {
        let uplinks = world.paths.uplink_prefix();
        for way in ["iifname", "oifname"] {
            follow(&format!("nft insert rule ip filter DOCKER-USER {way} '\"{uplinks}*\"' counter accept"));
        }
    });
}

#[test]
fn ufw_and_machines_live_on_one_host() {
    another(UFW, "DEFAULT_FORWARD_POLICY=\"ACCEPT\"", |_, _| {
        follow("nft add chain ip filter FORWARD '{ policy accept; }'");
    });
}

#[test]
fn firewalld_and_machines_live_on_one_host() {
    another(FIREWALLD, "firewall-cmd --permanent --zone=trusted", |world, _| {
        let uplinks = world.paths.uplink_prefix();
        for way in ["iifname", "oifname"] {
            follow(&format!("nft insert rule inet firewalld filter_FORWARD {way} '\"{uplinks}*\"' accept"));
        }
    });
}

#[test]
fn rules_made_by_hand_are_opened_by_the_printed_command() {
    another(BY_HAND, "nft insert rule inet mine gate", |_, cure| follow(cure));
}

#[test]
fn ranges_of_the_host_that_overlap_are_told() {
    on_a_bare_host(|| async {
        let world = World::new().await;
        let spec = world.network("a", "10.64.8.0/24").await;
        let guest = nic(&spec, "a", 3);
        world.net.ensure_nic(&guest).await.unwrap();
        world.lead(PUBLIC, &guest).await;
        let verdict = || async { check(&world, "address ranges").await };
        let alone = verdict().await;
        assert_eq!(alone.verdict, Verdict::Good, "its own links and routes are no overlap: {alone:?}");
        for range in ["10.0.0.0/8", "10.64.200.0/24", "100.96.7.0/24", "203.0.113.64/26"] {
            ip(&format!("route add {range} via {OUTSIDE}"));
            let told = verdict().await;
            assert!(told.verdict == Verdict::Weak && told.found.contains(range), "{told:?}");
            ip(&format!("route delete {range} via {OUTSIDE}"));
        }
        ip(&format!("address add 10.65.0.1/24 dev {}", world.outside_link()));
        assert_eq!(verdict().await.verdict, Verdict::Weak);
        ip(&format!("address delete 10.65.0.1/24 dev {}", world.outside_link()));

        let second = World::without_outside(|_| {}).await;
        let told = check(&second, "address ranges").await;
        assert!(told.found.contains("another installation"), "{told:?}");
        assert_eq!(verdict().await.verdict, Verdict::Good);
    });
}
