//! The emulator where it differs from a host: its clock, its levers, its files, its strictness. What it
//! shares with a host is in the contract suite.

mod gpus;
mod levers;
mod refusals;
mod time;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SnapshotId, StartupScriptId, TemplateId};

use super::{Call, Clock, Emulator, Fault, Fuse, Pace, Settings};
use crate::seen::{AgentSeen, Capacity, NetworkSeen, Power, ScriptRunSeen};
use crate::specs::*;
use crate::transfers::{ExportSpec, ImportSpec, Stored};
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
    NetworkSpec { network: network(), cidr: "10.64.0.0/24".parse().unwrap(), firewall: Vec::new() }
}

fn drive() -> DriveSpec {
    DriveSpec { drive: "sdlab".parse().unwrap(), network: "nlab".parse().unwrap(), size_bytes: GIB }
}

fn share() -> ShareSpec {
    let DriveSpec { drive, network, size_bytes: _ } = drive();
    let cidr = network_spec().cidr;
    let (username, password) = (drive.to_string(), "secret".to_owned());
    ShareSpec { drive, network, cidr, username, password, password_number: 1 }
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
    BootSpec {
        machine: machine(number),
        boot,
        vcpus: 2,
        ram_bytes: 4 * GIB,
        gpus: Vec::new(),
        nic: nic(number),
        seed,
        desktop: None,
    }
}

fn snapshot() -> SnapshotId {
    "slone".parse().unwrap()
}

fn restore(number: u64, generation: u64) -> RestoreSpec {
    RestoreSpec { machine: machine(number), snapshot: snapshot(), generation }
}

fn capture() -> CaptureSpec {
    CaptureSpec { template: "tcaptured".parse().unwrap(), machine: machine(1) }
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
