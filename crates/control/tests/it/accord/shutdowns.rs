//! Machines that shut down by themselves.

use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault};
use serde_json::json;

use super::{HOUR_S, events, is_on, on_since, put};
use crate::broken_host::order;
use crate::world::World;

/// A machine that is ready and shuts down after so many hours.
async fn limited(world: &World, hours: i64) -> MachineId {
    let id = world.create(json!({"autoShutdownEnabled": true, "autoShutdownTimeout": hours})).await;
    world.settle().await;
    id
}

#[tokio::test]
async fn a_machine_shuts_down_when_its_time_is_over_and_not_a_second_before() {
    let world = World::new().await;
    let id = limited(&world, 2).await;
    for starts in 1..=2 {
        let deadline = on_since(&world, &id).await.plus_seconds(2 * HOUR_S);
        world.live_until(deadline.plus_seconds(-1)).await;
        assert_eq!(world.state(&id).await.0, "ready");
        world.live_until(deadline.plus_seconds(1)).await;
        assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
        assert!(!is_on(&world, &id).await);
        assert_eq!(events(&world, &id).await.len(), 2 * starts);
        order(&world, "start", &id).await;
        world.settle().await;
    }
    // A reboot of its guest is no power-on; another boot of the machine is one.
    let first = on_since(&world, &id).await;
    world.live_until(first.plus_seconds(HOUR_S)).await;
    world.host.guest_reboots(&id);
    world.live_until(first.plus_seconds(HOUR_S + 60)).await;
    assert_eq!(on_since(&world, &id).await, first);
    order(&world, "restart", &id).await;
    world.settle().await;
    let second = on_since(&world, &id).await;
    assert!(second > first.plus_seconds(HOUR_S));
    world.live_until(second.plus_seconds(2 * HOUR_S - 1)).await;
    assert!(is_on(&world, &id).await);
    world.live_until(second.plus_seconds(2 * HOUR_S + 1)).await;
    assert!(!is_on(&world, &id).await);
}

#[tokio::test]
async fn a_time_that_changes_counts_at_once() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.live_seconds(3 * HOUR_S).await;
    put(&world, &id, json!({"autoShutdownTimeout": 2, "autoShutdownForce": true})).await;
    world.live_seconds(60).await;
    assert!(is_on(&world, &id).await, "it is not switched on");
    put(&world, &id, json!({"autoShutdownEnabled": true, "autoShutdownForce": false})).await;
    world.live_seconds(1).await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    let machine = world.machine(&id).await;
    let told = (machine.auto_shutdown_enabled, machine.auto_shutdown_timeout, machine.auto_shutdown_force);
    assert_eq!(told, (true, Some(2), Some(false)));

    order(&world, "start", &id).await;
    world.settle().await;
    world.live_seconds(HOUR_S).await;
    put(&world, &id, json!({"autoShutdownTimeout": 5})).await;
    world.live_seconds(4 * HOUR_S - 60).await;
    put(&world, &id, json!({"autoShutdownEnabled": false, "autoShutdownTimeout": 0})).await;
    world.live_seconds(HOUR_S).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    put(&world, &id, json!({"autoShutdownEnabled": true})).await;
    world.live_seconds(1).await;
    assert_eq!(world.state(&id).await.0, "off", "it has run for more than the 5 h that it keeps");

    let fresh = world.create(json!({"autoShutdownEnabled": true})).await;
    world.settle().await;
    assert_eq!(world.machine(&fresh).await.auto_shutdown_timeout, Some(1));
    let deadline = on_since(&world, &fresh).await.plus_seconds(HOUR_S);
    world.live_until(deadline.plus_seconds(-1)).await;
    assert!(is_on(&world, &fresh).await);
    world.live_until(deadline.plus_seconds(1)).await;
    assert!(!is_on(&world, &fresh).await);
}

#[tokio::test]
async fn a_guest_is_asked_first_unless_it_is_shut_down_by_force() {
    for (force, told) in
        [(false, ["stop done", "vm-shutdown-force done"].as_slice()), (true, &["vm-shutdown-force done"])]
    {
        let world = World::new().await;
        let id = limited(&world, 1).await;
        put(&world, &id, json!({"autoShutdownForce": force})).await;
        world.host.deaf(&id, true);
        let deadline = on_since(&world, &id).await.plus_seconds(HOUR_S);
        world.live_until(deadline.plus_seconds(1)).await;
        assert_eq!(is_on(&world, &id).await, !force);
        world.live_until(deadline.plus_seconds(121)).await;
        assert!(!is_on(&world, &id).await);
        let pressed = world.host.calls().iter().any(|(call, _)| *call == Call::PressPowerButton);
        assert_eq!(pressed, !force);
        assert_eq!(events(&world, &id).await[1..], *told);
        // What is ordered next is no matter of force.
        order(&world, "start", &id).await;
        world.settle().await;
        world.host.deaf(&id, false);
        order(&world, "stop", &id).await;
        world.settle().await;
        assert_eq!(events(&world, &id).await.last().unwrap(), "stop done");
        assert!(world.host.calls().iter().any(|(call, _)| *call == Call::PressPowerButton));
    }
}

