//! What this host is and has, and what is in the way.
//!
//! Nothing here changes the host: `deckle doctor` may run it at any time, as anybody.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Settings;
use super::acceleration::NOT_TRIED;
use super::command;
use super::disk::{GIB, free_bytes};
use super::paths::Paths;
use super::vm::{self, Cgroups, QEMU};
use crate::error::{Error, Result};
use crate::seen::{Acceleration, Capacity, Check, Verdict};

/// What machines may take of this host together.
pub fn capacity(paths: &Paths, settings: &Settings) -> Result<Capacity> {
    let act = "look what this host has";
    let told = |error: std::io::Error| Error::passing(act, error);
    let memory = fs::read_to_string("/proc/meminfo").map_err(told)?;
    let ram_bytes =
        total_bytes(&memory).ok_or_else(|| Error::passing(act, "/proc/meminfo has no MemTotal"))?;
    let cpus = std::thread::available_parallelism().map_err(told)?.get();
    let free = free_bytes(paths.state()).map_err(told)?;
    Ok(Capacity {
        ram_bytes: ram_bytes.saturating_sub(settings.reserve_mib << 20),
        vcpus: u32::try_from(cpus).unwrap_or(u32::MAX).saturating_mul(settings.vcpus_per_cpu),
        disk_free_bytes: free.saturating_sub(settings.disk_floor_gib.saturating_mul(GIB)),
    })
}

/// Everything that `deckle doctor` looks at, but for networks.
pub async fn checks(paths: &Paths, settings: &Settings, acceleration: &Acceleration) -> Vec<Check> {
    vec![
        program("qemu", QEMU, "apt-get install qemu-system-x86").await,
        program("qemu-img", "qemu-img", "apt-get install qemu-utils").await,
        rights(),
        accelerated(acceleration),
        room(paths, settings),
        passage(paths),
        socket_names(paths),
        bounds(),
        users(settings),
        vm::check_desktops(settings),
    ]
}

async fn program(name: &str, program: &str, cure: &str) -> Check {
    match command::run(program).arg("--version").output().await {
        Ok(said) => {
            let said = String::from_utf8_lossy(&said);
            Check::good(name, format!("{}.", said.lines().next().unwrap_or(program)))
        }
        Err(failure) => Check::new(name, Verdict::Bad, format!("{failure}."), cure),
    }
}

fn rights() -> Check {
    if nix::unistd::geteuid().is_root() {
        return Check::good("root", "Deckle runs as root.");
    }
    let found = "Deckle does not run as root: it can give machines neither users nor networks.";
    Check::new("root", Verdict::Bad, found, "run `deckle serve` as root, or with `--engine emulator`")
}

fn accelerated(acceleration: &Acceleration) -> Check {
    match acceleration {
        Acceleration::Kvm => Check::good("kvm", "A probe guest has run under KVM."),
        Acceleration::Pretended => Check::good("kvm", "No guest is real here."),
        Acceleration::Tcg { because } => {
            let found = format!("Guests run by translation (TCG), many times slower: {because}.");
            let cure = if because.contains("Permission denied") {
                "chgrp kvm /dev/kvm && chmod 0660 /dev/kvm"
            } else if because.contains(NOT_TRIED) {
                "start the server, which tries it"
            } else {
                "a host with hardware virtualisation, switched on in its firmware or by its own host"
            };
            Check::new("kvm", Verdict::Weak, found, cure)
        }
    }
}

fn room(paths: &Paths, settings: &Settings) -> Check {
    let floor_gib = settings.disk_floor_gib;
    match free_bytes(paths.state()) {
        Ok(free) if free > floor_gib.saturating_mul(GIB) => {
            Check::good("disk", format!("{} GiB are free for disks; the floor is {floor_gib}.", free / GIB))
        }
        Ok(free) => {
            let found = format!("{} GiB are free, which is not above the floor of {floor_gib}.", free / GIB);
            let cure = format!("make room in {}, or lower disk_floor_gib", paths.state().display());
            Check::new("disk", Verdict::Bad, found, cure)
        }
        Err(error) => {
            let found = format!("{} cannot be looked at: {error}.", paths.state().display());
            Check::new("disk", Verdict::Bad, found, "name another state folder with `--state`")
        }
    }
}

/// Each machine's QEMU has a user of its own, which must come through to the machine's folder.
fn passage(paths: &Paths) -> Check {
    // The state folder and those in it are opened by the engine itself.
    let above = paths.state().ancestors().skip(1);
    let closed =
        |folder: &&Path| fs::metadata(folder).is_ok_and(|facts| facts.permissions().mode() & 0o001 == 0);
    match above.filter(|folder| !folder.as_os_str().is_empty()).find(closed) {
        None => Check::good("state folder", "QEMU's users can reach the state folder."),
        Some(folder) => {
            let folder = folder.display();
            let found = format!("QEMU's users cannot pass through {folder} to the state folder.");
            Check::new("state folder", Verdict::Bad, found, format!("chmod o+x {folder}"))
        }
    }
}

