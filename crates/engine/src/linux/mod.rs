//! This host: QEMU machines in network namespaces.
//!
//! **Invariants**: only [`command`] starts programs; every name on the host comes from an id, in
//! [`paths`]. All that the engine remembers lies on the host itself and is found again by looking, so that
//! machines outlive the server.

pub mod acceleration;
mod clear;
pub mod command;
mod copy;
pub mod disk;
pub mod drives;
mod engine;
pub mod folder;
pub mod gpu;
pub mod host;
pub mod losses;
pub mod net;
mod part;
pub mod paths;
pub mod process;
pub mod seed;
pub mod things;
pub mod transfers;
mod uninstall;
pub mod vm;

pub use engine::Linux;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::pci::PciAddress;

/// What an operator may set of this engine. Every value has a default that works on a plain Debian host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where disks, templates and sockets lie: the server's state folder.
    #[serde(skip)]
    pub state: PathBuf,
    /// The range that the links between the host and its networks take their /31s from.
    pub uplinks: Ipv4Net,
    /// The range that private networks lie in: traffic to it never leaves a network. Set for the whole
    /// server.
    #[serde(skip)]
    pub private_pool: Ipv4Net,
    /// The public addresses that this host may give to machines. Set for the whole server.
    #[serde(skip)]
    pub public_pools: Vec<Ipv4Net>,
    /// An interface on which the host answers ARP for its machines' public addresses. Left out: the
    /// addresses are routed to this host by other means, or used on this host alone.
    pub proxy_arp_on: Option<String>,
    /// Where the networks' name servers ask. Left out: the host's own name servers, but for loopback ones.
    pub name_servers: Vec<Ipv4Addr>,
    /// The first of the user ids that QEMU processes run under, one each.
    pub first_uid: u32,
    /// How guests run: `auto` tries a probe guest under KVM first, `tcg` never does.
    pub acceleration: AccelerationWish,
    /// The GPUs that machines may be given, by their addresses on the PCI bus. Left out: every one but the
    /// one that the host's console is on.
    pub gpus: Option<Vec<PciAddress>>,
    /// The folder that `/sys`, `/dev` and `/proc` are read in where GPUs are looked for: another one than `/`
    /// in tests.
    #[serde(skip)]
    pub host_root: Option<PathBuf>,
    /// Memory that is left to the host itself, in MiB.
    pub reserve_mib: u64,
    /// How many virtual processors a processor of the host may carry.
    pub vcpus_per_cpu: u32,
    /// Free disk space in GiB below which no disk is made or grown, and no snapshot taken.
    pub disk_floor_gib: u64,
    /// The address of this host that desktops listen on. VNC's passwords are short and its traffic is in clear:
    /// anything but a loopback address belongs on a network that is trusted.
    pub desktop_address: IpAddr,
    /// The name or the address that clients are told to connect to for a desktop. Left out: `desktop_address`, or
    /// the host's name where that is every address.
    pub desktop_hostname: Option<String>,
    /// The first of the thousand ports that desktops listen on, one each.
    pub desktop_first_port: u16,
}

impl Settings {
    /// How many ports from the first on are for desktops.
    pub const DESKTOP_PORTS: u16 = 1000;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: PathBuf::new(),
            uplinks: Ipv4Net::new_assert(Ipv4Addr::new(100, 96, 0, 0), 16),
            private_pool: Ipv4Net::new_assert(Ipv4Addr::new(10, 64, 0, 0), 10),
            public_pools: vec![Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24)],
            proxy_arp_on: None,
            name_servers: Vec::new(),
            first_uid: 2_000_000,
            acceleration: AccelerationWish::Auto,
            gpus: None,
            host_root: None,
            reserve_mib: 1024,
            vcpus_per_cpu: 8,
            disk_floor_gib: 2,
            desktop_address: Ipv4Addr::LOCALHOST.into(),
            desktop_hostname: None,
            desktop_first_port: 5900,
        }
    }
}

/// How guests are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccelerationWish {
    /// KVM where a probe guest has really run under it, else TCG.
    #[default]
    Auto,
    /// TCG, without a probe.
    Tcg,
}
