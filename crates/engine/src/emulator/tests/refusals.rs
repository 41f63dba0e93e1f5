//! What a pretended host refuses, so that a control plane that goes wrong is seen.

use super::*;

#[tokio::test]
async fn an_address_that_is_given_twice_is_refused_for_good() {
    let host = emulator();
    make(&host, 1).await;
    let same_ip = NicSpec { ip: nic(1).ip, ..nic(2) };
    let same_mac = NicSpec { mac: nic(1).mac, ..nic(2) };
    let gateway = NicSpec { ip: network_spec().gateway(), ..nic(2) };
    assert!(told_finally(host.ensure_nic(&same_ip).await).contains("ps1 has the address"));
    assert!(told_finally(host.ensure_nic(&same_mac).await).contains("ps1 has the address"));
    assert!(told_finally(host.ensure_nic(&gateway).await).contains("no address for a machine"));
}

#[tokio::test]
async fn a_start_needs_a_disk_a_network_and_a_port() {
    let host = emulator();
    assert!(told_finally(host.power_on(&boot(1, 1)).await).contains("no disk"));
    host.ensure_disk(&disk(1, 50)).await.unwrap();
    assert!(told_finally(host.power_on(&boot(1, 1)).await).contains("network is not there"));
    assert!(!host.ensure_nic(&nic(1)).await.unwrap_err().is_final());
    host.ensure_network(&network_spec()).await.unwrap();
    assert!(told_finally(host.power_on(&boot(1, 1)).await).contains("not plugged in"));
}

#[tokio::test]
async fn a_full_host_refuses_and_counts_what_comes_back() {
    let capacity = Capacity { ram_bytes: 6 * GIB, vcpus: 4, disk_free_bytes: 100 * GIB };
    let hand = Hand::default();
    let host = open(Settings { capacity: Some(capacity), ..Default::default() }, &hand);
    start(&host, 1).await;
    make(&host, 2).await;
    assert!(told_finally(host.ensure_disk(&disk(3, 10)).await).contains("no space left"));
    assert!(told_finally(host.ensure_disk(&disk(2, 51)).await).contains("no space left"));
    assert!(told_finally(host.power_on(&boot(2, 1)).await).contains("no memory"));
    host.cut_power(&machine(1)).await.unwrap();
    host.power_on(&boot(2, 1)).await.unwrap();
    host.remove_disk(&machine(1)).await.unwrap();
    host.ensure_disk(&disk(3, 50)).await.unwrap();
    let mut inside = host.inside();
    let kept = inside.world.taken;
    inside.world.count();
    assert_eq!(inside.world.taken, kept);
}
