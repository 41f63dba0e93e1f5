//! What breaks or was left half done is seen, and made whole by asking again.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;

use deckle_engine::seen::{DriveImageSeen, DriveSeen, Loss, NetworkSeen};
use deckle_engine::specs::{HostNetwork, ShareSpec};

use super::world::{DriveWorld, GIB, MIB, does, drive_spec, fetched, file, share_spec};
use crate::net::world::{done, ip};

/// How long a killed server may stay unnoticed.
const NOTICED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_killed_server_is_noticed_and_serves_again() {
    let mut world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let (one, two) = (world.share(&network, "one").await, world.share(&network, "two").await);
    for restarted in [false, true] {
        if restarted {
            world.restart();
            assert_eq!(world.shared(&one).await, Some(1), "a look is enough to watch over it again");
        }
        let folder = tempfile::tempdir().unwrap();
        let (from, text) = file(folder.path(), "from", MIB);
        let mut held = super::world::Writing::begin(&guest, &one, "held");
        held.go_on();
        super::world::arrives(&world.mounted(&one).join("held"));
        let before = world.servers(&one.network);
        assert!(before.len() > 1, "a client has a process of its own");
        before[0].kill(NOTICED).await.unwrap();
        let lost = tokio::time::timeout(NOTICED, world.losses.next()).await.unwrap();
        assert_eq!(lost, Loss::Server(network.network.clone()));
        assert_eq!(world.shared(&one).await, None);

        world.drives.ensure_share(&one).await.unwrap();
        for process in before {
            assert!(!process.lives().unwrap(), "one of the old server's is left");
        }
        assert_eq!((world.shared(&one).await, world.shared(&two).await), (Some(1), Some(1)));
        does(&guest, &one, &format!("put {} kept", from.display()));
        assert!(fetched(&guest, &one, "kept", folder.path()) == text);
        assert!(does(&guest, &two, "ls").contains("blocks available"));
        drop(held);
    }
}

/// Damages a shared drive, sees that it is seen, and mends it.
async fn break_and_mend(damage: impl AsyncFn(&DriveWorld, &ShareSpec)) {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let share = world.share(&network, "one").await;
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", MIB);
    {
        let guest = world.guest(&network, 9).await;
        does(&guest, &share, &format!("put {} kept", from.display()));
    }
    damage(&world, &share).await;
    assert_eq!(world.shared(&share).await, None);
    for _ in 0..2 {
        world.world.net.ensure_network(&network).await.unwrap();
        world.drives.ensure(&drive_spec(&share, GIB)).await.unwrap();
        world.drives.ensure_share(&share).await.unwrap();
        assert_eq!(world.shared(&share).await, Some(1));
    }
    assert_eq!(world.world.net.look_network(&network).await.unwrap(), NetworkSeen::Whole);
    let guest = world.guest(&network, 9).await;
    assert!(fetched(&guest, &share, "kept", folder.path()) == text);
    drop(guest);
    world.remove(&share).await;
    assert_eq!(world.drives.look_things().unwrap(), []);
}

async fn end_all(world: &DriveWorld, share: &ShareSpec) {
    for process in world.servers(&share.network) {
        process.kill(NOTICED).await.unwrap();
    }
}

#[tokio::test]
async fn a_mount_without_a_server_is_served_again() {
    break_and_mend(async |world, share| {
        end_all(world, share).await;
    })
    .await;
}

