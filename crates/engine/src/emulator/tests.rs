//! The emulator where it differs from a host: its clock, its levers, its files, its strictness. What it
//! shares with a host is in the contract suite.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TemplateId};

use super::{Call, Clock, Emulator, Fault, Fuse, Pace, Settings};
use crate::seen::{AgentSeen, Capacity, NetworkSeen, Power};
use crate::specs::*;
use crate::{Engine, Error};

const GIB: u64 = 1 << 30;

/// A clock that a test sets.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn clock(&self) -> Clock {
        let moment = self.0.clone();
        Arc::new(move || Timestamp(moment.load(Ordering::SeqCst)))
    }

    fn on(&self, ms: i64) {
        self.0.fetch_add(ms * 1_000, Ordering::SeqCst);
    }
}

fn template() -> TemplateId {
    "tsmall".parse().unwrap()
}

fn machine(number: u64) -> MachineId {
    format!("ps{number}").parse().unwrap()
}

fn network() -> HostNetwork {
    HostNetwork::Private("nlab".parse().unwrap())
}

fn network_spec() -> NetworkSpec {
    NetworkSpec { network: network(), cidr: "10.64.0.0/24".parse().unwrap() }
}

fn disk(number: u64, gib: u64) -> DiskSpec {
    DiskSpec { machine: machine(number), template: template(), size_bytes: gib * GIB }
}

fn nic(number: u64) -> NicSpec {
    let last = u8::try_from(number + 1).unwrap();
    let mac = Mac([2, 0, 0, 0, 0, last]);
    let ip = Ipv4Addr::new(10, 64, 0, last);
    NicSpec {
        machine: machine(number),
        network: network(),
        mac,
        ip,
        names: vec![machine(number).to_string()],
    }
}

fn public_ip(number: u64) -> PublicIpSpec {
    let NicSpec { machine, network, ip, .. } = nic(number);
    PublicIpSpec { machine, network, ip, public_ip: Ipv4Addr::new(203, 0, 113, 7) }
}

fn boot(number: u64, boot: u64) -> BootSpec {
    let seed =
        SeedSpec { hostname: machine(number).to_string(), authorized_keys: vec![], startup_script: None };
    BootSpec { machine: machine(number), boot, vcpus: 2, ram_bytes: 4 * GIB, nic: nic(number), seed }
}

fn emulator() -> Emulator {
    Emulator::new(Hand::default().clock()).with_templates([(template(), 10 * GIB)])
}

fn open(settings: Settings, hand: &Hand) -> Emulator {
    Emulator::open(settings, hand.clock()).unwrap().with_templates([(template(), 10 * GIB)])
}

async fn make(host: &Emulator, number: u64) {
    host.ensure_disk(&disk(number, 50)).await.unwrap();
    host.ensure_network(&network_spec()).await.unwrap();
    host.ensure_nic(&nic(number)).await.unwrap();
}

async fn start(host: &Emulator, number: u64) {
    make(host, number).await;
    host.power_on(&boot(number, 1)).await.unwrap();
}

async fn power(host: &Emulator, number: u64) -> Power {
    host.look_machine(&machine(number), &network()).await.unwrap().power
}

fn told_finally(answer: Result<(), Error>) -> String {
    let error = answer.unwrap_err();
    assert!(error.is_final(), "{error:?}");
    error.told()
}

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
    assert!(told_finally(after.ensure_public_ip(&public_ip(2)).await).contains("leads to ps1"));
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
    host.ensure_nic(&nic(2)).await.unwrap();
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
    assert!(told_finally(host.ensure_public_ip(&public_ip(2)).await).contains("leads to ps1"));
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

