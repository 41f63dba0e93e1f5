//! Bounds on what a machine's QEMU, or the server of a network's drives, takes of the host, where cgroup v2 can
//! set them.
//!
//! They are a second fence, not the first: a host without them runs machines all the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deckle_api::ids::{MachineId, PrivateNetworkId};

use crate::linux::paths::Paths;

/// What QEMU may need beside the guest's own memory: its code, its caches, its threads, and where it
/// translates 256 MiB of translated code.
const OVERHEAD_BYTES: u64 = 512 << 20;
/// The kernel's unit for a processor's time, in microseconds.
const PERIOD_US: u64 = 100_000;
const HIERARCHY: &str = "/sys/fs/cgroup";

/// The installation's part of the cgroup hierarchy.
#[derive(Debug, Clone)]
pub struct Cgroups {
    ours: PathBuf,
    hierarchy: PathBuf,
}

impl Cgroups {
    /// The part that is named for this installation.
    pub fn of(paths: &Paths) -> Self {
        Self::new(paths.namespace_prefix().trim_end_matches('-'))
    }

    /// The part of that name.
    pub fn new(name: &str) -> Self {
        Self::under(Path::new(HIERARCHY), name)
    }

    fn under(hierarchy: &Path, name: &str) -> Self {
        Self { ours: hierarchy.join(name), hierarchy: hierarchy.to_owned() }
    }

    /// Whether processor and memory can be bounded here.
    pub fn usable(&self) -> bool {
        let offered = fs::read_to_string(self.hierarchy.join("cgroup.controllers")).unwrap_or_default();
        ["cpu", "memory"].iter().all(|wanted| offered.split_whitespace().any(|it| it == *wanted))
    }

    /// Puts a machine's process under its bounds. One processor more than the guest's is QEMU's own.
    pub fn bound(&self, machine: &MachineId, pid: u32, vcpus: u32, ram_bytes: u64) -> io::Result<()> {
        let group = self.ours.join(machine.as_str());
        fs::create_dir_all(&group)?;
        for above in [&self.hierarchy, &self.ours] {
            fs::write(above.join("cgroup.subtree_control"), "+cpu +memory")?;
        }
        fs::write(group.join("memory.max"), (ram_bytes + OVERHEAD_BYTES).to_string())?;
        let quota_us = (u64::from(vcpus) + 1) * PERIOD_US;
        fs::write(group.join("cpu.max"), format!("{quota_us} {PERIOD_US}"))?;
        fs::write(group.join("cgroup.procs"), pid.to_string())
    }

    /// Puts the server of a network's drives under its bounds, and all that it will start.
    pub fn bound_server(
        &self,
        network: &PrivateNetworkId,
        pid: u32,
        memory_bytes: u64,
        processes: u32,
    ) -> io::Result<()> {
        let group = self.ours.join(network.as_str());
        fs::create_dir_all(&group)?;
        for above in [&self.hierarchy, &self.ours] {
            fs::write(above.join("cgroup.subtree_control"), "+memory +pids")?;
        }
        fs::write(group.join("memory.max"), memory_bytes.to_string())?;
        fs::write(group.join("pids.max"), processes.to_string())?;
        fs::write(group.join("cgroup.procs"), pid.to_string())
    }

    /// Removes what the server of a network's drives has left.
    pub fn release_server(&self, network: &PrivateNetworkId) {
        let _ = fs::remove_dir(self.ours.join(network.as_str()));
    }

    /// Removes the installation's part, which no machine is in any more.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir(&self.ours) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what a machine's process has left.
    pub fn release(&self, machine: &MachineId) {
        // An absent group is as it should be, and one that is still busy goes with the next boot.
        let _ = fs::remove_dir(self.ours.join(machine.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_gets_the_bounds_of_its_machine() {
        let root = tempfile::tempdir().unwrap();
        let cgroups = Cgroups::under(root.path(), "deckle-abc");
        assert!(!cgroups.usable());
        fs::write(root.path().join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        assert!(cgroups.usable());

        let machine = MachineId::mint(1);
        cgroups.bound(&machine, 42, 2, 1 << 30).unwrap();
        let group = root.path().join("deckle-abc").join(machine.as_str());
        let said = |name: &str| fs::read_to_string(group.join(name)).unwrap();
        assert_eq!(said("memory.max"), "1610612736");
        assert_eq!(said("cpu.max"), "300000 100000");
        assert_eq!(said("cgroup.procs"), "42");
        let network = PrivateNetworkId::mint(1);
        cgroups.bound_server(&network, 43, 1 << 30, 7).unwrap();
        let group = root.path().join("deckle-abc").join(network.as_str());
        let said = |name: &str| fs::read_to_string(group.join(name)).unwrap();
        assert_eq!([said("memory.max"), said("pids.max"), said("cgroup.procs")], ["1073741824", "7", "43"]);
        assert!(cgroups.remove().is_err(), "a machine is in it");
        fs::remove_dir_all(root.path().join("deckle-abc")).unwrap();
        cgroups.remove().unwrap();
    }
}
