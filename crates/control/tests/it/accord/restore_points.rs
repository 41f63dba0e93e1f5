//! Disks that go back to a snapshot whenever their machines shut down.

use deckle_api::ids::MachineId;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault};
use deckle_engine::seen::DiskSeen;
use deckle_engine::specs::{HostNetwork, RestoreSpec};
use serde_json::{Value, json};

use super::{HOUR_S, events, is_on, put};
use crate::broken_host::order;
use crate::world::World;

/// A world with a machine that goes back to its initial snapshot, and whose guest leaves a mark on its disk
/// each time that it boots.
async fn kiosk(changes: Value) -> (World, MachineId) {
    let world = World::new().await;
    let mut wanted = json!({"restorePointEnabled": true, "startupScriptId": marking(&world).await});
    for (field, value) in changes.as_object().unwrap() {
        wanted[field] = value.clone();
    }
    let id = world.create(wanted).await;
    world.settle().await;
    (world, id)
}

/// A script that a guest runs at its next boot, once in its life.
async fn marking(world: &World) -> Value {
    let script = json!({"name": "mark", "script": "touch /mark", "isRunOnce": true});
    world.ok("POST /v1/startup-scripts", script).await["id"].clone()
}

/// Has a guest leave another mark on its disk at its next boot.
async fn mark_again(world: &World, id: &MachineId) {
    let script = marking(world).await;
    world
        .ok(
            &format!("POST /v1/startup-scripts/{}/assign", script.as_str().unwrap()),
            json!({"machineId": id}),
        )
        .await;
}

/// Whether the guest has left its mark on the disk: that of its last boot at most.
fn is_marked(world: &World, id: &MachineId) -> bool {
    let host = world.host.dump();
    let line = host
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("{id}: ")) && line.contains("GiB on"));
    let marks = line.unwrap().matches(", ran sc").count();
    assert!(marks <= 1, "{host}");
    marks == 1
}

async fn disk(world: &World, id: &MachineId) -> DiskSeen {
    world.host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap().disk.unwrap()
}

async fn restores(world: &World, id: &MachineId) -> u64 {
    disk(world, id).await.generation
}

#[tokio::test]
async fn a_new_machine_begins_with_its_restore_point() {
    let (world, id) = kiosk(json!({"takeInitialSnapshot": true, "restorePointFrequency": "shutdown"})).await;
    let initial = world.host.look_snapshots(&id).await.unwrap();
    assert_eq!(initial.len(), 1);
    let machine = world.machine(&id).await;
    assert_eq!(machine.restore_point_snapshot_id.as_ref(), Some(&initial[0].id));
    assert!(is_marked(&world, &id) && restores(&world, &id).await == 0);
}

#[tokio::test]
async fn every_shutdown_takes_the_disk_back() {
    let (world, id) = kiosk(json!({"autoShutdownEnabled": true})).await;
    let start = async || {
        mark_again(&world, &id).await;
        order(&world, "start", &id).await;
        world.settle().await;
        assert!(is_marked(&world, &id));
    };
    // Stopped, at its request.
    order(&world, "stop", &id).await;
    world.settle().await;
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 1);
    // Started again: a boot of a disk that was taken back.
    start().await;
    mark_again(&world, &id).await;
    order(&world, "restart", &id).await;
    world.settle().await;
    assert!(is_marked(&world, &id) && restores(&world, &id).await == 2);
    // By its guest.
    world.host.guest_powers_off(&id);
    world.drift().await;
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 3);
    // By itself, cleanly and by force.
    for (nth, force) in [(4, false), (5, true)] {
        put(&world, &id, json!({"autoShutdownForce": force})).await;
        start().await;
        world.live_seconds(HOUR_S + 1).await;
        assert!(!is_on(&world, &id).await && !is_marked(&world, &id));
        assert_eq!(restores(&world, &id).await, nth);
    }
    // A guest that does not hear.
    start().await;
    world.host.deaf(&id, true);
    order(&world, "stop", &id).await;
    world.settle().await;
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 6);
    world.host.deaf(&id, false);
    // In a move.
    start().await;
    let lab = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    world.ok(&format!("PUT /v1/machines/{id}"), json!({"networkId": lab["id"]})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "vm-migrate done".into()));
    assert_eq!(restores(&world, &id).await, 7);
    assert!(events(&world, &id).await.iter().all(|event| event.ends_with(" done")));
}

