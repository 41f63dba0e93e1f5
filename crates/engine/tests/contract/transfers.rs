//! Promises on what users have stored as files.

use std::fs;
use std::path::{Path, PathBuf};

use deckle_engine::Result;
use deckle_engine::seen::{DiskSeen, Power};
use deckle_engine::specs::DiskSpec;
use deckle_engine::transfers::{ExportSpec, ImportSpec, Stored};

use super::case::assert_final;
use super::{Case, GIB, Host};

pub async fn a_disk_becomes_a_file_and_the_file_another_disk(host: &Host) {
    let (case, folder) = (Case::new(host), tempfile::tempdir().unwrap());
    let other = case.neighbour();
    let file = folder.path().join("disk");
    assert_final(case.export(case.disk(), &file, false).await);
    case.engine().ensure_disk(&case.disk_spec().await).await.unwrap();
    assert_eq!(case.engine().look_transfer(&case.disk()).await.unwrap(), None);
    case.export(case.disk(), &file, false).await.unwrap();
    let whole = fs::read(&file).unwrap();
    assert_final(case.export(case.disk(), &file, false).await);
    assert_eq!(fs::read(&file).unwrap(), whole, "a file that is there stays");
    fs::write(&file, "old").unwrap();
    case.export(case.disk(), &file, true).await.unwrap();
    assert_ne!(fs::read(&file).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["disk"]);
    case.engine().remove_disk(&case.machine).await.unwrap();

    let larger = DiskSpec { size_bytes: case.disk_spec().await.size_bytes + GIB, ..other.disk_spec().await };
    assert_final(other.import(other.disk(), &file, larger.size_bytes).await);
    other.engine().ensure_disk(&larger).await.unwrap();
    for _ in 0..2 {
        other.import(other.disk(), &file, larger.size_bytes).await.unwrap();
        assert_eq!(other.disk_seen().await.size_bytes, larger.size_bytes, "a disk never shrinks");
    }
    assert_final(case.export(case.disk(), &folder.path().join("gone"), false).await);
    other.clear().await;
    case.clear().await;
    assert_eq!(names(folder.path()), ["disk"]);
}

pub async fn a_machine_that_is_on_is_exported_and_not_replaced(host: &Host) {
    let (case, folder) = (Case::new(host), tempfile::tempdir().unwrap());
    let file = folder.path().join("disk");
    case.make().await;
    case.engine().power_on(&case.boot_spec(1)).await.unwrap();
    let before = case.seen().await.power;
    assert!(matches!(before, Power::On { .. }), "{before:?}");
    case.export(case.disk(), &file, false).await.unwrap();
    assert_eq!((case.seen().await.power, case.snapshots().await), (before, vec![]));
    let size_bytes = case.disk_seen().await.size_bytes;
    let refused = case.import(case.disk(), &file, size_bytes).await.unwrap_err().told();
    assert!(refused.contains("its power is on"), "{refused}");
    assert_eq!(case.seen().await.power, before);
    case.engine().cut_power(&case.machine).await.unwrap();
    case.import(case.disk(), &file, size_bytes).await.unwrap();
    case.engine().power_on(&case.boot_spec(2)).await.unwrap();
    case.clear().await;
}

pub async fn a_file_that_cannot_be_a_disk_changes_nothing(host: &Host) {
    let (case, folder) = (Case::new(host), tempfile::tempdir().unwrap());
    let (file, letter) = (folder.path().join("disk"), folder.path().join("letter"));
    let spec = case.disk_spec().await;
    case.engine().ensure_disk(&spec).await.unwrap();
    case.export(case.disk(), &file, false).await.unwrap();
    fs::write(&letter, "Dear host, I am a disk.").unwrap();
    let before = case.disk_seen().await;
    for wrong in [&letter, &folder.path().join("none"), &folder.path().to_owned()] {
        assert_final(case.import(case.disk(), wrong, spec.size_bytes).await);
        assert_eq!(case.disk_seen().await, before, "{}", wrong.display());
    }
    let small = case.neighbour();
    let template = case.engine().look_template(&host.template).await.unwrap().unwrap();
    let less = DiskSpec { size_bytes: template.size_bytes, ..small.disk_spec().await };
    small.engine().ensure_disk(&less).await.unwrap();
    let refused = small.import(small.disk(), &file, less.size_bytes).await.unwrap_err();
    assert!(refused.is_final(), "{}", refused.told());
    for size in [spec.size_bytes, less.size_bytes] {
        assert!(refused.told().contains(&size.to_string()), "{}", refused.told());
    }
    case.take(1).await;
    let refused = case.import(case.disk(), &file, spec.size_bytes).await.unwrap_err();
    let named = refused.told().contains(case.snapshot(1).as_str());
    assert!(refused.is_final() && named, "{}", refused.told());
    assert_eq!(case.snapshots().await, [case.snapshot(1)]);
    small.clear().await;
    case.clear().await;
}

