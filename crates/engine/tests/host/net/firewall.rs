//! What rules let pass, and what they do not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use deckle_api::firewall_rules::{FirewallDirection, FirewallProtocol};
use deckle_engine::seen::{NetworkSeen, Verdict};
use deckle_engine::specs::{FirewallRule, NetworkSpec};

use super::frames::{self, EVERYONE};
use super::guest::Guest;
use super::hosts::on_a_bare_host;
use super::world::{NEVER, OUTSIDE, SOON, World, done, fresh_port, ip, listen, nic, reaches, within};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const ANOTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);
const ALL: &str = "0.0.0.0/0";

/// What `deckle` would write as `tcp 80-81 to 10.64.8.3/32 from 0.0.0.0/0`.
fn rule(words: &str) -> FirewallRule {
    let words: Vec<_> = words.split(' ').collect();
    let [carried, ports, first, machines, _, peers] = words[..] else { panic!("{words:?}") };
    let port = |text: &str| text.parse().unwrap();
    FirewallRule {
        machines: machines.parse().unwrap(),
        direction: if first == "to" { FirewallDirection::Inbound } else { FirewallDirection::Outbound },
        protocol: match carried {
            "tcp" => FirewallProtocol::Tcp,
            "udp" => FirewallProtocol::Udp,
            "icmp" => FirewallProtocol::Icmp,
            _ => FirewallProtocol::Any,
        },
        ports: (ports != "*").then(|| {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            (port(first), port(last))
        }),
        peers: peers.parse().unwrap(),
    }
}

async fn set(world: &World, spec: &NetworkSpec, rules: &[&str]) -> NetworkSpec {
    let spec = NetworkSpec { firewall: rules.iter().map(|words| rule(words)).collect(), ..spec.clone() };
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Broken, "{rules:?}");
    world.net.ensure_network(&spec).await.unwrap();
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole, "{rules:?}");
    spec
}

/// Whether a TCP connection from a namespace reaches a server of the guest.
fn serves(guest: &Guest, port: u16, from: &str, at: Ipv4Addr) -> bool {
    let listener =
        within(&guest.namespace, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let reached = reaches(from, at, port, NEVER);
    drop(listener);
    reached
}

#[tokio::test]
async fn a_machine_gets_only_what_an_inbound_rule_allows() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let near = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    world.lead(PUBLIC, &guest.nic).await;
    world.lead(ANOTHER, &near.nic).await;
    let outside = world.outside.clone();
    assert!(serves(&guest, 90, &outside, PUBLIC) && serves(&guest, 90, &near.namespace, guest.nic.ip));

    set(
        &world,
        &spec,
        &[&format!("tcp 80-81 to 10.64.8.3/32 from {ALL}"), "tcp 22 to 10.64.8.3/32 from 10.64.8.4/32"],
    )
    .await;
    for port in [80, 81] {
        assert!(serves(&guest, port, &outside, PUBLIC), "{port} from outside");
        assert!(serves(&guest, port, &near.namespace, guest.nic.ip), "{port} from a neighbour");
        assert!(serves(&guest, port, &near.namespace, PUBLIC), "{port} from a neighbour, the long way");
    }
    for port in [79, 82, 22] {
        assert!(!serves(&guest, port, &outside, PUBLIC), "{port} from outside");
    }
    assert!(serves(&guest, 22, &near.namespace, guest.nic.ip));
    assert!(serves(&guest, 22, &near.namespace, PUBLIC), "a neighbour is itself the long way too");
    for at in [guest.nic.ip, PUBLIC] {
        assert!(!serves(&guest, 90, &near.namespace, at), "90 from a neighbour at {at}");
        assert!(!near.pings(at), "a ping from a neighbour to {at}");
    }
    assert!(guest.pings(OUTSIDE) && guest.pings(near.nic.ip), "what it sends, and answers, are not filtered");
    assert!(serves(&near, 90, &outside, ANOTHER) && serves(&near, 90, &guest.namespace, near.nic.ip));
    assert!(serves(&near, 90, &guest.namespace, ANOTHER) && serves(&guest, 80, &guest.namespace, PUBLIC));
}

