//! What `deckle doctor` asks of this host for its shared drives.

use std::fs;
use std::path::Path;

use super::loops::CONTROL;
use crate::linux::command;
use crate::seen::{Check, Verdict};

pub(super) async fn all() -> Vec<Check> {
    vec![samba().await, loop_devices(), ext4(), growth()]
}

/// Whether a mounted file system may be grown: the kernel wants the right to exceed limits for it.
pub(super) fn grows_in_use() -> bool {
    const SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).is_some_and(|rights| rights >> SYS_RESOURCE & 1 == 1)
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

async fn samba() -> Check {
    const NAME: &str = "samba";
    const CURE: &str = "apt-get install samba samba-common-bin";
    match command::run("smbd").arg("--version").output().await {
        Ok(said) => judged(NAME, String::from_utf8_lossy(&said).trim(), CURE),
        Err(failure) => Check::new(NAME, Verdict::Weak, format!("No shared drives: {failure}."), CURE),
    }
}

/// `smbstatus` tells clients apart since 4.17.
fn judged(name: &str, said: &str, cure: &str) -> Check {
    const OLDEST: (u32, u32) = (4, 17);
    let version = said.split_whitespace().find_map(|word| {
        let mut parts = word.split(['.', '-']).map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    });
    match version {
        Some(version) if version >= OLDEST => Check::good(name, format!("{said}.")),
        _ => {
            let found =
                format!("{said} is not known to be 4.17 or later: a changed drive pauses its neighbours.");
            Check::new(name, Verdict::Weak, found, cure)
        }
    }
}

fn loop_devices() -> Check {
    if Path::new(CONTROL).exists() {
        return Check::good("loop devices", "Images can be mounted.");
    }
    let found = format!("{CONTROL} is missing: shared drives cannot be mounted.");
    Check::new("loop devices", Verdict::Weak, found, "modprobe loop")
}

/// A module of it is loaded at the first mount.
fn ext4() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let built = known.lines().any(|line| line.trim() == "ext4");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let module = Path::new("/lib/modules").join(release.trim()).join("kernel/fs/ext4");
    if built || module.exists() {
        return Check::good("ext4", "The kernel has the file system of shared drives.");
    }
    let found = "The kernel has no ext4: there are no shared drives.";
    Check::new("ext4", Verdict::Weak, found, "a kernel with ext4, such as Debian's")
}

fn growth() -> Check {
    const NAME: &str = "growing drives";
    if grows_in_use() {
        return Check::good(NAME, "A shared drive grows while it is in use.");
    }
    let found = "A shared drive pauses for some seconds while it grows: CAP_SYS_RESOURCE is missing.";
    Check::new(NAME, Verdict::Weak, found, "run the server with CAP_SYS_RESOURCE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000001fffeffffff\n"), Some(0x1ff_feff_ffff));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn an_old_samba_is_told() {
        let verdict = |said| judged("samba", said, "cure").verdict;
        assert_eq!(verdict("Version 4.17.12-Debian"), Verdict::Good);
        assert_eq!(verdict("Version 5.0.0"), Verdict::Good);
        assert_eq!(verdict("Version 4.16.1"), Verdict::Weak);
        assert_eq!(verdict("Version unknown"), Verdict::Weak);
    }

    #[tokio::test]
    async fn every_check_that_is_not_good_has_a_cure() {
        for check in all().await {
            assert_eq!(check.cure.is_empty(), check.verdict == Verdict::Good, "{check:?}");
            assert!(check.found.ends_with('.'), "{check:?}");
        }
    }
}
