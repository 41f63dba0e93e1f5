//! How guests run: by the processor, or by translation.
//!
//! **Invariant**: KVM is taken only after a real kernel has started under it. There are hosts where the
//! device opens, a virtual machine is made, the firmware prints, and then every kernel spins for ever; a
//! probe of a few hundred instructions passes there, so none is asked.
//!
//! The verdict is kept with what it depends on, so that the next start of the server has it at once. A probe
//! that failed for another reason, which may pass, gives none to keep.

mod probe;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::command;
use super::paths::Paths;
use super::vm::QEMU;
use super::{AccelerationWish, Settings};
use crate::seen::Acceleration;
use probe::{Guest, Trouble};

const DEVICE: &str = "/dev/kvm";
/// Why it is not known yet whether KVM works.
pub const NOT_TRIED: &str = "a probe guest has not tried it yet";

/// What a verdict depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Circumstances {
    kernel: String,
    qemu: String,
    processor: String,
    /// Who may open the device: its mode and its group.
    device: (u32, u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    of: Circumstances,
    acceleration: Acceleration,
}

/// How guests run here. The first time it may take as long as a guest that never comes up. One at a time:
/// the probe has one folder.
pub async fn find(paths: &Paths, settings: &Settings) -> Acceleration {
    let of = match look(paths, settings).await {
        Ok(known) => return known,
        Err(of) => of,
    };
    let Some(guest) = guest_at_hand(paths) else {
        return tcg(format!("{DEVICE} opens, but there is no kernel yet to try it with: import a template"));
    };
    let tried = probe::run(&paths.state().join("probe"), &guest, settings.first_uid).await;
    let lasts = matches!(tried, Ok(()) | Err(Trouble::Spins));
    let acceleration = match tried {
        Ok(()) => Acceleration::Kvm,
        Err(trouble) => tcg(format!("{DEVICE} opens, but a probe guest did not run under it: {trouble}")),
    };
    if lasts {
        keep(&file(paths), &Verdict { of, acceleration: acceleration.clone() });
    }
    acceleration
}

/// The same, without a probe: what is known.
pub async fn find_known(paths: &Paths, settings: &Settings) -> Acceleration {
    let unknown = || tcg(format!("{DEVICE} opens, and {NOT_TRIED}"));
    look(paths, settings).await.unwrap_or_else(|_| unknown())
}

/// What needs no probe; otherwise, what its verdict will depend on.
async fn look(paths: &Paths, settings: &Settings) -> Result<Acceleration, Circumstances> {
    if settings.acceleration == AccelerationWish::Tcg {
        return Ok(tcg("the configuration says `acceleration = \"tcg\"`".to_owned()));
    }
    if let Err(error) = fs::File::options().read(true).write(true).open(DEVICE) {
        return Ok(tcg(format!("{DEVICE} cannot be opened: {error}")));
    }
    let of = circumstances().await;
    if openers(of.device.0, of.device.1) == Openers::RootAlone {
        return Ok(tcg(format!("{DEVICE} cannot be opened by QEMU's users: Permission denied")));
    }
    match kept(&file(paths)) {
        Some(verdict) if verdict.of == of => Ok(verdict.acceleration),
        _ => Err(of),
    }
}

fn tcg(because: String) -> Acceleration {
    Acceleration::Tcg { because }
}

/// The group that a guest's QEMU runs with: its user's own, or the one that may open KVM where others
/// may not. Never root's.
pub fn group(acceleration: &Acceleration, uid: u32) -> u32 {
    let needed = |device: &fs::Metadata| {
        *acceleration == Acceleration::Kvm && openers(device.mode(), device.gid()) == Openers::Group
    };
    fs::metadata(DEVICE).ok().filter(needed).map_or(uid, |device| device.gid())
}

/// Who may open the device, of those that a QEMU can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Openers {
    All,
    Group,
    RootAlone,
}