#[tokio::test]
async fn a_machine_sends_only_what_an_outbound_rule_allows_and_what_it_needs() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::boot(&world, nic(&spec, "a", 3)).await;
    let near = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    let namespace = world.namespace(&spec.network);
    let inside = format!("--net=/run/netns/{namespace}");
    let drives = Ipv4Addr::new(10, 64, 8, 2);
    // As the drives of a network are served.
    let serve_drives = || {
        ip(&format!("-n {namespace} address replace {drives}/24 dev br0"));
        let accept = "nft insert rule ip deckle input iifname br0 tcp dport 445 accept".split(' ');
        done("nsenter", &[inside.as_str()].into_iter().chain(accept).collect::<Vec<_>>());
        within(&namespace, move || TcpListener::bind((drives, 445)).unwrap())
    };
    let first = set(&world, &spec, &[&format!("tcp 8000 from 10.64.8.3/32 to {OUTSIDE}/32")]).await;
    let served = serve_drives();
    let offered = guest.take_lease(world.paths.state()).expect("no lease");
    assert!(offered.starts_with("10.64.8.3 "), "{offered}");
    assert!(guest.resolves("b", spec.gateway()));
    let reached = |port| {
        let _server =
            within(&world.outside, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        reaches(&guest.namespace, OUTSIDE, port, NEVER)
    };
    assert!(reached(8000) && !reached(8001) && !guest.pings(OUTSIDE));
    assert!(!serves(&near, 8000, &guest.namespace, near.nic.ip) && !guest.pings(spec.gateway()));
    assert!(
        serves(&guest, 90, &near.namespace, guest.nic.ip),
        "what it gets, and its answers, are not filtered"
    );
    assert!(near.pings(OUTSIDE) && near.pings(spec.gateway()));
    assert!(reaches(&near.namespace, drives, 445, SOON));
    assert!(!reaches(&guest.namespace, drives, 445, NEVER), "drives are reached like anything else");

    world.lead(PUBLIC, &near.nic).await;
    set(
        &world,
        &first,
        &["tcp 445 from 10.64.8.0/24 to 10.64.8.2/32", &format!("tcp 9000 from 10.64.8.3/32 to {PUBLIC}/32")],
    )
    .await;
    drop(served);
    let _served = serve_drives();
    assert!(reaches(&guest.namespace, drives, 445, SOON));
    assert!(!reached(8000) && !near.pings(OUTSIDE), "a rule for the network is for each machine");
    assert!(serves(&near, 9000, &guest.namespace, PUBLIC), "the address that it asks for is allowed");
    assert!(
        !serves(&near, 9000, &guest.namespace, near.nic.ip),
        "another address of the same machine is not"
    );
}

#[tokio::test]
async fn no_frame_passes_a_firewall_by_its_side() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let liar = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let other = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    set(&world, &spec, &[&format!("udp 5000 to 10.64.8.0/24 from {ALL}")]).await;
    let (own, to) = ((liar.nic.mac, liar.nic.ip), (other.nic.mac, other.nic.ip));
    let hello = |to, port, text: &[u8]| frames::udp(to, own, (5000, port), text);
    let wrong = [
        ("a closed port", hello(to, 5001, b"wrong")),
        ("a closed port, to all", hello((EVERYONE, Ipv4Addr::BROADCAST), 5001, b"wrong")),
        (
            "a closed port, to all of the network",
            hello((EVERYONE, Ipv4Addr::new(10, 64, 8, 255)), 5001, b"wrong"),
        ),
        ("a closed port, to a group", hello((EVERYONE, Ipv4Addr::new(224, 0, 0, 251)), 5001, b"wrong")),
        ("a packet for another", hello((other.nic.mac, Ipv4Addr::new(10, 64, 8, 9)), 5000, b"wrong")),
        ("a packet for nobody here", hello((other.nic.mac, OUTSIDE), 5000, b"wrong")),
        ("a frame of a VLAN", frames::tagged(0x8100, 7, &hello(to, 5001, b"wrong"))),
        ("a frame of no VLAN with its tag", frames::tagged(0x8100, 0, &hello(to, 5001, b"wrong"))),
    ];
    for (number, (what, frame)) in wrong.into_iter().enumerate() {
        let marks = ["before", "after"].map(|when| format!("{when} {number}."));
        liar.send(&hello(to, 5000, marks[0].as_bytes()));
        liar.send(&frame);
        liar.send(&hello((EVERYONE, Ipv4Addr::BROADCAST), 5000, marks[1].as_bytes()));
        let heard = other.heard_until(marks[1].as_bytes());
        other.heard_until(marks[0].as_bytes());
        assert!(!heard.iter().any(|frame| super::guest::holds(frame, b"wrong")), "{what} arrived");
    }
}

