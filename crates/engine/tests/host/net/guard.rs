//! A machine sends as itself or not at all.

use std::net::Ipv4Addr;

use deckle_engine::specs::{Mac, NicSpec};

use super::frames::{self, EVERYONE};
use super::guest::{Guest, holds};
use super::world::{NEVER, OUTSIDE, SOON, World, fresh_port, ip, listen, nic, reaches, receiver, said};

const BROADCAST: Ipv4Addr = Ipv4Addr::BROADCAST;

fn hello(from: Mac, ip: Ipv4Addr, text: &[u8]) -> Vec<u8> {
    frames::udp((EVERYONE, BROADCAST), (from, ip), (5000, 5000), text)
}

/// Every way to lie that the guard knows, each marked as `wrong`.
fn lies(own: &NicSpec, other: &NicSpec, gateway: Ipv4Addr) -> Vec<(&'static str, Vec<u8>)> {
    let dhcp_of = |ip| frames::udp((EVERYONE, BROADCAST), (own.mac, ip), (67, 68), b"wrong");
    let dhcp = dhcp_of(own.ip);
    let asks = |kind, from, port| {
        let text = frames::dhcp(kind, other.mac, other.ip, gateway, &[]);
        frames::udp((EVERYONE, BROADCAST), (own.mac, from), (port, 67), &text)
    };
    let drives = Ipv4Addr::from(u32::from(gateway) + 1);
    let honest = hello(own.mac, own.ip, b"wrong");
    let strange = Mac([0x52, 0x54, 0, 9, 9, 9]);
    vec![
        ("another's address", hello(own.mac, other.ip, b"wrong")),
        ("the gateway's address", hello(own.mac, gateway, b"wrong")),
        ("an address from anywhere", hello(own.mac, OUTSIDE, b"wrong")),
        ("no address", hello(own.mac, Ipv4Addr::UNSPECIFIED, b"wrong")),
        ("a strange card", hello(strange, own.ip, b"wrong")),
        ("another's card", hello(other.mac, own.ip, b"wrong")),
        ("another's card and address", hello(other.mac, other.ip, b"wrong")),
        ("a lease server", dhcp),
        ("a question for a lease about another", asks(1, Ipv4Addr::UNSPECIFIED, 68)),
        ("a lease of another's given back", asks(7, own.ip, 68)),
        ("a lease of another's given back, before the first address", asks(7, Ipv4Addr::UNSPECIFIED, 68)),
        ("a lease of another's given back, from any port", asks(7, own.ip, 5000)),
        ("a lease of another's declined", asks(4, own.ip, 68)),
        ("a lease of another's declined, before the first address", asks(4, Ipv4Addr::UNSPECIFIED, 68)),
        (
            "a question that is too short",
            frames::udp((EVERYONE, BROADCAST), (own.mac, own.ip), (68, 67), b"wrong"),
        ),
        ("ARP for the gateway", frames::arp_answer(own.mac, own.mac, gateway)),
        ("ARP for another", frames::arp_answer(own.mac, own.mac, other.ip)),
        ("ARP with a strange card inside", frames::arp_answer(own.mac, strange, own.ip)),
        ("ARP from a strange card", frames::arp_answer(strange, own.mac, own.ip)),
        ("IPv6", frames::router_advertisement(own.mac)),
        ("the drives' address", hello(own.mac, drives, b"wrong")),
        ("ARP for the drives", frames::arp_answer(own.mac, own.mac, drives)),
        ("ARP for the gateway, to one alone", frames::arp_answer_to(other.mac, own.mac, gateway)),
        ("news that the gateway is here", frames::arp_news(own.mac, gateway)),
        ("news that the drives are here", frames::arp_news(own.mac, drives)),
        ("news that another is here", frames::arp_news(own.mac, other.ip)),
        ("a question in the gateway's name", frames::arp_question(own.mac, gateway, other.ip)),
        ("a lease server at the gateway", dhcp_of(gateway)),
        ("a frame of a VLAN", frames::tagged(0x8100, 7, &honest)),
        ("a frame with the tag of no VLAN", frames::tagged(0x8100, 0, &honest)),
        ("a frame of a provider's VLAN", frames::tagged(0x88a8, 7, &honest)),
        ("a frame of a VLAN in a VLAN", frames::tagged(0x88a8, 7, &frames::tagged(0x8100, 7, &honest))),
        ("IPv6 in a VLAN", frames::tagged(0x8100, 7, &frames::router_advertisement(own.mac))),
        ("an unknown protocol", frames::ethernet(EVERYONE, own.mac, 0x88b5, b"wrong")),
    ]
}