/// A restore that somebody asks for goes where it is to, and the next shutdown back to the restore point.
#[tokio::test]
async fn a_restore_that_is_asked_for_wins() {
    let (world, id) = kiosk(json!({})).await;
    let wanted = json!({"name": "marked", "machineId": id});
    let taken = world.ok("POST /v1/snapshots", wanted).await["data"]["id"].clone();
    world.settle().await;
    let restore = format!("POST /v1/snapshots/{}/restore", taken.as_str().unwrap());
    world.ok(&restore, json!({})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-restore done".into()));
    assert!(is_marked(&world, &id) && restores(&world, &id).await == 1);
    order(&world, "stop", &id).await;
    world.settle().await;
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 2);
    let point = json!({"restorePointSnapshotId": taken});
    world.ok(&format!("PUT /v1/machines/{id}"), point).await;
    let gone = world.call(&format!("DELETE /v1/snapshots/{}", taken.as_str().unwrap()), Value::Null).await;
    assert_eq!(gone.error().0, 412, "{}", gone.body);
    assert!(gone.error().2.contains(&format!("is the restore point of {id}")), "{}", gone.body);
}

/// What never ran has not shut down.
#[tokio::test]
async fn a_start_that_fails_takes_no_disk_back() {
    let world = World::new().await;
    let wanted = json!({"takeInitialSnapshot": true, "startupScriptId": marking(&world).await});
    let id = world.create(wanted).await;
    world.settle().await;
    order(&world, "stop", &id).await;
    world.settle().await;
    put(&world, &id, json!({"restorePointEnabled": true})).await;
    for call in [Call::LookCapacity, Call::EnsureNetwork, Call::PowerOn] {
        world.host.fail_always(Some((call, Fault::Final)));
        order(&world, "start", &id).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("off".into(), "start error".into()), "{call:?}");
        assert!(is_marked(&world, &id) && restores(&world, &id).await == 0, "{call:?}");
    }
    world.host.fail_always(None);
    order(&world, "start", &id).await;
    world.settle().await;
    assert!(is_marked(&world, &id));
    order(&world, "stop", &id).await;
    world.settle().await;
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 1);
}

/// A disk and its row that were brought back from a backup, each of another day.
#[tokio::test]
async fn a_disk_that_has_gone_back_more_often_than_its_row_knows_goes_back_again() {
    let (world, id) = kiosk(json!({})).await;
    order(&world, "stop", &id).await;
    world.settle().await;
    let point = world.host.look_snapshots(&id).await.unwrap()[0].id.clone();
    let spec = RestoreSpec { machine: id.clone(), snapshot: point, generation: 9 };
    world.host.restore_snapshot(&spec).await.unwrap();
    mark_again(&world, &id).await;
    order(&world, "start", &id).await;
    world.settle().await;
    assert!(is_marked(&world, &id));
    order(&world, "stop", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 10);
}

/// What its host lost was not shut down.
#[tokio::test]
async fn a_machine_that_is_revived_keeps_its_disk() {
    let (world, id) = kiosk(json!({})).await;
    world.host.crash(&id);
    world.drift().await;
    world.host.reboot_host();
    world.drift().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()));
    assert!(is_marked(&world, &id) && restores(&world, &id).await == 0);
}

#[tokio::test]
async fn it_is_switched_off_and_on_at_any_time() {
    let (world, id) = kiosk(json!({})).await;
    let initial = world.machine(&id).await.restore_point_snapshot_id.unwrap();
    // While it shuts down: it does not go back.
    world.host.deaf(&id, true);
    order(&world, "stop", &id).await;
    world.live_seconds(10).await;
    put(&world, &id, json!({"restorePointEnabled": false})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await.0, "off");
    assert!(is_marked(&world, &id) && restores(&world, &id).await == 0);
    let machine = world.machine(&id).await;
    assert_eq!((machine.restore_point_enabled, machine.restore_point_snapshot_id), (false, None));
    // On without a word where to: to the initial one; not before the next shutdown.
    put(&world, &id, json!({"restorePointEnabled": true})).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.restore_point_snapshot_id, Some(initial));
    assert!(is_marked(&world, &id));
    world.host.deaf(&id, false);
    order(&world, "start", &id).await;
    world.settle().await;
    assert!(is_marked(&world, &id));
    order(&world, "stop", &id).await;
    world.settle().await;
    assert!(!is_marked(&world, &id) && restores(&world, &id).await == 1);
    assert_eq!(events(&world, &id).await.iter().filter(|event| event.contains("snapshot")).count(), 0);
}