#[tokio::test]
async fn a_stop_by_force_that_is_under_way_is_the_stop_that_is_asked_for() {
    let world = World::new().await;
    let id = limited(&world, 1).await;
    put(&world, &id, json!({"autoShutdownForce": true})).await;
    world.host.fail_always(Some((Call::CutPower, Fault::Passing)));
    world.live_seconds(HOUR_S + 1).await;
    assert_eq!(world.state(&id).await, ("stopping".into(), "vm-shutdown-force in progress".into()));
    assert_eq!(order(&world, "stop", &id).await["event"]["name"], "vm-shutdown-force");
    let refused = world.call(&format!("PATCH /v1/machines/{id}/start"), json!({})).await;
    assert_eq!(refused.status, 409);
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(events(&world, &id).await, ["create done", "vm-shutdown-force done"]);
}

#[tokio::test]
async fn a_server_that_was_away_shuts_down_at_once_what_has_run_too_long() {
    let mut world = World::new().await;
    let id = limited(&world, 2).await;
    let deadline = on_since(&world, &id).await.plus_seconds(2 * HOUR_S);
    for _ in 0..3 {
        world.live_seconds(HOUR_S / 2).await;
        world.restart_server().await;
    }
    world.live_until(deadline.plus_seconds(-1)).await;
    assert_eq!(world.state(&id).await.0, "ready", "a start of the server is no power-on");
    world.pass_seconds(30 * HOUR_S);
    world.restart_server().await;
    world.live_seconds(1).await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    assert_eq!(events(&world, &id).await.len(), 2);
}

#[tokio::test]
async fn a_machine_that_its_host_lost_is_started_again_and_counts_anew() {
    let world = World::new().await;
    let id = limited(&world, 1).await;
    world.live_seconds(HOUR_S / 2).await;
    world.host.crash(&id);
    world.drift().await;
    let again = on_since(&world, &id).await;
    world.live_until(again.plus_seconds(HOUR_S - 1)).await;
    assert!(is_on(&world, &id).await);
    world.live_until(again.plus_seconds(HOUR_S + 1)).await;
    assert!(!is_on(&world, &id).await);
}

#[tokio::test]
async fn an_order_that_is_under_way_comes_first() {
    let world = World::new().await;
    let watched =
        json!({"autoSnapshotEnabled": true, "autoSnapshotFrequency": "hourly", "startOnCreate": false});
    let id = world.create(watched).await;
    world.live_seconds(300).await;
    put(&world, &id, json!({"autoShutdownEnabled": true})).await;
    order(&world, "start", &id).await;
    world.host.fail_always(Some((Call::EnsureSnapshot, Fault::Passing)));
    world.live_seconds(HOUR_S + 60).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-create in progress".into()));
    world.host.fail_always(None);
    world.live_seconds(60).await;
    assert_eq!(events(&world, &id).await, ["create done", "start done", "snapshot-create done", "stop done"]);

    let stopped = limited(&world, 1).await;
    world.host.deaf(&stopped, true);
    world.live_until(on_since(&world, &stopped).await.plus_seconds(HOUR_S - 10)).await;
    order(&world, "stop", &stopped).await;
    world.settle().await;
    assert_eq!(events(&world, &stopped).await, ["create done", "stop done", "vm-shutdown-force done"]);
}

#[tokio::test]
async fn what_is_protected_shuts_down_too() {
    let world = World::new().await;
    let id = limited(&world, 1).await;
    world.ok(&format!("PUT /v1/machines/{id}/protection"), json!({"isProtected": true})).await;
    world.live_seconds(HOUR_S + 1).await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
}

/// Its guest has the only copy of the disk open.
#[tokio::test]
async fn a_machine_whose_disk_is_missing_runs_on_until_somebody_stops_it() {
    let world = World::new().await;
    let id = limited(&world, 1).await;
    world.host.lose_disk(&id);
    world.live_seconds(HOUR_S + 60).await;
    assert!(is_on(&world, &id).await);
    assert_eq!(events(&world, &id).await, ["create done", "restart error"], "it is told once");
    order(&world, "stop", &id).await;
    world.live_seconds(60).await;
    assert!(!is_on(&world, &id).await);
}