#[tokio::test]
async fn no_lie_crosses_the_bridge() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let liar = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let other = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    for (number, (lie, frame)) in lies(&liar.nic, &other.nic, spec.gateway()).into_iter().enumerate() {
        let mark = format!("truth {number}.");
        let before = format!("before {number}.");
        liar.send(&hello(liar.nic.mac, liar.nic.ip, before.as_bytes()));
        liar.send(&frame);
        liar.send(&hello(liar.nic.mac, liar.nic.ip, mark.as_bytes()));
        let heard = other.heard_until(mark.as_bytes());
        other.heard_until(before.as_bytes());
        assert!(!heard.contains(&frame), "{lie} arrived");
        assert!(!heard.iter().any(|frame| holds(frame, b"wrong")), "{lie} arrived, changed");
        assert!(heard.iter().all(|frame| frame[12..14] != [0x86, 0xdd]), "IPv6 arrived");
    }
}

#[tokio::test]
async fn nobody_gives_back_the_lease_of_another() {
    const RELEASE: u8 = 7;
    const DECLINE: u8 = 4;
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let liar = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let other = Guest::boot(&world, nic(&spec, "b", 4)).await;
    let since = deckle_api::Timestamp::of_system_clock();
    let leased = || world.net.leased(&other.nic.machine, &spec.network, since);
    other.take_lease(world.paths.state()).expect("no lease");
    // The name that a client gives itself, as it commonly is made.
    let name = [&[61, 7, 1][..], &other.nic.mac.0].concat();
    let (own, nobody) = (liar.nic.ip, Ipv4Addr::UNSPECIFIED);
    let asked = [&[50, 4][..], &other.nic.ip.octets()].concat();
    for (kind, options) in [(RELEASE, name.clone()), (DECLINE, [name, asked].concat())] {
        for (card, from) in [(&other, own), (&other, nobody), (&liar, own), (&liar, nobody)] {
            let text = frames::dhcp(kind, card.nic.mac, other.nic.ip, spec.gateway(), &options);
            liar.send(&frames::udp((EVERYONE, BROADCAST), (liar.nic.mac, from), (68, 67), &text));
        }
    }
    // What the lease server has read before it answers is done.
    liar.take_lease(world.paths.state()).expect("no lease for the liar");
    assert!(leased().await.unwrap().is_some());
    let text = frames::dhcp(RELEASE, other.nic.mac, other.nic.ip, spec.gateway(), &[]);
    other.send(&frames::udp((EVERYONE, BROADCAST), (other.nic.mac, other.nic.ip), (68, 67), &text));
    liar.take_lease(world.paths.state()).expect("no lease for the liar");
    assert!(leased().await.unwrap().is_none(), "its own it gives back");
}

/// The whole of a guest goes over to another's addresses, as its owner may have it do.
#[tokio::test]
async fn a_guest_that_takes_another_s_address_gets_nothing_of_it() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let thief = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let owner = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    let friend = Guest::ready(&world, &spec, nic(&spec, "c", 5)).await;
    assert!(friend.pings(owner.nic.ip) && friend.pings(spec.gateway()) && thief.pings(friend.nic.ip));
    let drives = Ipv4Addr::new(10, 64, 8, 2);
    for stolen in [owner.nic.ip, spec.gateway(), drives] {
        ip(&format!("-n {} address flush dev eth0", thief.namespace));
        ip(&format!("-n {} address add {stolen}/24 dev eth0", thief.namespace));
        ip(&format!("-n {} route replace default dev eth0", thief.namespace));
        let port = fresh_port();
        let caught = listen(&thief.namespace, port);
        thief.send(&frames::arp_news(thief.nic.mac, stolen));
        assert!(!thief.pings(friend.nic.ip) && !thief.pings(OUTSIDE), "as {stolen}");
        assert!(!reaches(&friend.namespace, stolen, port, NEVER), "{stolen} was caught");
        let neighbours = said("ip", &["-n", &friend.namespace, "neigh", "show"]);
        let (address, mac) = (format!("{stolen} "), thief.nic.mac.to_string());
        let led = |line: &str| line.starts_with(&address) && line.contains(&mac);
        assert!(!neighbours.lines().any(led), "{neighbours}");
        assert!(friend.pings(owner.nic.ip) && friend.pings(spec.gateway()) && friend.pings(OUTSIDE));
        drop(caught);
    }
    ip(&format!("-n {} address flush dev eth0", thief.namespace));
    ip(&format!("-n {} address add {}/24 dev eth0", thief.namespace, owner.nic.ip));
    ip(&format!("-n {} link set eth0 address {}", thief.namespace, owner.nic.mac));
    assert!(!thief.pings(friend.nic.ip), "the whole of another");
    let port = fresh_port();
    let owned = listen(&owner.namespace, port);
    assert!(reaches(&friend.namespace, owner.nic.ip, port, SOON));
    assert_eq!(owned.join().unwrap(), Some(friend.nic.ip));
}