/// The kernel takes socket names of at most 107 bytes.
fn socket_names(paths: &Paths) -> Check {
    const NAME_MAX: usize = 107;
    const LONGEST: &str = "ps0123456789abcdef/agent.sock";
    let length = paths.machines().join(LONGEST).as_os_str().len();
    if length <= NAME_MAX {
        return Check::good("socket names", "The state folder's name is short enough for sockets.");
    }
    let found = format!("The state folder's name is {} bytes too long for sockets in it.", length - NAME_MAX);
    Check::new("socket names", Verdict::Bad, found, "name a shorter state folder with `--state`")
}

fn bounds() -> Check {
    if Cgroups::new("deckle").usable() {
        return Check::good(
            "cgroups",
            "Each machine's processor time and memory, and the memory of each network's drives, are bounded.",
        );
    }
    let found =
        "cgroup v2 offers no processor and memory bounds: a QEMU or smbd that goes wild is not held back.";
    Check::new("cgroups", Verdict::Weak, found, "boot with `systemd.unified_cgroup_hierarchy=1`")
}

/// The users of machines must be nobody else's.
fn users(settings: &Settings) -> Check {
    const SPAN: u32 = 65_536;
    let (first, last) = (settings.first_uid, settings.first_uid.saturating_add(SPAN - 1));
    let listed =
        ["/etc/passwd", "/etc/subuid"].map(|file| (file, fs::read_to_string(file).unwrap_or_default()));
    let clash = listed.iter().find_map(|(file, text)| {
        text.lines()
            .find(|line| overlaps(line, file.ends_with("subuid"), first, last))
            .map(|line| (file, line))
    });
    let Some((file, line)) = clash else {
        return Check::good("users", format!("The user ids from {first} on are free for machines."));
    };
    let name = line.split(':').next().unwrap_or_default();
    let found = format!("User ids from {first} on, for machines, are also {name}'s in {file}.");
    Check::new("users", Verdict::Bad, found, "set first_uid to a number whose next 65536 are free")
}

/// Whether a line of `passwd` (one number) or `subuid` (a number and a count) has one of those numbers.
fn overlaps(line: &str, counted: bool, first: u32, last: u32) -> bool {
    let number = |field: usize| line.split(':').nth(field).and_then(|text| text.parse::<u64>().ok());
    let (from, count) = if counted { (number(1), number(2)) } else { (number(2), Some(1)) };
    let (Some(from), Some(count)) = (from, count) else { return false };
    from <= u64::from(last) && from + count > u64::from(first)
}

fn total_bytes(memory: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::Tag;

    fn place(state: &Path) -> Paths {
        Paths::new(Tag::mint(1), state.to_owned())
    }

    #[test]
    fn what_the_host_keeps_for_itself_is_taken_off() {
        let state = tempfile::tempdir().unwrap();
        let all = Settings { reserve_mib: 0, disk_floor_gib: 0, vcpus_per_cpu: 1, ..Settings::default() };
        let whole = capacity(&place(state.path()), &all).unwrap();
        let reserved = Settings { reserve_mib: 256, vcpus_per_cpu: 3, ..all.clone() };
        let rest = capacity(&place(state.path()), &reserved).unwrap();
        assert_eq!(rest.ram_bytes, whole.ram_bytes - (256 << 20));
        assert_eq!(rest.vcpus, whole.vcpus * 3);
        let nothing = Settings { reserve_mib: 1 << 40, disk_floor_gib: 1 << 30, ..all };
        let none = capacity(&place(state.path()), &nothing).unwrap();
        assert_eq!((none.ram_bytes, none.disk_free_bytes), (0, 0));
    }

    #[tokio::test]
    async fn every_check_that_is_not_good_has_a_cure() {
        let state = tempfile::tempdir().unwrap();
        let long = state.path().join("x".repeat(120));
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let tcg = Acceleration::Tcg { because: "a test".into() };
        let settings = Settings { disk_floor_gib: 1 << 30, first_uid: 0, ..Settings::default() };
        let checks = checks(&place(&long), &settings, &tcg).await;
        for check in &checks {
            assert_eq!(check.cure.is_empty(), check.verdict == Verdict::Good, "{check:?}");
            assert!(check.found.ends_with('.'), "{check:?}");
        }
        let verdict = |name: &str| checks.iter().find(|check| check.name == name).unwrap().verdict;
        assert_eq!(verdict("disk"), Verdict::Bad);
        assert_eq!(verdict("state folder"), Verdict::Bad);
        assert_eq!(verdict("socket names"), Verdict::Bad);
        assert_eq!(verdict("users"), Verdict::Bad);
        assert_eq!(verdict("kvm"), Verdict::Weak);
    }

    #[test]
    fn user_ids_of_others_are_seen() {
        assert!(overlaps("ann:100000:65536", true, 165_535, 200_000));
        assert!(!overlaps("ann:100000:65536", true, 165_536, 200_000));
        assert!(overlaps("ann:x:2000000:100::/:/bin/sh", false, 2_000_000, 2_000_001));
        assert!(!overlaps("# a remark", true, 0, 10));
    }
}
