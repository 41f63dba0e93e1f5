//! Exports and imports by the operator's command, with real guests and a server that is killed meanwhile.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::host::wait;
use super::world::{ORDER, World};

#[test]
fn a_disk_travels_to_another_machine_and_a_killed_server_leaves_nothing_of_an_export() {
    let mut world = World::new();
    let network = world.network("lab");
    let one = world.create("one", json!({"networkId": network}));
    world.done(&one);
    let guest = world.guest(&one.machine);
    guest.run("dd if=/dev/urandom of=big bs=1M count=16 2>/dev/null; md5sum big > sum");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk").display().to_string();
    let no_more = || wait("nothing is left", ORDER, || names(folder.path()).is_empty().then_some(()));
    for ms in [20, 150, 400, 800] {
        world.deckle(&["admin", "export", "machine", &one.machine, &file, "--no-wait"]);
        thread::sleep(Duration::from_millis(ms));
        world.kill();
        // One that was at its end has made its file.
        let _ = fs::remove_file(&file);
        world.restart();
        no_more();
        assert_eq!(guest.run("echo on"), "on", "after {ms} ms");
        let snapshots = super::host::run("qemu-img", &["snapshot", "-U", "-l", &disk(&world, &one.machine)]);
        assert_eq!(snapshots.trim(), "", "after {ms} ms");
    }
    world.deckle(&["admin", "export", "machine", &one.machine, &file]);
    let other = world.create("other", json!({"networkId": network, "startOnCreate": false}));
    world.done(&other);
    world.deckle(&["admin", "import", "machine", &other.machine, &file, "--yes"]);
    world.done(&world.order("start", &other.machine));
    let copy = world.guest(&other.machine);
    assert_eq!(copy.run("md5sum -c sum").trim(), "big: OK");
    assert_eq!(guest.run("md5sum -c sum").trim(), "big: OK");
    assert_eq!(names(folder.path()), ["disk"]);
    world.end();
}

fn disk(world: &World, machine: &str) -> String {
    world.installation().state.join("machines").join(machine).join("disk.qcow2").display().to_string()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
