//! Addresses and names that machines get.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::MetadataExt;

use deckle_api::Timestamp;
use deckle_engine::seen::Verdict;

use super::guest::{Guest, holds};
use super::world::{World, nic, receiver, within};

#[tokio::test]
async fn a_machine_leases_its_address_and_others_find_it_by_name() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let first = Guest::boot(&world, nic(&spec, "web", 2)).await;
    let second = Guest::ready(&world, &spec, nic(&spec, "b", 3)).await;
    let before = Timestamp::of_system_clock();
    let leased = |since| world.net.leased(&first.nic.machine, &spec.network, since);
    assert_eq!(leased(before).await.unwrap(), None);

    let offered = first.take_lease(world.paths.state()).expect("no lease");

    assert!(offered.starts_with("10.64.8.2 10.64.8.1 10.64.8.1"), "{offered}");
    let taken = leased(before).await.unwrap().expect("not seen as leased");
    assert!(taken >= before && taken <= Timestamp::of_system_clock());
    assert!(second.pings(first.nic.ip) && first.pings(second.nic.ip));
    assert!(first.pings(spec.gateway()));
    for name in ["psweb", "web"] {
        let said = second.looks_up(name, spec.gateway());
        assert!(said.contains("10.64.8.2"), "{name}: {said}");
    }
    assert!(!second.resolves("nobody", spec.gateway()));
}

#[tokio::test]
async fn a_lease_counts_from_the_boot_on_however_short_it_is() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::boot(&world, nic(&spec, "a", 2)).await;
    let since = Timestamp::of_system_clock();
    let leased = || world.net.leased(&guest.nic.machine, &spec.network, since);
    guest.take_lease_of(world.paths.state(), 120).expect("no lease");
    assert!(leased().await.unwrap().expect("not seen as leased") >= since);

    for _ in 0..2 {
        world.net.forget_lease(&guest.nic.machine, &spec.network).await.unwrap();
        assert_eq!(leased().await.unwrap(), None);
    }
    guest.take_lease_of(world.paths.state(), 120).expect("no second lease");
    assert!(leased().await.unwrap().is_some());
}

#[tokio::test]
async fn packets_have_the_size_that_the_host_can_send() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::boot(&world, nic(&spec, "a", 2)).await;
    let host = std::fs::read_to_string("/sys/class/net/eth0/mtu").unwrap().trim().to_owned();
    let offered = guest.take_lease(world.paths.state()).expect("no lease");
    let told = offered.split(' ').nth(3).unwrap_or("1500");
    assert_eq!(told, host, "{offered}");
}

#[tokio::test]
async fn an_address_can_be_leased_again_when_its_machine_is_gone() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let old = Guest::boot(&world, nic(&spec, "old", 2)).await;
    old.take_lease(world.paths.state()).expect("no lease");
    world.net.remove_nic(&old.nic.machine, &spec.network).await.unwrap();
    let mut next = nic(&spec, "next", 2);
    next.mac.0[5] = 0x99;
    let next = Guest::boot(&world, next).await;
    let offered = next.take_lease(world.paths.state()).expect("no lease for the next");
    assert!(offered.starts_with("10.64.8.2 "), "{offered}");
}

#[tokio::test]
async fn a_name_is_forgotten_with_its_machine() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let gone = nic(&spec, "gone", 2);
    world.net.ensure_nic(&gone).await.unwrap();
    let guest = Guest::ready(&world, &spec, nic(&spec, "b", 3)).await;
    assert!(guest.resolves("gone", spec.gateway()));
    world.net.remove_nic(&gone.machine, &spec.network).await.unwrap();
    assert!(!guest.resolves("gone", spec.gateway()));
}

#[tokio::test]
async fn other_names_are_asked_outside_and_bare_ones_never() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let outside = receiver(&world.outside, 53);
    let ask = |name: &'static [u8]| {
        let gateway = spec.gateway();
        within(&guest.namespace, move || {
            let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(name);
            query.extend([0, 0, 1, 0, 1]);
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().send_to(&query, (gateway, 53)).unwrap();
        });
    };
    ask(b"\x06nobody");
    ask(b"\x07example\x03com");
    let mut query = [0; 512];
    let length = outside.recv(&mut query).unwrap();
    assert!(holds(&query[..length], b"example"));
}

#[tokio::test]
async fn the_lease_server_is_not_root() {
    let world = World::new().await;
    world.network("a", "10.64.8.0/24").await;
    let things = world.things().await;
    let process = things.iter().find(|thing| thing.kind == "process").expect("no lease server");
    let id = process.name.rsplit(' ').next().unwrap();
    assert_ne!(std::fs::metadata(format!("/proc/{id}")).unwrap().uid(), 0);
}

#[tokio::test]
async fn this_host_can_have_networks() {
    let world = World::new().await;
    let bad: Vec<_> =
        world.net.checks().await.into_iter().filter(|check| check.verdict == Verdict::Bad).collect();
    assert_eq!(bad, []);
}
