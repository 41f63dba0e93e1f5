//! Drives as files, copied while clients write to them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use deckle_engine::Result;
use deckle_engine::linux::process::Process;
use deckle_engine::linux::transfers::Counter;
use deckle_engine::specs::{HostNetwork, ShareSpec};
use deckle_engine::transfers::{ExportSpec, ImportSpec, Stored};

use crate::net::world::SOON;

use super::world::{DriveWorld, GIB, MIB, Writing, arrives, does, drive_spec, fetched, file};

#[tokio::test]
async fn a_drive_that_is_written_to_is_copied_whole_and_becomes_another() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let (one, two) = (world.share(&network, "one").await, world.share(&network, "two").await);
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", 5 * MIB);
    does(&guest, &one, &format!("put {} kept", from.display()));
    let mut writing = Writing::begin(&guest, &one, "long");
    writing.go_on();
    arrives(&world.mounted(&one).join("long"));
    let image = folder.path().join("image");
    let (exported, ()) = tokio::join!(export(&world, &one, &image), async { writing.go_on() });
    exported.unwrap();
    writing.go_on();
    let given = writing.end();
    assert!(fetched(&guest, &one, "long", folder.path()) == given, "the client was not disturbed");
    does(&guest, &two, &format!("put {} lost", from.display()));
    assert!(does(&guest, &two, "ls").contains("lost"));
    assert!(!held(&world, &one).exists());
    sound(&image);
    let seen = fs::metadata(&image).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((seen.len(), seen.mode() & 0o777, seen.uid()), (GIB, 0o600, 0));
    assert!(seen.blocks() * 512 < GIB / 4, "holes stay holes: {} blocks", seen.blocks());

    world.drives.ensure(&drive_spec(&two, 2 * GIB)).await.unwrap();
    import(&world, &two, &image, 2 * GIB).await.unwrap();
    assert_eq!(world.shared(&two).await, Some(1));
    assert!(fetched(&guest, &two, "kept", folder.path()) == text);
    assert!(!does(&guest, &two, "ls").contains("lost"));
    does(&guest, &two, &format!("put {} more", from.display()));
    assert!(fetched(&guest, &two, "more", folder.path()) == text, "it can be written to");
    assert_eq!(world.look(&two).await.image.unwrap().size_bytes, 2 * GIB);
    let reserved = fs::metadata(world.image(&two)).unwrap();
    assert!(reserved.blocks() * 512 >= reserved.len());
    let left = names(&world, &two);
    assert_eq!(left, ["image.ext4"]);
    // One that nobody shares is copied as it lies there.
    world.drives.remove_share(&two.drive, &two.network).await.unwrap();
    export(&world, &two, &folder.path().join("off")).await.unwrap();
    sound(&folder.path().join("off"));
    world.drives.ensure_share(&two).await.unwrap();
    assert!(fetched(&guest, &two, "kept", folder.path()) == text);
}

#[tokio::test]
async fn a_drive_that_a_killed_server_left_held_is_let_go() {
    let mut world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", MIB);
    let part = folder.path().join("image.sdone.part");
    let freeze = || {
        fs::write(held(&world, &share), world.mounted(&share).display().to_string()).unwrap();
        let frozen = Command::new("fsfreeze").arg("-f").arg(world.mounted(&share)).status().unwrap();
        assert!(frozen.success());
        fs::write(&part, "half").unwrap();
        let note = serde_json::json!({"files": [part.clone()], "snapshot": null}).to_string();
        fs::write(world.world.paths.drive(&share.drive).join("transfer.json"), note).unwrap();
    };
    freeze();
    world.restart();
    world.drives.clear_left(&share.drive).await.unwrap();
    assert!(!part.exists() && !held(&world, &share).exists());
    does(&guest, &share, &format!("put {} kept", from.display()));
    assert!(fetched(&guest, &share, "kept", folder.path()) == text);
    // Also where nobody looks before it goes.
    let frozen = Command::new("fsfreeze").arg("-f").arg(world.mounted(&share)).status().unwrap();
    assert!(frozen.success());
    world.remove(&share).await;
    assert_eq!(world.drives.look_things().unwrap(), []);
}