fn openers(mode: u32, gid: u32) -> Openers {
    const GROUP: u32 = 0o060;
    const OTHERS: u32 = 0o006;
    if mode & OTHERS == OTHERS {
        Openers::All
    } else if mode & GROUP == GROUP && gid != 0 {
        Openers::Group
    } else {
        Openers::RootAlone
    }
}

/// The host's own kernel, which is known to run on this processor, or else the smallest template.
fn guest_at_hand(paths: &Paths) -> Option<Guest> {
    let running = Path::new("/boot").join(format!("vmlinuz-{}", read("/proc/sys/kernel/osrelease")));
    let kernels = [running, PathBuf::from("/vmlinuz"), PathBuf::from("/boot/vmlinuz")];
    if let Some(kernel) = kernels.into_iter().find(|kernel| kernel.is_file()) {
        return Some(Guest::Kernel(kernel));
    }
    let templates = fs::read_dir(paths.templates()).ok()?.flatten().map(|entry| entry.path());
    let images = templates.filter(|path| path.extension().is_some_and(|it| it == "qcow2"));
    images.min_by_key(|path| fs::metadata(path).map_or(u64::MAX, |facts| facts.len())).map(Guest::Disk)
}

async fn circumstances() -> Circumstances {
    let version = command::run(QEMU).arg("--version").output().await.unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    Circumstances {
        kernel: read("/proc/sys/kernel/osrelease"),
        qemu: String::from_utf8_lossy(&version).lines().next().unwrap_or_default().to_owned(),
        processor: model.split_once(':').map_or("", |(_, name)| name.trim()).to_owned(),
        device: fs::metadata(DEVICE).map_or((0, 0), |device| (device.mode(), device.gid())),
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.state().join("acceleration.json")
}

fn kept(file: &Path) -> Option<Verdict> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// A verdict that cannot be kept is found again: nothing depends on it.
fn keep(file: &Path, verdict: &Verdict) {
    let written = serde_json::to_vec(verdict).map_err(std::io::Error::other);
    if let Err(error) = written.and_then(|bytes| fs::write(file, bytes)) {
        tracing::warn!(%error, "the probe's verdict cannot be kept");
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::Tag;

    #[tokio::test]
    async fn a_verdict_is_taken_again_while_nothing_has_changed() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("acceleration.json");
        let of = circumstances().await;
        assert!(!of.kernel.is_empty() && !of.processor.is_empty(), "{of:?}");
        let verdict = Verdict { of: of.clone(), acceleration: Acceleration::Tcg { because: "x".into() } };
        keep(&file, &verdict);
        assert_eq!(kept(&file), Some(verdict));
        fs::write(&file, "torn").unwrap();
        assert_eq!(kept(&file), None);
    }

    #[tokio::test]
    async fn a_verdict_of_another_time_is_not_taken() {
        let state = tempfile::tempdir().unwrap();
        let paths = Paths::new(Tag::mint(1), state.path().into());
        let of = circumstances().await;
        let other = Circumstances { device: (of.device.0 ^ 0o001, of.device.1), ..of };
        keep(&file(&paths), &Verdict { of: other, acceleration: Acceleration::Kvm });
        let known = find_known(&paths, &Settings::default()).await;
        assert!(matches!(known, Acceleration::Tcg { .. }), "{known:?}");
        assert!(!state.path().join("probe").exists());
    }

    #[test]
    fn a_device_of_root_alone_is_not_for_guests() {
        assert_eq!(openers(0o20_666, 0), Openers::All);
        assert_eq!(openers(0o20_660, 108), Openers::Group);
        assert_eq!(openers(0o20_660, 0), Openers::RootAlone);
        assert_eq!(openers(0o20_600, 108), Openers::RootAlone);
    }

    #[tokio::test]
    async fn the_configuration_has_the_first_word() {
        let state = tempfile::tempdir().unwrap();
        let paths = Paths::new(Tag::mint(1), state.path().into());
        let settings = Settings { acceleration: AccelerationWish::Tcg, ..Settings::default() };
        let Acceleration::Tcg { because } = find(&paths, &settings).await else { panic!("not TCG") };
        assert!(because.contains("the configuration says"), "{because}");
    }
}
