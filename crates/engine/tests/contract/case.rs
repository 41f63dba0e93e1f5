//! A machine and a network of its own for one promise.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, SnapshotId, TemplateId};
use deckle_engine::Engine;
use deckle_engine::seen::{DriveSeen, HostThing, MachineSeen, NetworkSeen};
use deckle_engine::specs::{
    BootSpec, DiskSpec, HostNetwork, Mac, NetworkSpec, NicSpec, PublicIpSpec, SeedSpec, StartupScriptSpec,
};
use ipnet::Ipv4Net;

use super::{GIB, Host};

/// What is added to the smallest disk, so that there is room to ask for less.
const ROOM_BYTES: u64 = GIB;

pub struct Case<'a> {
    pub host: &'a Host,
    pub machine: MachineId,
    pub network: HostNetwork,
    pub drive: SharedDriveId,
    cidr: Ipv4Net,
    last: u8,
}

impl<'a> Case<'a> {
    /// A machine in a private network that nobody else is in.
    pub fn new(host: &'a Host) -> Self {
        let random = random();
        let [high, middle, ..] = random.to_le_bytes();
        let first = Ipv4Addr::new(10, 64 + high % 64, middle, 0);
        let network = HostNetwork::Private(PrivateNetworkId::mint(random));
        let machine = MachineId::mint(random.rotate_left(7));
        let drive = SharedDriveId::mint(random);
        Self { host, machine, network, drive, cidr: Ipv4Net::new_assert(first, 24), last: 10 }
    }

    /// A machine in a network to itself, whose range is that of every such network.
    pub fn on_its_own(host: &'a Host) -> Self {
        let machine = MachineId::mint(random());
        let cidr = Ipv4Net::new_assert(Ipv4Addr::new(10, 127, 255, 252), 30);
        let (network, drive) = (HostNetwork::Own(machine.clone()), SharedDriveId::mint(random()));
        Self { host, network, machine, drive, cidr, last: 254 }
    }

    /// Another machine in the same network.
    pub fn neighbour(&self) -> Self {
        let Self { host, machine: _, network, drive: _, cidr, last } = self;
        let (machine, drive) = (MachineId::mint(random()), SharedDriveId::mint(random()));
        Self { host, machine, network: network.clone(), drive, cidr: *cidr, last: last + 1 }
    }

    pub fn engine(&self) -> &dyn Engine {
        &*self.host.engine
    }

    pub fn network_spec(&self) -> NetworkSpec {
        NetworkSpec { network: self.network.clone(), cidr: self.cidr, firewall: Vec::new() }
    }

    pub fn nic_spec(&self) -> NicSpec {
        let [.., third, _] = self.cidr.network().octets();
        NicSpec {
            machine: self.machine.clone(),
            network: self.network.clone(),
            mac: Mac([2, 0, 10, 64, third, self.last]),
            ip: self.ip(),
            names: vec![self.machine.to_string()],
        }
    }

    pub fn public_ip_spec(&self, public_ip: Ipv4Addr) -> PublicIpSpec {
        let (machine, network) = (self.machine.clone(), self.network.clone());
        PublicIpSpec { machine, network, public_ip, ip: self.ip() }
    }

    /// A disk with room to spare.
    pub async fn disk_spec(&self) -> DiskSpec {
        self.disk_spec_on(&self.host.template).await
    }

    pub async fn disk_spec_on(&self, template: &TemplateId) -> DiskSpec {
        let seen = self.engine().look_template(template).await.unwrap().expect("the template is there");
        let size_bytes = seen.size_bytes + ROOM_BYTES;
        DiskSpec { machine: self.machine.clone(), template: template.clone(), size_bytes }
    }

    pub fn boot_spec(&self, boot: u64) -> BootSpec {
        let script = "echo the startup script has run".to_owned();
        BootSpec {
            machine: self.machine.clone(),
            boot,
            vcpus: 1,
            ram_bytes: self.host.ram_bytes,
            gpus: Vec::new(),
            nic: self.nic_spec(),
            seed: SeedSpec {
                hostname: self.machine.to_string(),
                authorized_keys: Vec::new(),
                startup_script: Some(StartupScriptSpec {
                    id: "sccontract".parse().unwrap(),
                    script,
                    once: false,
                }),
            },
            desktop: None,
        }
    }

