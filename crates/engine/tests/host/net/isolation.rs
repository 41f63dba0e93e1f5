//! What a machine reaches, and what it does not.

use std::net::{Ipv4Addr, TcpListener};

use deckle_engine::seen::NetworkSeen;
use deckle_engine::specs::{HostNetwork, Mac, NetworkSpec};

use super::frames::{self, EVERYONE};
use super::guest::Guest;
use super::world::{HOST_OUTSIDE, NEVER, OUTSIDE, SOON, World, listen, nic, reaches, receiver, said, within};

#[tokio::test]
async fn the_outside_is_reached_from_the_hosts_address() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let caller = listen(&world.outside, 8000);
    assert!(reaches(&guest.namespace, OUTSIDE, 8000, SOON));
    assert_eq!(caller.join().unwrap(), Some(HOST_OUTSIDE));
    assert!(guest.pings(OUTSIDE));
}

#[tokio::test]
async fn no_other_network_is_reached() {
    let world = World::new().await;
    let here = world.network("a", "10.64.8.0/24").await;
    let there = world.network("b", "10.64.16.0/24").await;
    let guest = Guest::ready(&world, &here, nic(&here, "a", 2)).await;
    let near = Guest::ready(&world, &here, nic(&here, "c", 3)).await;
    let far = Guest::ready(&world, &there, nic(&there, "b", 2)).await;
    let hello = |guest: &Guest, text: &[u8]| {
        let all = (EVERYONE, Ipv4Addr::BROADCAST);
        guest.send(&frames::udp(all, (guest.nic.mac, guest.nic.ip), (5000, 5000), text));
    };
    hello(&guest, b"here");
    near.heard_until(b"here");
    let far_too = Guest::ready(&world, &there, nic(&there, "d", 3)).await;
    hello(&far, b"there");
    let heard = far_too.heard_until(b"there");
    assert!(!heard.iter().any(|frame| super::guest::holds(frame, b"here")));

    assert!(!guest.pings(far.nic.ip));
    let _listening = listen(&far.namespace, 8000);
    assert!(reaches(&far_too.namespace, far.nic.ip, 8000, SOON));
    assert!(!reaches(&guest.namespace, far.nic.ip, 8000, NEVER));
    let uplink = world.uplink(&there.network);
    let inner = Ipv4Addr::from(u32::from(uplink) + 1);
    assert!(!guest.pings(uplink) && !guest.pings(inner) && !guest.pings(there.gateway()));
}

#[tokio::test]
async fn the_host_itself_is_not_reached_by_any_of_its_addresses() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let addresses = said("ip", &["-4", "-o", "address", "show"]);
    let addresses = addresses.split_whitespace().filter_map(|word| word.split_once('/')?.0.parse().ok());
    let addresses: Vec<Ipv4Addr> = addresses.filter(|ip: &Ipv4Addr| !ip.is_loopback()).collect();
    assert!(addresses.contains(&HOST_OUTSIDE) && addresses.contains(&world.uplink(&spec.network)));
    assert!(reaches(&world.outside, HOST_OUTSIDE, port, SOON), "the host does not listen");
    for ip in addresses.into_iter().chain([spec.gateway()]) {
        assert!(!reaches(&guest.namespace, ip, port, NEVER), "{ip} answered");
    }
    let uplink = world.uplink(&spec.network);
    assert!(!guest.pings(HOST_OUTSIDE) && !guest.pings(uplink));
}

#[tokio::test]
async fn only_the_gateways_services_are_reached_in_the_namespace() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let _listening = listen(&world.namespace(&spec.network), 445);
    assert!(!reaches(&guest.namespace, spec.gateway(), 445, NEVER));
    assert!(reaches(&guest.namespace, spec.gateway(), 53, SOON));
}

