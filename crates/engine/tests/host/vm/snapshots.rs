//! Snapshots, restores and captured templates, with real guests and real crashes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use deckle_api::ids::{MachineId, SnapshotId, TemplateId};
use deckle_engine::seen::{AgentSeen, Power};
use deckle_engine::specs::{CaptureSpec, DiskSpec, RestoreSpec};
use serde_json::json;

use crate::vm::inside::{asked, inside};
use crate::vm::place::{GIB, MIB, Place, eventually, guest_disk, must, tap};
use crate::vm::small_guest::image;

#[tokio::test]
async fn a_running_guest_goes_back_and_forth_between_its_snapshots() {
    back_and_forth(true).await;
}

#[tokio::test]
async fn a_stopped_guest_goes_back_and_forth_between_its_snapshots() {
    back_and_forth(false).await;
}

/// Write A, snapshot, write B, snapshot, restore the first, restore the second, delete the first, restore the
/// second again.
async fn back_and_forth(running: bool) {
    let place = Place::new();
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    up(&place, 1).await;
    for (number, letter) in [(1, "A"), (2, "B")] {
        // Nothing is synced here while it runs: the agent has the guest write it out.
        inside(&place, &format!("echo {letter} > /root/state; touch /root/{letter}")).await;
        match running {
            true => place.take(number).await,
            false => {
                inside(&place, "sync").await;
                place.vms.cut_power(&place.machine).await.unwrap();
                place.take(number).await;
                up(&place, 1 + number).await;
            }
        }
        assert_eq!(asked(&place, "guest-fsfreeze-status", json!({})), "thawed");
        assert!(!place.file("held").exists());
    }
    inside(&place, "echo C > /root/state; touch /root/C; sync").await;
    for (boot, number, there) in [(4, 1, "A A"), (5, 2, "B A B"), (6, 2, "B A B")] {
        place.vms.cut_power(&place.machine).await.unwrap();
        if boot == 6 {
            place.remove(1).await;
        }
        place.restore(number, boot).await.unwrap();
        up(&place, boot).await;
        let seen = inside(&place, "cat /root/state; cd /root; ls -d A B C 2>/dev/null").await;
        assert_eq!(seen.split_whitespace().collect::<Vec<_>>().join(" "), there, "boot {boot}");
    }
    assert_eq!(place.snapshots().await, [SnapshotId::mint(2)]);
    place.vms.cut_power(&place.machine).await.unwrap();
    place.check();
}

async fn up(place: &Place, boot: u64) {
    place.vms.power_on(&place.boot_spec(boot, 256), tap()).await.unwrap();
    let answers = async || matches!(place.agent().await, AgentSeen::Answers { .. });
    eventually("the agent answers", answers).await;
}

#[tokio::test]
async fn a_guest_that_a_killed_server_left_held_is_let_go_at_the_next_look() {
    let mut place = Place::new();
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    up(&place, 1).await;
    // A caller that stops waiting at any moment leaves nobody held, nor the snapshot half made.
    for (number, ms) in [(1, 2), (2, 20), (3, 60), (4, 120)] {
        let limit = Duration::from_millis(ms);
        let _ = tokio::time::timeout(limit, place.disks.ensure_snapshot(&place.machine, &id(number))).await;
        let goes_on = async || !place.file("held").exists();
        eventually("the guest goes on", goes_on).await;
        assert_eq!(asked(&place, "guest-fsfreeze-status", json!({})), "thawed", "after {limit:?}");
        place.take(number).await;
    }
    assert_eq!(place.snapshots().await, [1, 2, 3, 4].map(SnapshotId::mint));

    fs::write(place.file("held"), "").unwrap();
    asked(&place, "guest-fsfreeze-freeze", json!({}));
    place.restarted();
    assert!(
        matches!(place.agent().await, AgentSeen::Answers { os: Some(_) }),
        "held guests do not say who they are"
    );
    assert_eq!(asked(&place, "guest-fsfreeze-status", json!({})), "thawed");
    assert!(!place.file("held").exists());
    inside(&place, "echo on > /root/on; sync").await;
}

/// A disk whose guest counts its boots on it.
async fn counter() -> Place {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    place
}

#[tokio::test]
async fn a_restore_that_a_crash_cut_short_is_finished_by_the_same_call() {
    let place = counter().await;
    place.boot_and_cut(1, 1).await;
    place.take(1).await;
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    place.boot_and_cut(2, 2).await;
    // Killed before the disk was touched; and after it was, when it is small again.
    for (generation, applied) in [(1, false), (2, true)] {
        let note = json!({ "snapshot": id(1), "generation": generation, "size_bytes": 2 * GIB });
        fs::write(place.file("restore.json"), note.to_string()).unwrap();
        fs::write(place.file("unclosed"), "").unwrap();
        if applied {
            must(
                "qemu-img",
                &["snapshot", "-a", id(1).as_str(), &place.file("disk.qcow2").display().to_string()],
            );
        }
        assert_eq!(place.size_and_generation().await, (2 * GIB, generation - 1), "{applied}");
        place.refuses_all_but_the_restore().await;
        place.restore(1, generation).await.unwrap();
        assert_eq!(place.size_and_generation().await, (2 * GIB, generation), "{applied}");
        assert!(!place.file("restore.json").exists() && !place.file("unclosed").exists());
        place.check();
        place.boot_and_cut(3, 2).await;
    }
}

