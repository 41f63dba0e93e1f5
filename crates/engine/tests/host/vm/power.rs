//! Power: a guest of one sector under a real QEMU.

use std::fs;
use std::path::{Path, PathBuf};

use deckle_engine::pci::PciAddress;
use deckle_engine::seen::{AgentSeen, Power};
use deckle_engine::specs::BootSpec;

use crate::vm::place::{GIB, MIB, Place, eventually, guest_disk, must, tap};

async fn machine() -> Place {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    place
}

#[tokio::test]
async fn a_machine_boots_halts_by_its_button_and_boots_again_on_the_same_disk() {
    let mut place = machine().await;
    assert_eq!(place.power().await, Power::Off);
    place.power_on(1).await;
    place.hear("boot 1\n").await;
    let Power::On { boot: 1, since } = place.power().await else { panic!("{:?}", place.power().await) };
    assert_eq!(place.agent().await, AgentSeen::Absent);

    // A power-on of what is on changes nothing, and a new server finds the same.
    let pid = place.pid();
    place.power_on(9).await;
    place.restarted();
    assert_eq!(place.power().await, Power::On { boot: 1, since });
    assert_eq!(place.pid(), pid);

    place.vms.press_power_button(&place.machine).await.unwrap();
    eventually("the guest halts", async || place.power().await == Power::Halted { boot: 1 }).await;
    for _ in 0..2 {
        place.vms.cut_power(&place.machine).await.unwrap();
        assert_eq!(place.power().await, Power::Off);
    }
    place.vms.press_power_button(&place.machine).await.unwrap();

    place.power_on(2).await;
    place.hear("boot 2\n").await;
    assert!(matches!(place.power().await, Power::On { boot: 2, .. }));
    let log = place.console().await;
    assert!(log.find("off\n") < log.find("boot 2\n"), "{log}");
    let tail = place.vms.read_console(&place.machine, log.find("boot 2").unwrap() as u64, 6).await.unwrap();
    assert_eq!(tail.bytes, b"boot 2");
}

/// What stands in the way first differs from host to host: the server's rights, or the device. Either is told.
#[tokio::test]
async fn a_machine_whose_gpu_cannot_be_opened_does_not_start_and_starts_without_it() {
    let place = machine().await;
    let gpu: PciAddress = "0000:fe:1f.7".parse().unwrap();
    let spec = BootSpec { gpus: vec![gpu.clone()], ..place.boot_spec(1, 64) };
    let error = place.vms.power_on_with(&spec, tap(), &[vec![gpu]]).await.unwrap_err().told();
    assert!(error.contains("0000:fe:1f.7") || error.contains("may not let QEMU lock"), "{error}");
    assert!(!error.contains("Property") && !error.contains("syntax"), "QEMU knows every word: {error}");
    assert_eq!(place.power().await, Power::Off);
    place.power_on(2).await;
    // The guest counts its own boots.
    place.hear("boot 1\n").await;
    assert_eq!(place.vms.gpus(&place.machine).unwrap(), []);
}

#[tokio::test]
async fn qemu_runs_shut_in_and_alone() {
    let place = machine().await;
    place.power_on(1).await;
    let pid = place.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid"), "3000001 3000001 3000001 3000001");
    assert_eq!(field("Gid"), "3000001 3000001 3000001 3000001");
    assert_eq!(field("Groups"), "");
    assert_eq!(field("CapEff"), "0000000000000000");
    assert_eq!(field("CapPrm"), "0000000000000000");
    assert_eq!(field("Seccomp"), "2");

    let networks = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
    let links: Vec<_> = networks.lines().filter_map(|line| line.split_once(':')).collect();
    assert!(matches!(links[..], [(name, _)] if name.trim() == "lo"), "{networks}");

    let state = place.paths.state().to_owned();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap().display().to_string();
        let its_own =
            ["/dev/null", "/dev/net/tun", "/dev/urandom", "socket:", "anon_inode:", "pipe:", "/memfd:"];
        let known =
            its_own.iter().any(|known| target.starts_with(known)) || Path::new(&target).starts_with(&state);
        assert!(known, "an inherited descriptor: {target}");
    }
}

#[tokio::test]
async fn a_killed_qemu_is_off_and_a_hung_one_is_cut() {
    let place = machine().await;
    place.power_on(1).await;
    must("kill", &["-9", &place.pid().to_string()]);
    eventually("the machine is off", async || place.power().await == Power::Off).await;

    place.power_on(2).await;
    must("kill", &["-STOP", &place.pid().to_string()]);
    place.vms.cut_power(&place.machine).await.unwrap();
    assert_eq!(place.power().await, Power::Off);
    place.power_on(3).await;
    assert!(matches!(place.power().await, Power::On { boot: 3, .. }));
}

