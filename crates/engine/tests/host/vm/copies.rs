//! Disks as files, with a real guest that writes all the while, and copies that are cut off.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deckle_api::ids::{MachineId, SnapshotId};
use deckle_engine::Result;
use deckle_engine::linux::transfers::Counter;
use deckle_engine::seen::{AgentSeen, DiskSeen};
use deckle_engine::transfers::{ExportSpec, ImportSpec, Stored};

use crate::vm::inside::inside;
use crate::vm::place::{GIB, MIB, Place, eventually, guest_disk, must, tap};
use crate::vm::small_guest::image;

/// Each number is first in one file and then in the other; both are written out before the next.
const WRITES: &str = "setsid sh -c 'i=0; while :; do i=$((i+1)); for f in a b; do \
                      echo $i > /root/t; mv /root/t /root/$f; sync; done; done' \
                      >/dev/null 2>&1 & dd if=/dev/urandom of=/root/big bs=1M count=24 2>/dev/null; \
                      md5sum /root/big > /root/sum; sync";

#[tokio::test]
async fn a_guest_that_writes_is_copied_as_it_was_at_one_moment() {
    let (mut place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("disk");
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    up(&place).await;
    begin_writing(&place).await;
    let count = async || inside(&place, "cat /root/b").await.parse::<u64>().unwrap();
    let before = count().await;
    // Nobody but root may go where the file is to lie, and QEMU's tool writes it all the same.
    export(&place, &file).await.unwrap();
    let after = count().await;
    eventually("the guest writes on", async || count().await > after).await;
    assert_eq!((place.snapshots_left().await, names(folder.path())), (vec![], vec!["disk".to_owned()]));
    must("qemu-img", &["check", "-q", &file.display().to_string()]);

    place.vms.cut_power(&place.machine).await.unwrap();
    place.machine = MachineId::mint(2);
    place.disks.ensure_disk(&place.disk_spec(3 * GIB)).await.unwrap();
    import(&place, &file, 3 * GIB).await.unwrap();
    assert_eq!(place.disk().await.size_bytes, 3 * GIB);
    up(&place).await;
    let said = inside(&place, "cat /root/a /root/b; md5sum -c /root/sum; mount | grep ' / '").await;
    let mut words = said.split_whitespace();
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (a, b) = (number(), number());
    assert!((before..=after + 1).contains(&b) && (a == b || a == b + 1), "{before} {after}: {said}");
    assert!(said.contains("/root/big: OK"), "{said}");
    place.vms.cut_power(&place.machine).await.unwrap();
    must("qemu-img", &["check", "-q", &place.folder().join("disk.qcow2").display().to_string()]);
}

#[tokio::test]
async fn what_a_file_says_nothing_of_reads_as_zeros_and_not_as_the_template() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name).display().to_string();
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    // Shorter than the template, and almost empty.
    for (number, format) in ["raw", "qcow2"].iter().enumerate() {
        let raw = guest_disk(folder.path(), false);
        must("qemu-img", &["convert", "-f", "raw", "-O", format, &raw.display().to_string(), &at("small")]);
        import(&place, Path::new(&at("small")), 2 * GIB).await.unwrap();
        let disk = place.folder().join("disk.qcow2");
        let (disk, flat) = (disk.display().to_string(), at("flat"));
        must("qemu-img", &["convert", "-f", "qcow2", "-O", "raw", &disk, &flat]);
        fs::File::options().write(true).open(&raw).unwrap().set_len(2 * GIB).unwrap();
        must("cmp", &[&raw.display().to_string(), &flat]);
        place.power_on(number as u64 + 1).await;
        place.hear(&format!("boot {}", 1)).await;
        place.vms.cut_power(&place.machine).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_that_is_cut_off_at_any_moment_leaves_nothing() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("disk");
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    up(&place).await;
    begin_writing(&place).await;
    let cleared = async || {
        place.disks.clear_transfer(&place.machine).await.unwrap();
        assert!(!place.folder().join("transfer.json").exists());
        place.snapshots_left().await
    };
    for ms in [3, 30, 100, 200, 400] {
        let _ = tokio::time::timeout(Duration::from_millis(ms), export(&place, &file)).await;
        // What the dropped call has asked of QEMU may come a moment later.
        eventually("no snapshot is left", async || cleared().await.is_empty()).await;
        let left = names(folder.path());
        assert!(left.is_empty() || left == ["disk"], "after {ms} ms: {left:?}");
        let _ = fs::remove_file(&file);
    }
    export(&place, &file).await.unwrap();
    place.vms.cut_power(&place.machine).await.unwrap();
    let letters = |disk: &DiskSeen| disk.size_bytes;
    for ms in [3, 50, 150, 300, 600] {
        let _ = tokio::time::timeout(Duration::from_millis(ms), import(&place, &file, 2 * GIB)).await;
        assert_eq!(cleared().await, []);
        assert_eq!(letters(&place.disk().await), 2 * GIB);
        assert!(!place.folder().join("disk.import").exists());
        assert_eq!(fs::read_dir(place.paths.templates()).unwrap().count(), 1);
        must("qemu-img", &["check", "-q", &place.folder().join("disk.qcow2").display().to_string()]);
    }
    up(&place).await;
    assert!(inside(&place, "md5sum -c /root/sum").await.contains("/root/big: OK"));
}

