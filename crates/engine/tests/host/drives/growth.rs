//! Drives that grow, and those that cannot.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, thread};

use super::world::{
    DriveWorld, GIB, MIB, Writing, arrives, client_in, does, drive_spec, fetched, file, said,
};

#[tokio::test]
async fn a_drive_s_blocks_are_its_own_from_the_start() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let share = world.share(&network, "one").await;
    let reserved = || {
        let image = fs::metadata(world.image(&share)).unwrap();
        (image.len(), image.blocks() * 512 >= image.len())
    };
    assert_eq!(reserved(), (GIB, true));
    world.drives.ensure(&drive_spec(&share, 2 * GIB)).await.unwrap();
    assert_eq!(reserved(), (2 * GIB, true));
    let mounted = fs::read_to_string("/proc/self/mounts").unwrap();
    let line = mounted.lines().find(|line| line.contains("/sdone ")).unwrap();
    assert!(["nosuid", "nodev", "noexec"].iter().all(|flag| line.contains(flag)), "{line}");
}

#[tokio::test]
async fn a_drive_grows_while_clients_come_and_a_neighbour_writes() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let (guest, other) = (world.guest(&network, 9).await, world.guest(&network, 10).await);
    let (share, neighbour) = (world.share(&network, "one").await, world.share(&network, "two").await);
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", 2 * MIB);
    does(&guest, &share, &format!("put {} kept", from.display()));
    // One who holds a file of the drive open is cut off; one who only works next to it is not.
    let mut holding = Writing::begin(&guest, &share, "held");
    holding.go_on();
    let mut writing = Writing::begin(&other, &neighbour, "long");
    writing.go_on();
    arrives(&world.mounted(&neighbour).join("long"));
    arrives(&world.mounted(&share).join("held"));

    let grown = Arc::new(AtomicBool::new(false));
    let asking = {
        let (namespace, share, grown) = (guest.namespace.clone(), share.clone(), grown.clone());
        thread::spawn(move || {
            let mut told = Vec::new();
            while !grown.load(Ordering::Relaxed) {
                told.push(said(client_in(
                    &namespace,
                    &share,
                    (&share.username, &share.password),
                    &["-c", "ls"],
                )));
            }
            told
        })
    };
    let done = world.drives.ensure(&drive_spec(&share, 2 * GIB)).await;
    grown.store(true, Ordering::Relaxed);
    done.unwrap();
    for told in asking.join().unwrap() {
        assert!(told.contains("kept"), "a client that came meanwhile: {told}");
    }
    drop(holding);
    writing.go_on();
    let seen = world.look(&share).await;
    assert_eq!(seen.image.unwrap().size_bytes, 2 * GIB);
    assert!(seen.share.is_some());
    assert!(fetched(&guest, &share, "kept", folder.path()) == text);
    let given = writing.end();
    assert!(fetched(&other, &neighbour, "long", folder.path()) == given);
}

#[tokio::test]
async fn a_drive_that_does_not_fit_stays_as_it_is() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let share = world.share(&network, "one").await;
    let before = world.look(&share).await;
    let error = world.drives.ensure(&drive_spec(&share, 1 << 50)).await.unwrap_err();
    assert!(error.is_final() && error.told().contains("MiB of them are missing"), "{}", error.told());
    assert_eq!(world.look(&share).await, before);
    assert_eq!(fs::metadata(world.image(&share)).unwrap().len(), GIB);
}
