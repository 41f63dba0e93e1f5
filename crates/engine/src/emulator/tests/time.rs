//! What time does to a pretended host, and what a restart of the process does not.

use super::*;

#[tokio::test]
async fn an_instant_guest_is_up_at_the_first_look_and_halts_at_once() {
    let host = emulator();
    start(&host, 1).await;
    let seen = host.look_machine(&machine(1), &network()).await.unwrap();
    assert_eq!(seen.guest.leased, Some(Timestamp(0)));
    assert_eq!(seen.guest.agent, AgentSeen::Answers { os: None });
    host.press_power_button(&machine(1)).await.unwrap();
    assert_eq!(power(&host, 1).await, Power::Halted { boot: 1 });
}

#[tokio::test]
async fn a_quick_guest_comes_up_and_halts_as_time_goes_on() {
    let hand = Hand::default();
    let host = open(Settings { pace: Pace::Quick, ..Default::default() }, &hand);
    start(&host, 1).await;
    let last = |host: &Emulator| host.dump().lines().last().unwrap().trim().to_owned();
    assert_eq!(last(&host), "ps1: 50 GiB on tsmall; on, boot 1, 2 vCPUs, 4 GiB");
    hand.on(20);
    assert_eq!(last(&host), "ps1: 50 GiB on tsmall; on, boot 1, 2 vCPUs, 4 GiB, leased, agent opened");
    hand.on(20);
    assert_eq!(last(&host), "ps1: 50 GiB on tsmall; on, boot 1, 2 vCPUs, 4 GiB, leased, agent answers");
    host.press_power_button(&machine(1)).await.unwrap();
    assert_eq!(power(&host, 1).await, Power::On { boot: 1, since: Timestamp(0) });
    hand.on(20);
    assert_eq!(power(&host, 1).await, Power::Halted { boot: 1 });
}

#[tokio::test]
async fn the_world_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { state: Some(folder.path().to_owned()), ..Default::default() };
    let hand = Hand::default();
    hand.on(1);
    let before = open(settings.clone(), &hand);
    start(&before, 1).await;
    make(&before, 2).await;
    before.ensure_public_ip(&public_ip(1)).await.unwrap();
    let dump = before.dump();
    drop(before);
    let after = Emulator::open(settings.clone(), hand.clock()).unwrap();
    assert_eq!(after.dump(), dump);
    assert_eq!(power(&after, 1).await, Power::On { boot: 1, since: Timestamp(1_000) });
    after.ensure_public_ip(&public_ip(2)).await.unwrap();
    let led = after.look_machine(&machine(1), &network()).await.unwrap().public_ip;
    assert_eq!(led, None, "the address that machine 1 had is machine 2's");
    for number in [1, 2] {
        after.cut_power(&machine(number)).await.unwrap();
        after.remove_disk(&machine(number)).await.unwrap();
    }
    after.remove_network(&network()).await.unwrap();
    after.remove_template(&template()).await.unwrap();
    drop(after);
    let empty = Emulator::open(settings, hand.clock()).unwrap();
    assert_eq!(empty.dump(), "templates: none\nnetworks: none\nmachines: none");
}

/// Not a measurement: with a cost that grew with their number, this would take minutes.
#[tokio::test]
async fn ten_thousand_machines_stay_cheap() {
    let host = emulator();
    let mut names =
        NetworkSpec { network: network(), cidr: "10.64.0.0/24".parse().unwrap(), firewall: Vec::new() };
    for number in 0..10_000u64 {
        let id = machine(number);
        names.network = HostNetwork::Own(id.clone());
        let place = NicSpec { machine: id.clone(), network: names.network.clone(), ..nic(1) };
        host.ensure_disk(&disk(number, 50)).await.unwrap();
        host.ensure_network(&names).await.unwrap();
        host.ensure_nic(&place).await.unwrap();
        host.power_on(&BootSpec { machine: id.clone(), nic: place, ..boot(1, 1) }).await.unwrap();
        assert!(host.look_machine(&id, &names.network).await.unwrap().guest.leased.is_some());
    }
    assert_eq!(host.look_things().await.unwrap().len(), 4 * 10_000 + 1);
}
