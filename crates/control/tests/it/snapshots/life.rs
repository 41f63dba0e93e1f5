//! What comes of orders, and in which order.

use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use super::{names, on_disk, restore, take, taken};
use crate::broken_host::order;
use crate::world::World;

#[tokio::test]
async fn a_running_machine_runs_on_while_its_snapshot_is_taken() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let ordered = take(&world, &id, "good").await;
    let (event, data) = (&ordered["event"], &ordered["data"]);
    assert_eq!(
        (&event["name"], &event["state"], &event["machineId"]),
        (&json!("snapshot-create"), &json!("new"), &json!(id))
    );
    assert_eq!(
        data,
        &json!({"id": data["id"], "name": "good", "machineId": id, "isAutoSnapshot": false}),
        "what is ordered is shown at once"
    );
    while world.step().await {
        assert_eq!(world.machine(&id).await.state.word(), "ready");
    }
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-create done".into()));
    assert_eq!(
        &world.ok(&format!("GET /v1/snapshots/{}", data["id"].as_str().unwrap()), Value::Null).await,
        data
    );
    assert_eq!(json!(on_disk(&world, &id).await), json!([data["id"]]));
    assert!(world.host.dump().contains("boot 1"), "{}", world.host.dump());
}

#[tokio::test]
async fn what_is_off_is_snapshot_restored_and_cleared_of_snapshots_off() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    let ordered = restore(&world, &good, json!({})).await;
    assert_eq!(
        (&ordered["event"]["name"], &ordered["data"]["id"]),
        (&json!("snapshot-restore"), &json!(good))
    );
    while world.step().await {
        assert_eq!(world.machine(&id).await.state.word(), "off");
    }
    assert_eq!(world.state(&id).await, ("off".into(), "snapshot-restore done".into()));
    assert!(world.host.dump().contains("restore 1; off"), "{}", world.host.dump());
    world.ok(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "snapshot-delete done".into()));
    assert!(on_disk(&world, &id).await.is_empty() && names(&world).await.is_empty());
}

#[tokio::test]
async fn a_restore_of_a_running_machine_stops_it_cleanly_and_starts_it_within_one_event() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    let later = taken(&world, &id, "later").await;
    restore(&world, &good, json!({})).await;
    let mut seen = Vec::new();
    while world.step().await {
        let host = world.host.dump();
        assert!(!(host.contains("boot 1") && host.contains("restore 1")), "restored under power: {host}");
        assert!(!host.contains("boot 2") || host.contains("restore 1"), "started before: {host}");
        seen.push(world.machine(&id).await.state.word());
    }
    seen.dedup();
    assert_eq!(seen, ["restarting", "ready"]);
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-restore done".into()));
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}"), Value::Null).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 4, "no power was cut by force: {events}");
    assert_eq!(on_disk(&world, &id).await, [good.clone(), later.clone()], "later snapshots survive");
    // And to the other one; and, that one gone, to the first again.
    restore(&world, &later, json!({})).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/snapshots/{later}"), Value::Null).await;
    world.settle().await;
    restore(&world, &good, json!({})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-restore done".into()));
    assert!(world.host.dump().contains("restore 3; on, boot 4"), "{}", world.host.dump());
}

#[tokio::test]
async fn a_snapshot_that_is_asked_for_with_a_restore_is_taken_before_it_and_says_of_what_and_when() {
    for on in [true, false] {
        let world = World::new().await;
        let id = world.create(json!({"startOnCreate": on})).await;
        world.settle().await;
        let good = taken(&world, &id, &"é".repeat(255)).await;
        restore(&world, &good, json!({"createSnapshotBeforeRestore": true})).await;
        while on_disk(&world, &id).await.len() == 1 {
            assert!(!world.host.dump().contains("restore 1"), "{}", world.host.dump());
            assert!(world.step().await);
        }
        world.settle().await;
        assert!(world.host.dump().contains("restore 1"), "{}", world.host.dump());
        assert_eq!(world.state(&id).await.1, "snapshot-restore done");
        let before = names(&world).await.pop().unwrap();
        assert!(before.starts_with("Before the restore of éé"), "{before}");
        assert!(before.ends_with("Z") && before.contains("é, 2023-11-14T22:13:2"), "{before}");
        assert_eq!(before.chars().count(), 255);
    }
}

#[tokio::test]
async fn a_deleted_snapshot_is_shown_until_its_event_ends_and_never_after() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    world.ok(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await;
    loop {
        let there = world.call(&format!("GET /v1/snapshots/{good}"), Value::Null).await.status == 200;
        let (_, event) = world.state(&id).await;
        assert_eq!(there, event != "snapshot-delete done", "{event}");
        assert_eq!(names(&world).await.len(), usize::from(there));
        if !world.step().await {
            break;
        }
    }
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-delete done".into()));
}

#[tokio::test]
async fn a_name_changes_at_once_whatever_is_under_way() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let ordered = take(&world, &id, "good").await;
    let path = format!("/v1/snapshots/{}", ordered["data"]["id"].as_str().unwrap());
    let renamed = world.ok(&format!("PUT {path}"), json!({"name": "better"})).await;
    assert_eq!(renamed["name"], "better");
    assert_eq!(world.ok(&format!("PUT {path}"), json!({})).await, renamed, "what is left out stays");
    world.settle().await;
    assert_eq!(names(&world).await, ["better"]);
    assert_eq!(world.state(&id).await.1, "snapshot-create done");
}