#[tokio::test]
async fn a_call_that_is_killed_at_any_moment_is_finished_by_the_next() {
    let place = counter().await;
    place.boot_and_cut(1, 1).await;
    place.take(1).await;
    place.boot_and_cut(2, 2).await;
    place.take(2).await;
    for (round, ms) in [(1, 1), (2, 5), (3, 10), (4, 15), (5, 20), (6, 30), (7, 45)] {
        let limit = Duration::from_millis(ms);
        let (back, fresh) = (1 + round % 2, 10 + round);
        let _ = tokio::time::timeout(limit, place.restore(back, round)).await;
        place.restored(back, round).await;
        let _ = tokio::time::timeout(limit, place.disks.ensure_snapshot(&place.machine, &id(fresh))).await;
        eventually("it is taken", async || {
            place.disks.ensure_snapshot(&place.machine, &id(fresh)).await.is_ok()
        })
        .await;
        let _ = tokio::time::timeout(limit, place.disks.remove_snapshot(&place.machine, &id(fresh))).await;
        eventually("it is removed", async || {
            place.disks.remove_snapshot(&place.machine, &id(fresh)).await.is_ok()
        })
        .await;
        assert_eq!(place.snapshots().await, [1, 2].map(SnapshotId::mint));
        place.boot_and_cut(3, 1 + back).await;
        place.check();
    }
}

#[tokio::test]
async fn a_qemu_that_is_killed_while_it_takes_snapshots_loses_none_that_was_told() {
    let place = counter().await;
    let mut told = Vec::new();
    for (round, ms) in [(1, 0), (2, 2), (3, 4), (4, 8), (5, 12)] {
        place.power_on(round).await;
        let pid = place.pid().to_string();
        let kill = async {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            must("kill", &["-9", &pid]);
        };
        let snapshot = id(round);
        let (taken, ()) = tokio::join!(place.disks.ensure_snapshot(&place.machine, &snapshot), kill);
        eventually("the machine is off", async || place.power().await == Power::Off).await;
        let there = place.snapshots().await.contains(&id(round));
        assert!(there || taken.is_err(), "{round} was told to be taken");
        place.take(round).await;
        told.push(id(round));
        assert_eq!(place.snapshots().await, told);
        assert!(!place.file("unclosed").exists());
        place.check();
    }
}

#[tokio::test]
async fn snapshots_are_seen_while_they_change_and_a_disk_that_grew_under_its_guest_stays_large() {
    let place = counter().await;
    place.boot_and_cut(1, 1).await;
    place.power_on(2).await;
    place.take(1).await;
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    let changes = async {
        for round in 10..30 {
            place.take(round).await;
            place.remove(round).await;
        }
    };
    let mut looks = 0;
    let looking = async {
        loop {
            let seen = place.snapshots().await;
            assert!(seen[0] == id(1) && seen.len() <= 2, "{seen:?}");
            looks += 1;
        }
    };
    tokio::select! {
        () = changes => {}
        () = looking => {}
    }
    assert!(looks > 20, "{looks}");
    place.hear("boot 2").await;
    place.vms.cut_power(&place.machine).await.unwrap();
    place.restore(1, 1).await.unwrap();
    assert_eq!(place.size_and_generation().await, (2 * GIB, 1));
    place.check();
    place.power_on(3).await;
    assert!(matches!(place.power().await, Power::On { boot: 3, .. }));
}

#[tokio::test]
async fn a_template_of_a_machine_carries_its_disk_into_others() {
    let mut place = counter().await;
    place.boot_and_cut(1, 1).await;
    let (source, original) = (place.machine.clone(), place.template.clone());
    let template = TemplateId::mint(2);
    let capture = CaptureSpec { template: template.clone(), machine: source.clone() };
    // Stopped halfway, and made again.
    for ms in [1, 10, 30] {
        let captured = place.disks.ensure_template_from(&capture);
        let _ = tokio::time::timeout(Duration::from_millis(ms), captured).await;
    }
    // What a killed call has started is not taken for a machine that is on.
    let seen = place.disks.ensure_template_from(&capture).await.unwrap();
    // As a crash leaves it that comes when the image is there already.
    let leftover = place.paths.templates().join(format!("import-{template}"));
    fs::create_dir(&leftover).unwrap();
    assert_eq!(place.disks.ensure_template_from(&capture).await.unwrap(), seen);
    assert_eq!(seen.size_bytes, GIB);
    assert!(seen.used_bytes < 8 * MIB, "it is compact: {seen:?}");
    let facts = fs::metadata(place.paths.template(&template)).unwrap();
    assert_eq!((facts.uid(), facts.permissions().mode() & 0o777), (0, 0o644));
    let names =
        [place.file("disk.qcow2"), place.paths.template(&template)].map(|it| it.display().to_string());
    must("qemu-img", &["compare", "-q", &names[0], &names[1]]);
    assert_eq!(fs::read_dir(place.paths.templates()).unwrap().count(), 2, "nothing is left beside the two");

    let made = [2, 3].map(MachineId::mint);
    for machine in &made {
        let spec = DiskSpec { machine: machine.clone(), template: template.clone(), size_bytes: GIB };
        place.disks.ensure_disk(&spec).await.unwrap();
    }
    place.disks.remove_disk(&source).await.unwrap();
    place.disks.remove_template(&original).await.unwrap();
    place.disks.remove_template(&template).await.unwrap();
    // Each goes on from the source's one boot, by itself.
    for (machine, boots) in [(&made[0], 2), (&made[0], 3), (&made[1], 2)] {
        place.machine = machine.clone();
        place.boot_and_cut(boots, boots).await;
    }
}