#[tokio::test]
async fn a_file_that_leads_elsewhere_is_not_taken_for_a_disk() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    must("qemu-img", &["create", "-q", "-f", "qcow2", &at("base"), "64M"]);
    must("qemu-img", &["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", &at("base"), &at("overlay")]);
    let data = format!("data_file={}", at("data"));
    must("qemu-img", &["create", "-q", "-f", "qcow2", "-o", &data, &at("outside"), "64M"]);
    let before = fs::read(place.folder().join("disk.qcow2")).unwrap();
    for (name, told) in [("overlay", "overlay of"), ("outside", "in another file")] {
        let refused = import(&place, Path::new(&at(name)), GIB).await.unwrap_err();
        assert!(refused.is_final() && refused.told().contains(told), "{}", refused.told());
    }
    assert!(fs::read(place.folder().join("disk.qcow2")).unwrap() == before);
    assert_eq!(place.disk().await.size_bytes, GIB.max(64 * MIB));
    let inside = place.paths.state().join("disk");
    let refused = export(&place, &inside).await.unwrap_err();
    assert!(refused.is_final() && refused.told().contains("state folder"), "{}", refused.told());
}

async fn begin_writing(place: &Place) {
    inside(place, WRITES).await;
    eventually("the guest writes", async || !inside(place, "cat /root/b").await.is_empty()).await;
}

async fn up(place: &Place) {
    place.vms.power_on(&place.boot_spec(1, 256), tap()).await.unwrap();
    let answers = async || matches!(place.agent().await, AgentSeen::Answers { .. });
    eventually("the agent answers", answers).await;
}

async fn export(place: &Place, file: &Path) -> Result<()> {
    let of = Stored::Disk(place.machine.clone());
    let spec = ExportSpec { of, file: file.to_owned(), replace: false };
    place.disks.export(&place.machine, &spec, &Counter::default()).await
}

async fn import(place: &Place, file: &Path, size_bytes: u64) -> Result<()> {
    let of = Stored::Disk(place.machine.clone());
    let spec = ImportSpec { of, file: file.to_owned(), size_bytes };
    place.disks.import_disk(&place.machine, &spec, &Counter::default()).await
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

impl Place {
    async fn snapshots_left(&self) -> Vec<SnapshotId> {
        let seen = self.disks.look_snapshots(&self.machine).await.unwrap();
        seen.into_iter().map(|seen| seen.id).collect()
    }

    async fn disk(&self) -> DiskSeen {
        self.disks.look_disk(&self.machine).await.unwrap().unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.paths.machine(&self.machine)
    }
}