#[tokio::test]
async fn rules_change_under_a_connection_that_stays() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let near = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    world.lead(PUBLIC, &guest.nic).await;
    let first = set(&world, &spec, &[&format!("tcp 7000 to 10.64.8.3/32 from {ALL}")]).await;
    let listener = within(&guest.namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 7000)).unwrap());
    let mut pairs = Vec::new();
    for (from, at) in [(&world.outside, PUBLIC), (&near.namespace, guest.nic.ip)] {
        let far = within(from, move || TcpStream::connect_timeout(&(at, 7000).into(), SOON).unwrap());
        pairs.push((far, listener.accept().unwrap().0));
    }
    let mut talk = |when: &str| {
        for (far, inner) in &mut pairs {
            far.set_read_timeout(Some(SOON)).unwrap();
            inner.set_read_timeout(Some(SOON)).unwrap();
            let mut heard = [0; 2];
            far.write_all(b"go").unwrap();
            inner.read_exact(&mut heard).expect(when);
            inner.write_all(b"on").unwrap();
            far.read_exact(&mut heard).expect(when);
            assert_eq!(&heard, b"on", "{when}");
        }
    };
    talk("under the first rule");
    let second = set(&world, &first, &[&format!("tcp 7000-7001 to 10.64.8.0/24 from {ALL}")]).await;
    talk("under another rule that allows it");
    let third = set(&world, &second, &[&format!("tcp 1 to 10.64.8.0/24 from {ALL}")]).await;
    talk("under a rule that would not allow it anew");
    assert!(
        !reaches(&world.outside, PUBLIC, 7000, NEVER) && !reaches(&near.namespace, guest.nic.ip, 7000, NEVER)
    );
    set(&world, &third, &[]).await;
    talk("without rules");
    assert!(serves(&guest, fresh_port(), &near.namespace, guest.nic.ip) && near.pings(guest.nic.ip));
    assert!(serves(&guest, fresh_port(), &world.outside, PUBLIC));
}

#[tokio::test]
async fn a_firewall_that_was_tampered_with_is_seen_and_mended() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let near = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    let spec = set(&world, &spec, &[&format!("tcp 7000 to 10.64.8.0/24 from {ALL}")]).await;
    let inside = format!("--net=/run/netns/{}", world.namespace(&spec.network));
    let chain = ["nft", "flush", "chain"];
    for damage in [
        &[&chain[..], &["ip", "deckle", "inbound"]].concat()[..],
        &[&chain[..], &["bridge", "deckle", "forward"]].concat(),
        &["nft", "delete", "table", "ip", "deckle"],
        &["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0"],
    ] {
        done("nsenter", &[&[inside.as_str()], damage].concat());
        assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Broken, "{damage:?}");
        world.net.ensure_network(&spec).await.unwrap();
        assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole, "after {damage:?}");
        assert!(!near.pings(guest.nic.ip), "{damage:?}");
    }
    let caller = listen(&guest.namespace, 7000);
    assert!(reaches(&near.namespace, guest.nic.ip, 7000, SOON));
    assert_eq!(caller.join().unwrap(), Some(near.nic.ip));
}

/// As on a kernel without the module: nothing of it is among the settings.
#[test]
fn a_host_that_cannot_filter_neighbours_says_so() {
    on_a_bare_host(|| async {
        let world = World::new().await;
        let check =
            || async { world.net.checks().await.into_iter().find(|check| check.name == "firewall").unwrap() };
        assert_eq!(check().await.verdict, Verdict::Good);
        let spec = world.network("a", "10.64.8.0/24").await;
        done("mount", &["-t", "tmpfs", "tmpfs", "/proc/sys/net"]);
        let told = check().await;
        assert!(told.verdict == Verdict::Weak && told.cure.starts_with("modprobe br_netfilter"), "{told:?}");
        world.net.ensure_network(&spec).await.unwrap();
        assert_eq!(
            world.net.look_network(&spec).await.unwrap(),
            NetworkSeen::Whole,
            "without rules it goes on"
        );
        let firewall = vec![rule(&format!("tcp 22 to 10.64.8.0/24 from {ALL}"))];
        let refused = world.net.ensure_network(&NetworkSpec { firewall, ..spec }).await.unwrap_err();
        assert!(refused.is_final() && refused.told().contains("modprobe br_netfilter"), "{}", refused.told());
        done("umount", &["/proc/sys/net"]);
    });
}
