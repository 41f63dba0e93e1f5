//! Public addresses, from all sides.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

use deckle_engine::seen::NetworkSeen;
use deckle_engine::specs::PublicIpSpec;

use super::guest::Guest;
use super::world::{HOST_OUTSIDE, NEVER, OUTSIDE, SOON, World, fresh_port, ip, listen, nic, reaches};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
const ANOTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);

/// The address that a machine's packets come from, outside.
fn seen_outside(world: &World, guest: &Guest) -> Option<Ipv4Addr> {
    let port = fresh_port();
    let caller = listen(&world.outside, port);
    reaches(&guest.namespace, OUTSIDE, port, SOON);
    caller.join().unwrap()
}

/// Whether a public address leads to this machine.
fn is_led(world: &World, public_ip: Ipv4Addr, guest: &Guest) -> bool {
    let port = fresh_port();
    let caller = listen(&guest.namespace, port);
    reaches(&world.outside, public_ip, port, NEVER) && caller.join().unwrap() == Some(OUTSIDE)
}

#[tokio::test]
async fn a_public_address_leads_in_and_out() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let look = || world.net.look_public_ip(&guest.nic.machine, &spec.network);
    assert_eq!(look().await.unwrap(), None);
    world.lead(PUBLIC, &guest.nic).await;
    world.lead(PUBLIC, &guest.nic).await;
    assert_eq!(look().await.unwrap(), Some(PUBLIC));
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole);
    assert!(is_led(&world, PUBLIC, &guest));
    assert_eq!(seen_outside(&world, &guest), Some(PUBLIC));

    world.lead(ANOTHER, &guest.nic).await;
    assert_eq!(look().await.unwrap(), Some(ANOTHER));
    assert!(is_led(&world, ANOTHER, &guest) && !is_led(&world, PUBLIC, &guest));
    assert_eq!(seen_outside(&world, &guest), Some(ANOTHER));

    world.net.remove_public_ip(&guest.nic.machine, &spec.network).await.unwrap();
    world.net.remove_public_ip(&guest.nic.machine, &spec.network).await.unwrap();
    assert_eq!(look().await.unwrap(), None);
    assert!(!is_led(&world, ANOTHER, &guest));
    assert_eq!(seen_outside(&world, &guest), Some(HOST_OUTSIDE));
    assert!(!world.things().await.iter().any(|thing| thing.kind == "route"));
}

#[tokio::test]
async fn the_host_and_all_machines_reach_a_public_address() {
    let world = World::new().await;
    let here = world.network("a", "10.64.8.0/24").await;
    let there = world.network("b", "10.64.16.0/24").await;
    let guest = Guest::ready(&world, &here, nic(&here, "a", 2)).await;
    let near = Guest::ready(&world, &here, nic(&here, "b", 3)).await;
    let far = Guest::ready(&world, &there, nic(&there, "c", 2)).await;
    world.lead(PUBLIC, &guest.nic).await;
    world.lead(ANOTHER, &far.nic).await;

    let caller = listen(&guest.namespace, 9000);
    let to = SocketAddr::from(SocketAddrV4::new(PUBLIC, 9000));
    assert!(TcpStream::connect_timeout(&to, SOON).is_ok(), "not from the host");
    assert_eq!(caller.join().unwrap(), Some(world.uplink(&here.network)));
    let caller = listen(&guest.namespace, 9001);
    assert!(reaches(&far.namespace, PUBLIC, 9001, SOON), "not from another network");
    assert_eq!(caller.join().unwrap(), Some(ANOTHER));
    for (port, from) in [(9002, &near), (9003, &guest)] {
        let _listening = listen(&guest.namespace, port);
        assert!(reaches(&from.namespace, PUBLIC, port, SOON), "not from {}", from.nic.machine);
    }
}

#[tokio::test]
async fn another_installation_s_public_address_is_left_alone() {
    let one = World::new().await;
    let here = one.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&one, &here, nic(&here, "a", 2)).await;
    one.lead(PUBLIC, &guest.nic).await;
    let two = World::without_outside(|_| {}).await;
    let there = two.network("a", "10.64.8.0/24").await;
    let thief = nic(&there, "b", 2);
    two.net.ensure_nic(&thief).await.unwrap();
    let spec =
        PublicIpSpec { machine: thief.machine, network: there.network, public_ip: PUBLIC, ip: thief.ip };
    let refused = two.net.ensure_public_ip(&spec).await.unwrap_err();
    assert!(refused.is_final() && refused.told().contains("public_pools"), "{}", refused.told());
    assert!(is_led(&one, PUBLIC, &guest));
}

#[tokio::test]
async fn packets_for_an_address_of_a_pool_that_leads_nowhere_do_not_leave_again() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    // The outside is the router that has the pool sent here: what the host does not know comes back to it.
    ip(&format!("route add 203.0.113.0/24 via {OUTSIDE}"));
    ip(&format!("-n {} address add 203.0.113.200/32 dev lo", world.outside));
    let answered = guest.pings(Ipv4Addr::new(203, 0, 113, 200));
    ip(&format!("route delete 203.0.113.0/24 via {OUTSIDE}"));
    assert!(!answered && guest.pings(OUTSIDE));
}

#[tokio::test]
async fn a_public_address_moves_from_machine_to_machine() {
    let world = World::new().await;
    let here = world.network("a", "10.64.8.0/24").await;
    let there = world.network("b", "10.64.16.0/24").await;
    let first = Guest::ready(&world, &here, nic(&here, "a", 2)).await;
    let near = Guest::ready(&world, &here, nic(&here, "b", 3)).await;
    let far = Guest::ready(&world, &there, nic(&there, "c", 2)).await;
    world.lead(PUBLIC, &first.nic).await;
    for (from, to) in [(&first, &near), (&near, &far), (&far, &first)] {
        world.lead(PUBLIC, &to.nic).await;
        let look = |guest: &Guest| {
            let (machine, network) = (guest.nic.machine.clone(), guest.nic.network.clone());
            let net = &world.net;
            async move { net.look_public_ip(&machine, &network).await.unwrap() }
        };
        assert_eq!((look(from).await, look(to).await), (None, Some(PUBLIC)));
        assert!(is_led(&world, PUBLIC, to));
        assert_eq!(seen_outside(&world, to), Some(PUBLIC));
        assert_eq!(seen_outside(&world, from), Some(HOST_OUTSIDE));
    }
}

#[tokio::test]
async fn the_host_answers_arp_for_public_addresses_where_it_is_told_to() {
    let world = World::with(|settings| {
        settings.proxy_arp_on = Some(String::new());
        settings.public_pools = vec!["198.51.100.128/25".parse().unwrap()];
    })
    .await;
    let public = Ipv4Addr::new(198, 51, 100, 130);
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    ip(&format!("-n {} route delete default", world.outside));
    world.lead(public, &guest.nic).await;
    let caller = listen(&guest.namespace, 9000);
    assert!(reaches(&world.outside, public, 9000, SOON));
    assert_eq!(caller.join().unwrap(), Some(OUTSIDE));
    assert!(world.things().await.iter().any(|thing| thing.name == format!("proxy {public}")));
    world.net.remove_public_ip(&guest.nic.machine, &spec.network).await.unwrap();
    assert!(!world.things().await.iter().any(|thing| thing.kind == "route"));
}