/// The drives of a network are served at its second address.
#[tokio::test]
async fn the_drives_of_another_network_are_not_reached() {
    let world = World::new().await;
    let here = world.network("a", "10.64.8.0/24").await;
    let there = world.network("b", "10.64.16.0/24").await;
    let same = world.network("c", "10.64.16.0/24").await;
    let guest = Guest::ready(&world, &here, nic(&here, "a", 3)).await;
    let twin = Guest::ready(&world, &same, nic(&same, "c", 3)).await;
    let near = Guest::ready(&world, &there, nic(&there, "b", 3)).await;
    let namespace = world.namespace(&there.network);
    let drives = Ipv4Addr::new(10, 64, 16, 2);
    super::world::ip(&format!("-n {namespace} address replace {drives}/24 dev br0"));
    let accept = format!("--net=/run/netns/{namespace} nft insert rule ip deckle input tcp dport 445 accept");
    super::world::done("nsenter", &accept.split(' ').collect::<Vec<_>>());
    let _served = within(&namespace, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 445)).unwrap());
    assert!(reaches(&near.namespace, drives, 445, SOON));
    let inner = Ipv4Addr::from(u32::from(world.uplink(&there.network)) + 1);
    for from in [&guest, &twin] {
        for to in [drives, inner] {
            assert!(!reaches(&from.namespace, to, 445, NEVER), "{to} from {}", from.nic.machine);
            assert!(!from.pings(to) || to == from.nic.ip, "{to} from {}", from.nic.machine);
        }
    }
    // By the other's uplink, as its own kernel never would.
    let [a, b, c, d] = here.gateway().octets();
    let gateway = Mac([0x02, 0x64, a, b, c, d]);
    let heard = receiver(&namespace, 446);
    let accept = accept.replace("tcp dport 445", "udp dport 446");
    super::world::done("nsenter", &accept.split(' ').collect::<Vec<_>>());
    for to in [drives, inner, there.gateway(), world.uplink(&there.network)] {
        guest.send(&frames::udp((gateway, to), (guest.nic.mac, guest.nic.ip), (446, 446), b"wrong"));
    }
    within(&near.namespace, move || {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.send_to(b"truth", (drives, 446)).unwrap();
    });
    let mut text = [0; 16];
    let length = heard.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"truth");
}

#[tokio::test]
async fn machines_of_their_own_have_the_same_range_and_do_not_meet() {
    let world = World::new().await;
    let mut guests = Vec::new();
    for name in ["one", "two"] {
        let network = HostNetwork::Own(format!("ps{name}").parse().unwrap());
        let spec = NetworkSpec { network, cidr: "10.127.255.0/30".parse().unwrap(), firewall: Vec::new() };
        world.net.ensure_network(&spec).await.unwrap();
        assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole);
        guests.push(Guest::ready(&world, &spec, nic(&spec, name, 2)).await);
    }
    for guest in &guests {
        assert!(guest.pings(OUTSIDE) && guest.pings(Ipv4Addr::new(10, 127, 255, 1)));
    }
}

#[tokio::test]
async fn two_installations_do_not_disturb_each_other() {
    let one = World::new().await;
    let here = one.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&one, &here, nic(&here, "a", 2)).await;
    let two = World::without_outside(|_| {}).await;
    let there = two.network("a", "10.64.8.0/24").await;
    let other = Guest::ready(&two, &there, nic(&there, "a", 2)).await;
    assert_ne!(one.uplink(&here.network), two.uplink(&there.network));
    assert!(guest.pings(OUTSIDE) && other.pings(OUTSIDE));
    assert!(!guest.pings(two.uplink(&there.network)));

    drop(other);
    two.net.remove_network(&there.network).await.unwrap();
    assert_eq!(two.things().await, []);
    drop(two);
    assert_eq!(one.net.look_network(&here).await.unwrap(), NetworkSeen::Whole);
    assert!(one.net.look_nic(&guest.nic.machine, &here.network).await.unwrap());
    assert!(guest.pings(OUTSIDE));
}

#[tokio::test]
async fn one_network_cannot_take_all_connections_of_the_host() {
    const MAX: u32 = 8192;
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let outside = receiver(&world.outside, 7000);
    let [a, b, c, d] = spec.gateway().octets();
    let gateway = Mac([0x02, 0x64, a, b, c, d]);
    let send = |from_port: u32, to_port: u16, text: &[u8]| {
        let ports = (from_port as u16, to_port);
        guest.send(&frames::udp((gateway, OUTSIDE), (guest.nic.mac, guest.nic.ip), ports, text));
    };
    let mut text = [0; 16];
    send(9999, 7000, b"first");
    let (_, asker) = outside.recv_from(&mut text).unwrap();
    outside.send_to(b"answer", asker).unwrap();
    guest.heard_until(b"answer");
    for port in 0..=MAX {
        send(10_000 + port, 7001, b"more");
    }
    send(30_000, 7000, b"wrong");
    send(9999, 7000, b"truth");
    let length = outside.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"truth");
}

/// Docker loads what has the kernel do so, at any time.
#[tokio::test]
async fn machines_meet_also_where_bridged_frames_pass_the_rules_for_routed_ones() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let first = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let second = Guest::ready(&world, &spec, nic(&spec, "b", 3)).await;
    within(&world.namespace(&spec.network), || {
        std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1").unwrap();
    });
    assert!(first.pings(second.nic.ip) && second.pings(OUTSIDE));
}