#[tokio::test]
async fn a_template_of_a_disk_that_went_back_in_size_keeps_the_larger_one() {
    let place = counter().await;
    place.take(1).await;
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    place.restore(1, 1).await.unwrap();
    let capture = CaptureSpec { template: TemplateId::mint(2), machine: place.machine.clone() };
    assert_eq!(place.disks.ensure_template_from(&capture).await.unwrap().size_bytes, 2 * GIB);
}

fn id(number: u64) -> SnapshotId {
    SnapshotId::mint(number)
}

impl Place {
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.paths.machine(&self.machine).join(name)
    }

    async fn take(&self, number: u64) {
        self.disks.ensure_snapshot(&self.machine, &id(number)).await.unwrap();
    }

    async fn remove(&self, number: u64) {
        self.disks.remove_snapshot(&self.machine, &id(number)).await.unwrap();
    }

    async fn snapshots(&self) -> Vec<SnapshotId> {
        let seen = self.disks.look_snapshots(&self.machine).await.unwrap();
        seen.into_iter().map(|seen| seen.id).collect()
    }

    async fn restore(&self, number: u64, generation: u64) -> deckle_engine::Result<()> {
        let (machine, snapshot) = (self.machine.clone(), id(number));
        self.disks.restore_snapshot(&RestoreSpec { machine, snapshot, generation }).await
    }

    /// What a killed call has started may hold the disk a moment longer.
    async fn restored(&self, number: u64, generation: u64) {
        eventually("it is restored", async || self.restore(number, generation).await.is_ok()).await;
        assert_eq!(self.size_and_generation().await.1, generation);
    }

    async fn size_and_generation(&self) -> (u64, u64) {
        let seen = self.disks.look_disk(&self.machine).await.unwrap().unwrap();
        (seen.size_bytes, seen.generation)
    }

    async fn refuses_all_but_the_restore(&self) {
        let spec = self.boot_spec(9, 64);
        let capture = CaptureSpec { template: TemplateId::mint(2), machine: self.machine.clone() };
        let refused = [
            self.vms.power_on(&spec, tap()).await,
            self.disks.ensure_snapshot(&self.machine, &id(9)).await,
            self.disks.ensure_disk(&self.disk_spec(3 * GIB)).await,
            self.disks.ensure_template_from(&capture).await.map(|_| ()),
        ];
        for refused in refused {
            let told = refused.unwrap_err().told();
            assert!(told.contains("is not finished"), "{told}");
        }
        self.disks.remove_snapshot(&self.machine, &id(1)).await.unwrap_err();
    }

    /// The one-sector guest boots and says which of its boots this is on its disk.
    async fn boot_and_cut(&self, boot: u64, counted: u64) {
        let from = self.console().await.len() as u64;
        self.power_on(boot).await;
        let told = format!("boot {counted}");
        eventually(&told, async || {
            let chunk = self.vms.read_console(&self.machine, from, 4096).await.unwrap();
            String::from_utf8_lossy(&chunk.bytes).contains("boot ")
        })
        .await;
        let chunk = self.vms.read_console(&self.machine, from, 4096).await.unwrap();
        let said = String::from_utf8_lossy(&chunk.bytes).into_owned();
        assert!(said.contains(&told), "{told} instead of {said}");
        assert!(self.file("unclosed").exists());
        self.vms.cut_power(&self.machine).await.unwrap();
        assert!(!self.file("unclosed").exists(), "QEMU did not close the disk");
    }

    /// Nothing in the disk is wrong, nor more lost than what `qemu-img` loses by itself now and then.
    fn check(&self) {
        const LOST_MAX: u64 = 2;
        let disk = self.file("disk.qcow2");
        let output = std::process::Command::new("qemu-img")
            .args(["check", "--output=json", "-f", "qcow2"])
            .arg(disk)
            .output()
            .unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let number = |name: &str| said.get(name).map_or(0, |number| number.as_u64().unwrap());
        assert_eq!((number("corruptions"), number("check-errors")), (0, 0), "{said}");
        assert!(number("leaks") <= LOST_MAX, "{said}");
    }
}