#[tokio::test]
async fn a_server_without_its_files_is_made_anew() {
    break_and_mend(async |world, share| {
        let folder = world.world.paths.served(&share.network);
        fs::remove_file(folder.join("shares.conf")).unwrap();
        fs::remove_file(folder.join("smb.conf")).unwrap();
        fs::remove_dir_all(folder.join("shares")).unwrap();
        fs::remove_dir_all(folder.join("etc")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_a_reboot_of_the_host_takes_comes_back() {
    break_and_mend(async |world, share| {
        let network = HostNetwork::Private(share.network.clone());
        world.drives.leave(&network).await.unwrap();
        world.world.net.remove_network(&network).await.unwrap();
        assert!(!world.world.paths.run().exists());
    })
    .await;
}

#[tokio::test]
async fn a_lost_mount_is_mounted_again() {
    break_and_mend(async |world, share| {
        done("umount", &[&world.mounted(share).display().to_string()]);
    })
    .await;
}

/// As the kernel does it where it finds an error in the file system.
#[tokio::test]
async fn a_drive_that_takes_no_changes_any_more_is_mounted_anew() {
    break_and_mend(async |world, share| {
        let at = world.mounted(share).display().to_string();
        done("mount", &["-o", "remount,ro", &at]);
    })
    .await;
}

#[tokio::test]
async fn a_lost_address_comes_back() {
    break_and_mend(async |world, share| {
        let namespace = world.world.paths.namespace(&HostNetwork::Private(share.network.clone()));
        ip(&format!("-n {namespace} address delete 10.64.8.2/32 dev br0"));
    })
    .await;
}

#[tokio::test]
async fn a_lost_namespace_is_made_again_and_served_in() {
    break_and_mend(async |world, share| {
        let namespace = world.world.paths.namespace(&HostNetwork::Private(share.network.clone()));
        done("ip", &["netns", "delete", &namespace]);
    })
    .await;
}

#[tokio::test]
async fn a_growth_that_was_cut_off_is_finished() {
    break_and_mend(async |world, share| {
        // The file has grown, its file system has not, and clients are kept away.
        fs::File::options().write(true).open(world.image(share)).unwrap().set_len(2 * GIB).unwrap();
        fs::write(world.world.paths.served(&share.network).join("paused"), share.drive.as_str()).unwrap();
        let seen = world.look(share).await;
        assert_eq!(seen.image, Some(DriveImageSeen { size_bytes: GIB }), "half a growth is none");
        world.drives.ensure(&drive_spec(share, 2 * GIB)).await.unwrap();
        assert_eq!(world.look(share).await.image, Some(DriveImageSeen { size_bytes: 2 * GIB }));
        // It comes back by itself where the growth ends, so that what follows is a pause that was left.
        fs::write(world.world.paths.served(&share.network).join("paused"), share.drive.as_str()).unwrap();
    })
    .await;
}

#[tokio::test]
async fn half_an_image_is_none() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let share = share_spec(&network, "one", "first", 1);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(world.world.paths.drive(&share.drive)).unwrap();
    fs::write(world.image(&share).with_extension("new"), vec![7; MIB]).unwrap();
    assert_eq!(world.look(&share).await, DriveSeen::default());
    world.drives.ensure(&drive_spec(&share, GIB)).await.unwrap();
    world.drives.ensure_share(&share).await.unwrap();
    assert_eq!(world.shared(&share).await, Some(1));
    let names: Vec<_> = fs::read_dir(world.world.paths.drive(&share.drive)).unwrap().collect();
    assert_eq!(names.len(), 1);
    fs::write(world.image(&share).with_extension("new"), vec![7; MIB]).unwrap();
    world.remove(&share).await;
    assert!(!world.world.paths.drive(&share.drive).exists());
}

#[tokio::test]
async fn a_mending_of_the_network_leaves_its_drives_alone() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let mut writing = super::world::Writing::begin(&guest, &share, "long");
    writing.go_on();
    let namespace = world.world.paths.namespace(&network.network);
    ip(&format!("-n {namespace} address delete 10.64.8.1/24 dev br0"));
    assert_eq!(world.world.net.look_network(&network).await.unwrap(), NetworkSeen::Broken);
    for _ in 0..2 {
        world.world.net.ensure_network(&network).await.unwrap();
        assert_eq!(world.world.net.look_network(&network).await.unwrap(), NetworkSeen::Whole);
        assert_eq!(world.shared(&share).await, Some(1));
        writing.go_on();
    }
    let folder = tempfile::tempdir().unwrap();
    let given = writing.end();
    assert!(fetched(&guest, &share, "long", folder.path()) == given);
}

#[tokio::test]
async fn a_removed_network_takes_its_server_along_and_leaves_the_image() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let share = world.share(&network, "one").await;
    for _ in 0..2 {
        world.drives.leave(&network.network).await.unwrap();
        world.world.net.remove_network(&network.network).await.unwrap();
    }
    let image = Some(DriveImageSeen { size_bytes: GIB });
    assert_eq!(world.look(&share).await, DriveSeen { image, share: None });
    let kinds: Vec<_> = world.drives.look_things().unwrap().into_iter().map(|thing| thing.kind).collect();
    assert_eq!(kinds, ["file"]);
}