#[tokio::test]
async fn a_qemu_whose_note_was_never_finished_is_found() {
    let place = machine().await;
    place.power_on(4).await;
    let (pid, file) = (place.pid(), place.paths.machine(&place.machine).join("run.json"));
    let mut note: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    note["process"] = serde_json::Value::Null;
    fs::write(&file, note.to_string()).unwrap();
    assert!(matches!(place.power().await, Power::On { boot: 4, .. }));

    fs::remove_file(&file).unwrap();
    place.vms.cut_power(&place.machine).await.unwrap();
    assert!(!Path::new(&format!("/proc/{pid}/exe")).exists());
}

#[tokio::test]
async fn a_start_that_a_crash_cut_short_is_made_anew() {
    let place = machine().await;
    let folder = place.paths.machine(&place.machine);
    let note = r#"{"boot":1,"since":"2026-01-01T00:00:00.000Z","host_boot":"x","process":null}"#;
    for (file, text) in
        [("run.json", note), ("run.new", "{"), ("seed.new", ""), ("qmp.sock", ""), ("agent.sock", "")]
    {
        fs::write(folder.join(file), text).unwrap();
    }
    assert_eq!(place.power().await, Power::Off);
    place.power_on(2).await;
    place.hear("boot 1").await;
    assert!(matches!(place.power().await, Power::On { boot: 2, .. }));
    for left in ["run.new", "seed.new"] {
        assert!(!folder.join(left).exists(), "{left}");
    }
}

#[tokio::test]
async fn all_that_lies_on_the_host_is_found_and_nothing_is_left() {
    let place = machine().await;
    assert_eq!(of_place(&place), ["file ps10000000", "file t10000000"]);
    place.power_on(1).await;
    assert_eq!(of_place(&place), ["file ps10000000", "file t10000000", "process ps10000000"]);
    place.vms.cut_power(&place.machine).await.unwrap();
    place.disks.remove_disk(&place.machine).await.unwrap();
    place.disks.remove_template(&place.template).await.unwrap();
    assert!(of_place(&place).is_empty());
}

fn of_place(place: &Place) -> Vec<String> {
    let things = deckle_engine::linux::things::look(&place.paths).unwrap();
    things.into_iter().map(|thing| format!("{} {}", thing.kind, thing.of)).collect()
}

#[tokio::test]
async fn a_disk_grows_under_a_running_guest() {
    let place = machine().await;
    place.power_on(1).await;
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    let seen = place.disks.look_disk(&place.machine).await.unwrap().unwrap();
    assert_eq!(seen.size_bytes, 2 * GIB);
}

#[tokio::test]
async fn a_start_that_fails_tells_qemu_s_words_and_leaves_the_machine_off() {
    let place = machine().await;
    let mut spec = place.boot_spec(1, 64);
    spec.vcpus = 100_000;
    let failed = place.vms.power_on(&spec, tap()).await.unwrap_err();
    assert!(
        failed.told().contains("start QEMU for ps10000000") && failed.told().contains("100000"),
        "{}",
        failed.told()
    );
    assert_eq!(place.power().await, Power::Off);
    place.power_on(2).await;
    assert!(matches!(place.power().await, Power::On { boot: 2, .. }));
}

#[tokio::test]
async fn a_guest_without_room_stalls_and_goes_on_when_there_is_some() {
    let small = SmallDisk::new(100);
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(small.mounted.join("state"), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), true)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    let ballast = small.mounted.join("ballast");
    must("fallocate", &["-l", "70M", &ballast.display().to_string()]);

    place.power_on(1).await;
    eventually("the guest stalls", async || place.power().await == Power::Stalled { boot: 1 }).await;
    assert!(!place.console().await.contains("failed"));
    fs::remove_file(&ballast).unwrap();
    eventually("it goes on", async || matches!(place.power().await, Power::On { boot: 1, .. })).await;
    place.hear("written").await;
    place.vms.cut_power(&place.machine).await.unwrap();
    drop(place);
}

/// A small file system of its own.
pub struct SmallDisk {
    /// Where it is.
    pub mounted: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    pub fn new(mib: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        must("chmod", &["0711", &folder.path().display().to_string()]);
        let (image, mounted) = (folder.path().join("image"), folder.path().join("mounted"));
        fs::create_dir(&mounted).unwrap();
        fs::File::create(&image).unwrap().set_len(mib * MIB).unwrap();
        let (image, at) = (image.display().to_string(), mounted.display().to_string());
        must("mke2fs", &["-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", &image]);
        must("mount", &["-o", "loop", &image, &at]);
        Self { mounted, _folder: folder }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        must("umount", &["--lazy", &self.mounted.display().to_string()]);
    }
}