    /// Makes the network and plugs the machine in.
    pub async fn plug(&self) {
        self.engine().ensure_network(&self.network_spec()).await.unwrap();
        self.engine().ensure_nic(&self.nic_spec()).await.unwrap();
    }

    /// Makes all that a start needs.
    pub async fn make(&self) {
        let disk = self.disk_spec().await;
        self.engine().ensure_disk(&disk).await.unwrap();
        self.plug().await;
    }

    /// A snapshot's id, the same for the same number.
    pub fn snapshot(&self, number: u64) -> SnapshotId {
        SnapshotId::mint(number)
    }

    /// The snapshots of the disk, by their ids.
    pub async fn snapshots(&self) -> Vec<SnapshotId> {
        let seen = self.engine().look_snapshots(&self.machine).await.unwrap();
        seen.into_iter().map(|seen| seen.id).collect()
    }

    pub async fn seen(&self) -> MachineSeen {
        self.engine().look_machine(&self.machine, &self.network).await.unwrap()
    }

    /// Looks until the machine is as asked.
    pub async fn wait<T>(&self, what: &str, limit: Duration, is: impl Fn(&MachineSeen) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let seen = self.seen().await;
            if let Some(found) = is(&seen) {
                return found;
            }
            assert!(begun.elapsed() < limit, "{}: not {what} after {limit:?}: {seen:?}", self.machine);
            tokio::time::sleep(self.host.look_every).await;
        }
    }

    /// Removes the machine and its network, and sees that nothing of them is left.
    pub async fn clear(&self) {
        let engine = self.engine();
        engine.cut_power(&self.machine).await.unwrap();
        engine.remove_nic(&self.machine, &self.network).await.unwrap();
        engine.remove_disk(&self.machine).await.unwrap();
        if let HostNetwork::Private(_) = self.network {
            self.clear_drive().await;
        }
        engine.remove_network(&self.network).await.unwrap();
        assert_eq!(self.seen().await, MachineSeen::default());
        assert_eq!(engine.look_network(&self.network_spec()).await.unwrap(), NetworkSeen::Absent);
        assert_eq!(self.things().await, []);
    }

    /// Removes the drive, and sees that nothing of it is left.
    pub async fn clear_drive(&self) {
        self.engine().remove_share(&self.drive, self.private_network()).await.unwrap();
        self.engine().remove_drive(&self.drive).await.unwrap();
        assert_eq!(self.drive_seen().await, DriveSeen::default());
    }

    pub fn private_network(&self) -> &PrivateNetworkId {
        match &self.network {
            HostNetwork::Private(id) => id,
            HostNetwork::Own(id) => panic!("{id} has its network to itself"),
        }
    }

    /// What the host has of the machine, its network and its drive.
    pub async fn things(&self) -> Vec<HostThing> {
        let mut things = things_of(self.host, self.machine.as_str()).await;
        things.extend(things_of(self.host, &self.network.to_string()).await);
        things.extend(things_of(self.host, self.drive.as_str()).await);
        things
    }
}

impl Case<'_> {
    fn ip(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.cidr.network().octets();
        Ipv4Addr::new(a, b, c, self.last)
    }
}

/// What the host has of one object.
pub async fn things_of(host: &Host, id: &str) -> Vec<HostThing> {
    let things = host.engine.look_things().await.unwrap();
    things.into_iter().filter(|thing| thing.of == id).collect()
}

/// Sees that a call failed for good.
pub fn assert_final<T: Debug>(answer: deckle_engine::Result<T>) {
    let error = answer.expect_err("the call must fail");
    assert!(error.is_final(), "may pass, but must not: {}", error.told());
}

/// A fresh template's id.
pub fn template_id() -> TemplateId {
    TemplateId::mint(random())
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}