#[tokio::test]
async fn an_installation_leaves_also_while_a_client_waits_for_a_drive_that_is_held() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let (folder, left) = (tempfile::tempdir().unwrap(), world.world.paths.drive(&share.drive));
    let (part, fresh) = (folder.path().join("image.sdone.part"), left.join("image.import"));
    for file in [&part, &fresh] {
        fs::write(file, "half").unwrap();
    }
    let note = serde_json::json!({"files": [part.clone(), fresh], "snapshot": null}).to_string();
    fs::write(left.join("transfer.json"), note).unwrap();
    fs::write(held(&world, &share), world.mounted(&share).display().to_string()).unwrap();
    let frozen = Command::new("fsfreeze").arg("-f").arg(world.mounted(&share)).status().unwrap();
    assert!(frozen.success());
    let _writing = Writing::begin(&guest, &share, "new");
    waits(&world, &share);
    world.drives.leave(&HostNetwork::Private(share.network.clone())).await.unwrap();
    world.drives.part_all().await.unwrap();
    assert!(!part.exists());
    assert_eq!(names(&world, &share), ["image.ext4"]);
}

#[tokio::test]
async fn a_file_that_is_damaged_does_not_become_a_drive() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", MIB);
    does(&guest, &share, &format!("put {} kept", from.display()));
    let (whole, torn) = (folder.path().join("whole"), folder.path().join("torn"));
    export(&world, &share, &whole).await.unwrap();
    fs::copy(&whole, &torn).unwrap();
    fs::File::options().write(true).open(&torn).unwrap().set_len(GIB / 2).unwrap();
    let refused = import(&world, &share, &torn, GIB).await.unwrap_err();
    assert!(refused.is_final() && refused.told().contains("cut off"), "{}", refused.told());
    // The inode table is gone.
    use std::os::unix::fs::FileExt;
    let garbage = fs::File::options().write(true).open(&torn).unwrap();
    garbage.set_len(GIB).unwrap();
    garbage.write_all_at(&vec![0xa5; 8 * MIB], 4096).unwrap();
    let refused = import(&world, &share, &torn, GIB).await.unwrap_err();
    assert!(refused.is_final() && refused.told().contains("damaged"), "{}", refused.told());
    assert_eq!(names(&world, &share), ["image.ext4"]);
    assert!(fetched(&guest, &share, "kept", folder.path()) == text);
    does(&guest, &share, "del kept");
    import(&world, &share, &whole, GIB).await.unwrap();
    assert!(fetched(&guest, &share, "kept", folder.path()) == text);
}

#[tokio::test]
async fn a_drive_is_not_copied_to_itself() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let (one, two) = (world.share(&network, "one").await, world.share(&network, "two").await);
    let elsewhere = tempfile::tempdir().unwrap();
    let bound = Command::new("mount").arg("--bind").arg(world.mounted(&one)).arg(elsewhere.path()).status();
    assert!(bound.unwrap().success());
    let mut told = Vec::new();
    for folder in [world.mounted(&one), world.mounted(&two), elsewhere.path().to_owned()] {
        let refused = export(&world, &one, &folder.join("image")).await;
        told.push(refused.map_err(|error| (error.is_final(), error.told().contains("on a shared drive"))));
    }
    let parted = Command::new("umount").arg(elsewhere.path()).status();
    assert!(parted.unwrap().success());
    assert_eq!(told, vec![Err((true, true)); 3]);
    assert_eq!(fs::read_dir(world.mounted(&one)).unwrap().count(), 0);
}

