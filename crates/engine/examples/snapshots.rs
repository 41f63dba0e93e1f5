//! What the engine's snapshots of a given disk take: `snapshots DISK GIB ROUNDS`, as root.
//!
//! The disk is taken into an installation of its own, and a machine without a guest runs on it. Prints the
//! milliseconds of each act as JSON. For `cargo xtask bench`.

#![allow(clippy::unwrap_used, reason = "what fails here fails the measurement")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Instant;

use deckle_api::ids::SnapshotId;
use deckle_engine::linux::folder::Folder;
use deckle_engine::linux::vm::running::Running;
use deckle_engine::specs::RestoreSpec;
use serde_json::json;

#[path = "../tests/host/vm/place.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod place;

use place::{GIB, Place, guest_disk};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, disk, gib, rounds] = words.as_slice() else { panic!("usage: snapshots DISK GIB ROUNDS") };
    let place = installed(Path::new(disk), gib.parse().unwrap()).await;
    let rounds: u64 = rounds.parse().unwrap();

    place.power_on(1).await;
    let [mut paused, mut taken, mut removed, mut restored] = [const { Vec::new() }; 4];
    for round in 1..=rounds {
        let snapshot = SnapshotId::mint(round);
        taken.push(timed(place.disks.ensure_snapshot(&place.machine, &snapshot)).await);
        removed.push(timed(place.disks.remove_snapshot(&place.machine, &snapshot)).await);
        paused.push(pause(&place, &snapshot).await);
        place.disks.remove_snapshot(&place.machine, &snapshot).await.unwrap();
    }
    place.vms.cut_power(&place.machine).await.unwrap();
    let snapshot = SnapshotId::mint(0);
    place.disks.ensure_snapshot(&place.machine, &snapshot).await.unwrap();
    for generation in 1..=rounds {
        let (machine, snapshot) = (place.machine.clone(), snapshot.clone());
        let spec = RestoreSpec { machine, snapshot, generation };
        restored.push(timed(place.disks.restore_snapshot(&spec)).await);
    }
    let times = json!({ "pause": paused, "taken while on": taken, "removed while on": removed,
        "restored": restored });
    println!("{times}");
}

/// How long the disk takes no writes while a snapshot is taken, in milliseconds.
async fn pause(place: &Place, snapshot: &SnapshotId) -> f64 {
    let folder = Folder::of(&place.paths, &place.machine);
    let running = Running::find(&folder).unwrap().expect("it is on");
    running.take_snapshot(&folder, snapshot).await.unwrap().as_secs_f64() * 1000.0
}

/// A machine whose disk is that one.
async fn installed(disk: &Path, gib: u64) -> Place {
    let folder = tempfile::tempdir_in(disk.parent().unwrap()).unwrap();
    let (image, place) = (tempfile::tempdir().unwrap(), Place::at(folder.path().join("state"), folder));
    place.take_in(&guest_disk(image.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(gib * GIB)).await.unwrap();
    let there = place.paths.machine(&place.machine).join("disk.qcow2");
    fs::rename(disk, &there).unwrap();
    chown(&there, Some(3_000_001), Some(3_000_001)).unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o600)).unwrap();
    place
}

/// How long a call takes, in milliseconds.
async fn timed(call: impl Future<Output = deckle_engine::Result<()>>) -> f64 {
    let begun = Instant::now();
    call.await.unwrap_or_else(|error| panic!("{}", error.told()));
    begun.elapsed().as_secs_f64() * 1000.0
}