#[tokio::test]
async fn it_is_led_to_another_snapshot() {
    let (world, id) = kiosk(json!({"autoSnapshotEnabled": true, "autoSnapshotFrequency": "hourly"})).await;
    world.live_seconds(HOUR_S + 60).await;
    let snapshots = world.host.look_snapshots(&id).await.unwrap();
    let later = &snapshots[1].id;
    // While it shuts down: it goes where the word was last.
    world.host.deaf(&id, true);
    order(&world, "stop", &id).await;
    world.live_seconds(10).await;
    put(&world, &id, json!({"restorePointSnapshotId": later})).await;
    world.settle().await;
    assert!(is_marked(&world, &id), "the later one has the mark");
    assert_eq!(restores(&world, &id).await, 1);
    assert_eq!(world.machine(&id).await.restore_point_snapshot_id.as_ref(), Some(later));
}

#[tokio::test]
async fn what_is_no_snapshot_of_the_machine_is_refused() {
    let (world, id) = kiosk(json!({})).await;
    let point = world.machine(&id).await.restore_point_snapshot_id.unwrap();
    let plain = world.create(json!({"startOnCreate": false})).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    world.settle().await;
    let before = world.dump().await;
    let on = |id: &str| json!({"restorePointEnabled": true, "restorePointSnapshotId": id});
    let field = "restorePointSnapshotId: ";
    for (changes, status, told) in [
        (on(point.as_str()), 404, format!("{field}{plain} has no snapshot {point}")),
        (on("sl22222222"), 404, format!("{field}{plain} has no snapshot sl22222222")),
        (json!({"restorePointEnabled": true}), 400, format!("{field}{plain} has no initial snapshot")),
        (
            json!({"restorePointSnapshotId": point}),
            400,
            format!("{field}the restore point of {plain} is off"),
        ),
        (on("ps1"), 400, field.to_owned()),
    ] {
        let reply = world.call(&format!("PUT /v1/machines/{plain}"), changes.clone()).await;
        assert_eq!(reply.status, status, "{changes}: {}", reply.body);
        assert!(reply.error().2.starts_with(&told), "{changes}: {}", reply.body);
    }
    let theirs = world.call_as(&key, &format!("PUT /v1/machines/{id}"), on(point.as_str())).await;
    assert_eq!(theirs.status, 404);
    assert_eq!(world.dump().await, before);
}

/// A disk that does not go back is not started as it is: the machine's next user would find what the last left.
#[tokio::test]
async fn a_disk_that_cannot_go_back_is_told_and_can_be_let_be() {
    let (world, id) = kiosk(json!({})).await;
    world.host.fail_always(Some((Call::RestoreSnapshot, Fault::Final)));
    order(&world, "stop", &id).await;
    world.live_seconds(60).await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop error".into()));
    order(&world, "start", &id).await;
    world.live_seconds(60).await;
    assert_eq!(world.state(&id).await, ("off".into(), "start error".into()));
    put(&world, &id, json!({"restorePointEnabled": false})).await;
    world.settle().await;
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn what_changes_beside_an_order_gives_it_no_more_time() {
    let world = World::new().await;
    world.host.fail_always(Some((Call::EnsureDisk, Fault::Passing)));
    let id = world.create(json!({})).await;
    for change in [
        json!({"autoShutdownEnabled": true}),
        json!({"autoSnapshotEnabled": true}),
        json!({"autoShutdownTimeout": 9, "autoSnapshotFrequency": "weekly"}),
    ] {
        world.live_seconds(190).await;
        assert_eq!(world.state(&id).await, ("provisioning".into(), "create in progress".into()));
        put(&world, &id, change).await;
    }
    world.live_seconds(60).await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
}