#[tokio::test]
async fn a_drive_that_takes_no_changes_any_more_is_replaced_under_its_clients() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", MIB);
    does(&guest, &share, &format!("put {} kept", from.display()));
    let image = folder.path().join("image");
    export(&world, &share, &image).await.unwrap();
    let mut writing = Writing::begin(&guest, &share, "long");
    writing.go_on();
    arrives(&world.mounted(&share).join("long"));
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    let at = world.mounted(&share).display().to_string();
    let device = table.lines().find(|line| line.contains(&at)).unwrap().split(' ').next().unwrap();
    let fault = format!("/sys/fs/ext4/{}/trigger_fs_error", device.trim_start_matches("/dev/"));
    fs::write(fault, "1").unwrap();
    assert_eq!(world.shared(&share).await, None, "it takes no changes");
    import(&world, &share, &image, GIB).await.unwrap();
    assert_eq!(world.shared(&share).await, Some(1));
    assert!(fetched(&guest, &share, "kept", folder.path()) == text);
}

#[tokio::test]
async fn a_file_that_the_kernel_refuses_does_not_become_a_drive() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", MIB);
    does(&guest, &share, &format!("put {} kept", from.display()));
    let (large, fixed) = (folder.path().join("large"), folder.path().join("fixed"));
    made(&large, &["-O", "casefold", "-b", "65536"]);
    made(&fixed, &[]);
    for change in [&format!("write {} fixed", from.display()), "sif fixed flags 0x80010"] {
        assert!(Command::new("debugfs").args(["-w", "-R", change]).arg(&fixed).status().unwrap().success());
    }
    for (image, why) in [(&large, "does not mount"), (&fixed, "chattr -i")] {
        let refused = import(&world, &share, image, GIB).await.unwrap_err();
        assert!(refused.is_final() && refused.told().contains(why), "{}", refused.told());
        assert_eq!(names(&world, &share), ["image.ext4"]);
        assert!(fetched(&guest, &share, "kept", folder.path()) == text);
    }
    assert_eq!(world.shared(&share).await, Some(1));
    world.remove(&share).await;
    assert_eq!(world.drives.look_things().unwrap(), []);
}

/// Waits until a process of a drive's server waits for the drive.
fn waits(world: &DriveWorld, share: &ShareSpec) {
    let mark = format!("--configfile={}/", world.world.paths.served(&share.network).display());
    let begun = std::time::Instant::now();
    let stuck = |pid: u32| {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        stats.into_iter().any(|stat| stat.contains(") D "))
    };
    while !Process::all(None, &mark).unwrap().iter().any(|process| stuck(process.pid)) {
        assert!(begun.elapsed() < SOON, "nobody waits for the drive");
        std::thread::yield_now();
    }
}

/// Makes an image of an ext4 file system of 256 MiB.
fn made(image: &Path, options: &[&str]) {
    let mut run = Command::new("mkfs.ext4");
    let output = run.args(["-q", "-F"]).args(options).arg(image).arg("256M").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn held(world: &DriveWorld, share: &ShareSpec) -> std::path::PathBuf {
    world.world.paths.drive(&share.drive).join("held")
}

fn names(world: &DriveWorld, share: &ShareSpec) -> Vec<String> {
    let entries = fs::read_dir(world.world.paths.drive(&share.drive)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A file system without a fault, that needs nothing to be mended.
fn sound(image: &Path) {
    let output = Command::new("e2fsck").args(["-f", "-n"]).arg(image).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

async fn export(world: &DriveWorld, share: &ShareSpec, file: &Path) -> Result<()> {
    let of = Stored::Drive(share.drive.clone(), share.network.clone());
    let spec = ExportSpec { of, file: file.to_owned(), replace: false };
    world.drives.export((&share.drive, &share.network), &spec, Arc::<Counter>::default()).await
}

async fn import(world: &DriveWorld, share: &ShareSpec, file: &Path, size_bytes: u64) -> Result<()> {
    let of = Stored::Drive(share.drive.clone(), share.network.clone());
    let spec = ImportSpec { of, file: file.to_owned(), size_bytes };
    world.drives.import((&share.drive, &share.network), &spec, Arc::<Counter>::default()).await
}