#[tokio::test]
async fn a_question_before_the_first_address_is_let_through() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let asking = Guest::boot(&world, nic(&spec, "a", 2)).await;
    let other = Guest::ready(&world, &spec, nic(&spec, "b", 3)).await;
    let probe = frames::arp_probe(asking.nic.mac, asking.nic.ip);
    asking.send(&probe);
    asking.send(&hello(asking.nic.mac, asking.nic.ip, b"truth"));
    assert!(other.heard_until(b"truth").contains(&probe));
}

#[tokio::test]
async fn no_false_source_address_gets_outside() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let liar = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let outside = receiver(&world.outside, 7000);
    let [a, b, c, d] = spec.gateway().octets();
    let gateway_mac = Mac([0x02, 0x64, a, b, c, d]);
    let sent_as = |ip, text: &[u8]| {
        liar.send(&frames::udp((gateway_mac, OUTSIDE), (liar.nic.mac, ip), (7000, 7000), text));
    };
    for ip in [Ipv4Addr::new(10, 64, 8, 9), spec.gateway(), Ipv4Addr::new(203, 0, 113, 9), OUTSIDE] {
        sent_as(ip, b"wrong");
    }
    sent_as(liar.nic.ip, b"truth");
    let mut text = [0; 16];
    let length = outside.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"truth");
}

#[tokio::test]
async fn the_host_lets_no_false_source_through_even_from_inside_a_namespace() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let outside = receiver(&world.outside, 7000);
    let namespace = world.namespace(&spec.network);
    super::world::ip(&format!("-n {namespace} address add 203.0.113.9/32 dev lo"));
    let send = |from: Ipv4Addr, text: &'static [u8]| {
        super::world::within(&namespace, move || {
            let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
            socket.send_to(text, (OUTSIDE, 7000)).unwrap();
        });
    };
    send(Ipv4Addr::new(203, 0, 113, 9), b"wrong");
    send(Ipv4Addr::UNSPECIFIED, b"truth");
    let mut text = [0; 16];
    let length = outside.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"truth");
}

/// Groups whose frames the kernel never shows to a bridge's rules.
const LINK_LOCAL: [Mac; 3] = [
    Mac([0x01, 0x80, 0xc2, 0, 0, 0x02]),
    Mac([0x01, 0x80, 0xc2, 0, 0, 0x03]),
    Mac([0x01, 0x80, 0xc2, 0, 0, 0x0e]),
];

#[tokio::test]
async fn a_frame_to_a_link_local_group_takes_no_card_from_another() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let liar = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let other = Guest::ready(&world, &spec, nic(&spec, "b", 3)).await;
    assert!(other.pings(spec.gateway()));
    for (number, group) in LINK_LOCAL.into_iter().enumerate() {
        liar.send(&frames::ethernet(group, other.nic.mac, 0x88b5, b"mine"));
        let (to, mark) = (other.nic.ip, format!("truth {number}."));
        let text = mark.clone();
        super::world::within(&world.namespace(&spec.network), move || {
            let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.send_to(text.as_bytes(), (to, 5000)).unwrap();
        });
        other.heard_until(mark.as_bytes());
    }
}

#[tokio::test]
async fn a_frame_to_a_link_local_group_does_not_come_up_in_the_namespace() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let liar = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let outside = receiver(&world.outside, 7000);
    let asking = receiver(&world.namespace(&spec.network), 7001);
    asking.send_to(b"question", (OUTSIDE, 7000)).unwrap();
    let mut text = [0; 16];
    let (_, asker) = outside.recv_from(&mut text).unwrap();
    let inner = Ipv4Addr::from(u32::from(world.uplink(&spec.network)) + 1);
    for group in LINK_LOCAL {
        liar.send(&frames::udp((group, inner), (liar.nic.mac, OUTSIDE), (7000, 7001), b"wrong"));
    }
    outside.send_to(b"truth", asker).unwrap();
    let length = asking.recv(&mut text).unwrap();
    assert_eq!(&text[..length], b"truth");
}