#[tokio::test]
async fn snapshots_go_with_their_machine() {
    let world = World::new().await;
    let id = world.create(json!({"takeInitialSnapshot": true})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    order(&world, "delete", &id).await;
    let reply = world.call(&format!("POST /v1/snapshots/{good}/restore"), json!({})).await;
    assert_eq!(reply.error(), (409, "CONFLICT", format!("{id} is being deleted").as_str()));
    world.settle().await;
    assert!(names(&world).await.is_empty());
    assert_eq!(world.call(&format!("GET /v1/snapshots/{good}"), Value::Null).await.status, 404);
}

/// Its row has seen more restores than it has.
#[tokio::test]
async fn a_disk_that_comes_from_a_backup_is_not_restored_by_itself() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    world
        .run(&format!("UPDATE machines SET restores_wanted = 3, restores_begun = 3 WHERE id = '{id}'"))
        .await;
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()));
    assert!(!world.host.dump().contains("restore"), "{}", world.host.dump());
    restore(&world, &good, json!({})).await;
    world.settle().await;
    assert!(world.host.dump().contains("restore 4; on, boot 3"), "{}", world.host.dump());
}

#[tokio::test]
async fn a_restore_to_before_a_growth_keeps_the_larger_size() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let small = taken(&world, &id, "small").await;
    world.ok(&format!("PUT /v1/machines/{id}"), json!({"diskSize": 60})).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.storage_total, 60 << 30);
    restore(&world, &small, json!({})).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.storage_total, 60 << 30);
    assert!(world.host.dump().contains("60 GiB on t0nspur5, snapshot"), "{}", world.host.dump());
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_taken_leaves_no_row_and_nothing_on_the_disk() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.fail_always(Some((Call::EnsureSnapshot, Fault::Final)));
    take(&world, &id, "bad").await;
    world.live_seconds(1).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-create error".into()));
    assert!(names(&world).await.is_empty(), "not shown any more once its event has ended");
    world.host.fail_always(None);
    world.settle().await;
    assert!(on_disk(&world, &id).await.is_empty());
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM snapshots WHERE dt_deleted IS NULL").await, 0);
    let good = taken(&world, &id, "bad").await;
    assert_eq!(on_disk(&world, &id).await, [good]);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_removed_stays_and_is_deleted_once_more() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    world.host.fail_always(Some((Call::RemoveSnapshot, Fault::Final)));
    world.ok(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await;
    world.live_seconds(1).await;
    assert_eq!(world.state(&id).await.1, "snapshot-delete error");
    assert_eq!(names(&world).await, ["good"]);
    let reply = world.call(&format!("POST /v1/snapshots/{good}/restore"), json!({})).await;
    let why = format!("{good} is being deleted");
    assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", why.as_str()), "half of it may be gone");
    world.ok(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await;
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(world.state(&id).await.1, "snapshot-delete done");
    assert!(names(&world).await.is_empty() && on_disk(&world, &id).await.is_empty());
}

#[tokio::test]
async fn a_restore_that_fails_ends_off_and_is_done_once_more() {
    for before in [false, true] {
        let world = World::new().await;
        let id = world.create(json!({})).await;
        world.settle().await;
        let good = taken(&world, &id, "good").await;
        world.host.fail_always(Some((Call::RestoreSnapshot, Fault::Final)));
        restore(&world, &good, json!({"createSnapshotBeforeRestore": before})).await;
        world.live_seconds(60).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("off".into(), "snapshot-restore error".into()));
        assert_eq!(names(&world).await.len(), 1 + usize::from(before), "what was taken before it stays");
        world.host.fail_always(None);
        restore(&world, &good, json!({})).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("off".into(), "snapshot-restore done".into()));
        assert!(world.host.dump().contains("restore 1; off"), "{}", world.host.dump());
    }
}

/// Until then its disk is in no state.
#[tokio::test]
async fn a_restore_that_has_begun_is_finished_after_its_event_has_failed() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    world.host.fail_always(Some((Call::RestoreSnapshot, Fault::Passing)));
    restore(&world, &good, json!({})).await;
    world.live_seconds(700).await;
    assert_eq!(world.state(&id).await, ("off".into(), "snapshot-restore error".into()));
    let reply = world.call(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await;
    let why = format!(
        "the disk of {id} is on its way back to {good}, and that is not finished; delete it afterwards"
    );
    assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", why.as_str()));
    assert_eq!(names(&world).await, ["good"]);
    world.host.fail_always(None);
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    assert!(world.host.dump().contains("restore 1; on, boot 3"), "{}", world.host.dump());
    world.ok(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await;
    world.settle().await;
    assert!(names(&world).await.is_empty());
}

/// What a failed create left has an initial snapshot in its row, and no disk.
#[tokio::test]
async fn the_initial_snapshot_of_what_a_failed_create_left_can_go() {
    let world = World::new().await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    let id = world.create(json!({"takeInitialSnapshot": true})).await;
    world.settle().await;
    world.host.fail_always(None);
    let page = world.ok("GET /v1/snapshots", Value::Null).await;
    let initial = page["items"][0]["id"].as_str().unwrap();
    let no_disk = format!("{id} has no disk, because its creation failed; start it first");
    for (line, body) in [
        ("POST /v1/snapshots".to_owned(), json!({"name": "none", "machineId": id})),
        (format!("POST /v1/snapshots/{initial}/restore"), json!({})),
    ] {
        let reply = world.call(&line, body).await;
        assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", no_disk.as_str()), "{line}");
    }
    world.ok(&format!("DELETE /v1/snapshots/{initial}"), Value::Null).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "snapshot-delete done".into()));
    assert!(names(&world).await.is_empty());
    order(&world, "start", &id).await;
    world.settle().await;
    assert!(on_disk(&world, &id).await.is_empty());
}