#[tokio::test]
async fn a_fuse_breaks_one_call_before_or_after_its_effect() {
    for (fuse, seen) in
        [(Fuse::Before as fn(Call) -> Fuse, NetworkSeen::Absent), (Fuse::After, NetworkSeen::Whole)]
    {
        let host = emulator();
        host.fail_at(Some(fuse(Call::EnsureNetwork)));
        assert!(!host.ensure_network(&network_spec()).await.unwrap_err().is_final());
        assert_eq!(host.look_network(&network()).await.unwrap(), seen);
        assert_eq!(host.fuse_left(), None);
        host.ensure_network(&network_spec()).await.unwrap();
        assert_eq!(host.calls(), [(Call::LookNetwork, 1), (Call::EnsureNetwork, 2)]);
    }
}

#[tokio::test]
async fn a_lasting_fault_lasts_until_it_is_taken_away() {
    let host = emulator();
    host.fail_always(Some((Call::EnsureNetwork, Fault::Final)));
    for _ in 0..2 {
        told_finally(host.ensure_network(&network_spec()).await);
    }
    host.fail_always(None);
    host.ensure_network(&network_spec()).await.unwrap();
}

#[tokio::test]
async fn a_reboot_of_the_host_leaves_disks_and_templates() {
    let host = emulator();
    start(&host, 1).await;
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
    host.reboot_host();
    let left = "templates:\n  tsmall: 10 GiB\nnetworks: none\nmachines:\n  ps1: 50 GiB on tsmall; off";
    assert_eq!(host.dump(), left);
    start(&host, 1).await;
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
}

#[tokio::test]
async fn guests_misbehave_as_they_are_told() {
    let host = emulator();
    let id = machine(1);
    start(&host, 1).await;
    host.deaf(&id, true);
    host.press_power_button(&id).await.unwrap();
    host.stall(&id, true);
    assert_eq!(power(&host, 1).await, Power::Stalled { boot: 1 });
    host.stall(&id, false);
    host.silent(&id, true);
    let seen = host.look_machine(&id, &network()).await.unwrap();
    assert_eq!((seen.guest.leased, seen.guest.agent), (Some(Timestamp(0)), AgentSeen::Absent));
    host.guest_powers_off(&id);
    assert_eq!(power(&host, 1).await, Power::Halted { boot: 1 });
    host.crash(&id);
    assert_eq!(power(&host, 1).await, Power::Off);
    host.lose_disk(&id);
    assert_eq!(host.look_machine(&id, &network()).await.unwrap().disk, None);
    host.break_network(&network());
    assert_eq!(host.look_network(&network()).await.unwrap(), NetworkSeen::Broken);
}

#[tokio::test]
async fn the_console_says_honestly_what_would_run() {
    let host = emulator();
    make(&host, 1).await;
    let script =
        StartupScriptSpec { id: "scone".parse().unwrap(), script: "echo hello".to_owned(), once: true };
    let mut spec = boot(1, 1);
    spec.seed.startup_script = Some(script);
    host.power_on(&spec).await.unwrap();
    let first = host.read_console(&machine(1), 0, 4096).await.unwrap();
    assert!(String::from_utf8(first.bytes).unwrap().contains("a startup script of 10 bytes would run here"));
    host.cut_power(&machine(1)).await.unwrap();
    spec.boot = 2;
    host.power_on(&spec).await.unwrap();
    let second = host.read_console(&machine(1), first.next, 4096).await.unwrap();
    assert!(String::from_utf8(second.bytes).unwrap().contains("ran at an earlier boot"));
}

#[tokio::test]
async fn the_whole_world_is_one_text() {
    let host = emulator();
    start(&host, 1).await;
    make(&host, 2).await;
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
    let told = [
        "templates:",
        "  tsmall: 10 GiB",
        "networks:",
        "  nlab: 10.64.0.0/24; ps1 at 10.64.0.2 (02:00:00:00:00:02) as ps1, public 203.0.113.7; \
         ps2 at 10.64.0.3 (02:00:00:00:00:03) as ps2",
        "machines:",
        "  ps1: 50 GiB on tsmall; on, boot 1, 2 vCPUs, 4 GiB, leased, agent answers",
        "  ps2: 50 GiB on tsmall; off",
    ];
    assert_eq!(host.dump(), told.join("\n"));
}
