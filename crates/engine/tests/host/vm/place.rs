//! A throw-away installation, and what its machines are made from.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use deckle_api::ids::{MachineId, TemplateId};
use deckle_engine::linux::Settings;
use deckle_engine::linux::disk::Disks;
use deckle_engine::linux::paths::{Paths, Tag};
use deckle_engine::linux::vm::Vms;
use deckle_engine::seen::{Acceleration, AgentSeen, Power};
use deckle_engine::specs::{BootSpec, DiskSpec, HostNetwork, Mac, NicSpec, SeedSpec, TemplateSpec};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// An installation in a folder of its own; its machines end with it.
pub struct Place {
    pub paths: Paths,
    pub disks: Disks,
    pub vms: Vms,
    pub machine: MachineId,
    pub template: TemplateId,
    settings: Settings,
    _folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::at(folder.path().join("state"), folder)
    }

    /// An installation whose state lies elsewhere than in `folder`, which goes when it goes.
    pub fn at(state: PathBuf, folder: tempfile::TempDir) -> Self {
        fs::create_dir_all(&state).unwrap();
        // What `tempfile` makes is closed to all; a state folder is not.
        Command::new("chmod").arg("0711").arg(folder.path()).status().unwrap();
        let paths = Paths::new(Tag::mint(1), state);
        let settings = settings();
        let disks = Disks::new(paths.clone(), &settings);
        let vms = Vms::new(paths.clone(), &settings, Acceleration::Tcg { because: "tests".into() });
        let (machine, template) = (MachineId::mint(1), TemplateId::mint(1));
        Self { paths, disks, vms, machine, template, settings, _folder: folder }
    }

    /// The same installation as a server sees it that has just been started.
    pub fn restarted(&mut self) {
        self.vms =
            Vms::new(self.paths.clone(), &self.settings, Acceleration::Tcg { because: "tests".into() });
    }

    pub async fn take_in(&self, file: &Path) -> deckle_engine::Result<deckle_engine::seen::TemplateSeen> {
        let file = file.to_owned();
        let spec = TemplateSpec { id: self.template.clone(), file, size_bytes_max: 10 * GIB };
        self.disks.ensure_template(&spec).await
    }

    pub fn disk_spec(&self, size_bytes: u64) -> DiskSpec {
        DiskSpec { machine: self.machine.clone(), template: self.template.clone(), size_bytes }
    }

    pub fn boot_spec(&self, boot: u64, ram_mib: u64) -> BootSpec {
        let machine = self.machine.clone();
        let nic = NicSpec {
            machine: machine.clone(),
            network: HostNetwork::Own(machine.clone()),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            ip: "10.64.0.10".parse().unwrap(),
            names: Vec::new(),
        };
        let seed = SeedSpec { hostname: "box".into(), authorized_keys: Vec::new(), startup_script: None };
        BootSpec {
            machine,
            boot,
            vcpus: 1,
            ram_bytes: ram_mib * MIB,
            gpus: Vec::new(),
            nic,
            seed,
            desktop: None,
        }
    }

    pub async fn power_on(&self, boot: u64) {
        self.vms.power_on(&self.boot_spec(boot, 64), tap()).await.unwrap();
    }

    pub async fn power(&self) -> Power {
        self.vms.look(&self.machine).await.unwrap().power
    }

    pub async fn agent(&self) -> AgentSeen {
        self.vms.look(&self.machine).await.unwrap().agent
    }

    pub async fn console(&self) -> String {
        let chunk = self.vms.read_console(&self.machine, 0, 1 << 20).await.unwrap();
        String::from_utf8_lossy(&chunk.bytes).into_owned()
    }

    /// Waits until the serial log has that text.
    pub async fn hear(&self, text: &str) {
        eventually(&format!("the guest says {text:?}"), async || self.console().await.contains(text)).await;
    }

    /// The number of the machine's QEMU.
    pub fn pid(&self) -> u32 {
        let note = fs::read(self.paths.machine(&self.machine).join("run.json")).unwrap();
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
        note["process"]["pid"].as_u64().unwrap() as u32
    }
}

/// Each place has ports of its own: all have the same users.
fn settings() -> Settings {
    static PLACES: AtomicU16 = AtomicU16::new(0);
    let desktop_first_port = 21_000 + 10 * PLACES.fetch_add(1, Ordering::Relaxed);
    Settings { first_uid: 3_000_000, disk_floor_gib: 0, desktop_first_port, ..Settings::default() }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mark = self.paths.machines().display().to_string();
        for process in deckle_engine::linux::process::Process::all(None, &mark).unwrap() {
            let _ = Command::new("kill").arg("-9").arg(process.pid.to_string()).status();
        }
    }
}

/// Waits for a level, with a limit that a slow machine under load does not meet.
pub async fn eventually(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !reached().await {
        assert!(began.elapsed() < Duration::from_secs(90), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs a program that must succeed.
pub fn must(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The guest of one sector on a raw disk of 64 MiB.
pub fn guest_disk(folder: &Path, fills: bool) -> PathBuf {
    let at = |name: &str| folder.join(name).display().to_string();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/vm/guest.S");
    must("as", &["--32", "-o", &at("guest.o"), source]);
    let layout = ["-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o"];
    must("ld", &[&layout[..], &[&at("guest.bin"), &at("guest.o")]].concat());
    let mut disk = fs::read(folder.join("guest.bin")).unwrap();
    assert_eq!(disk.len(), 512);
    disk[509] = u8::from(fills);
    let file = folder.join("guest.raw");
    fs::write(&file, disk).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(64 * MIB).unwrap();
    file
}

/// A port that leads nowhere: a tap that is down, gone when it is closed.
pub fn tap() -> OwnedFd {
    nix::ioctl_write_ptr_bad!(tun_set_iff, 0x4004_54ca, [u8; 40]);
    const TAP: u16 = 0x0002;
    const NO_PACKET_INFO: u16 = 0x1000;
    const VNET_HEADER: u16 = 0x4000;
    let file = fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    let mut request = [0; 40];
    request[..8].copy_from_slice(b"dktest%d");
    request[16..18].copy_from_slice(&(TAP | NO_PACKET_INFO | VNET_HEADER).to_ne_bytes());
    // Why: a tap is made by an ioctl that no safe call wraps.
    // SAFETY: the request is as long as the kernel's `ifreq`, and the kernel keeps no pointer to it.
    unsafe { tun_set_iff(std::os::fd::AsRawFd::as_raw_fd(&file), &raw const request) }.unwrap();
    file.into()
}