pub async fn a_drive_becomes_a_file_and_the_file_another_drive(host: &Host) {
    let (case, folder) = (Case::new(host), tempfile::tempdir().unwrap());
    let other = case.neighbour();
    let file = folder.path().join("drive");
    assert_final(case.export(case.stored_drive(), &file, false).await);
    case.plug().await;
    case.engine().ensure_drive(&case.drive_spec(GIB)).await.unwrap();
    case.engine().ensure_share(&case.share_spec()).await.unwrap();
    case.export(case.stored_drive(), &file, false).await.unwrap();
    assert_final(case.export(case.stored_drive(), &file, false).await);
    case.export(case.stored_drive(), &file, true).await.unwrap();
    let shared = case.drive_seen().await;
    assert!(shared.share.is_some(), "{shared:?}");
    assert_eq!(names(folder.path()), ["drive"]);

    assert_final(other.import(other.stored_drive(), &file, 2 * GIB).await);
    other.engine().ensure_drive(&other.drive_spec(2 * GIB)).await.unwrap();
    other.import(other.stored_drive(), &file, 2 * GIB).await.unwrap();
    assert_eq!(other.drive_seen().await.image.map(|image| image.size_bytes), Some(2 * GIB));
    other.engine().ensure_share(&other.share_spec()).await.unwrap();
    let before = other.drive_seen().await;
    other.import(other.stored_drive(), &file, 2 * GIB).await.unwrap();
    assert_eq!(other.drive_seen().await, before, "it is shared as before");
    other.clear_drive().await;
    case.clear_drive().await;
    other.clear().await;
    case.clear().await;
}

pub async fn a_file_that_cannot_be_a_drive_changes_nothing(host: &Host) {
    let (case, folder) = (Case::new(host), tempfile::tempdir().unwrap());
    let (file, letter) = (folder.path().join("drive"), folder.path().join("letter"));
    case.plug().await;
    case.engine().ensure_drive(&case.drive_spec(2 * GIB)).await.unwrap();
    case.export(case.stored_drive(), &file, false).await.unwrap();
    fs::write(&letter, "Dear host, I am a drive.").unwrap();
    let small = case.neighbour();
    small.engine().ensure_drive(&small.drive_spec(GIB)).await.unwrap();
    small.engine().ensure_share(&small.share_spec()).await.unwrap();
    let before = small.drive_seen().await;
    for wrong in [&file, &letter, &folder.path().join("none"), &folder.path().to_owned()] {
        assert_final(small.import(small.stored_drive(), wrong, GIB).await);
        assert_eq!(small.drive_seen().await, before, "{}", wrong.display());
    }
    small.clear_drive().await;
    case.clear_drive().await;
    small.clear().await;
    case.clear().await;
}

impl Case<'_> {
    fn disk(&self) -> Stored {
        Stored::Disk(self.machine.clone())
    }

    fn stored_drive(&self) -> Stored {
        Stored::Drive(self.drive.clone(), self.private_network().clone())
    }

    async fn export(&self, of: Stored, file: &Path, replace: bool) -> Result<()> {
        self.engine().export(&ExportSpec { of, file: file.to_owned(), replace }).await
    }

    async fn import(&self, of: Stored, file: &Path, size_bytes: u64) -> Result<()> {
        self.engine().import(&ImportSpec { of, file: PathBuf::from(file), size_bytes }).await
    }

    async fn disk_seen(&self) -> DiskSeen {
        self.seen().await.disk.unwrap()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
