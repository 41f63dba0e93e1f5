//! Orders in the middle of visits.

use deckle_engine::Engine;
use serde_json::{Value, json};

use super::{names, on_disk, restore, take, taken};
use crate::world::{World, sweep_step};

/// A stop at each moment of what is ordered of a snapshot: whether the order was `done`, and the world then.
async fn stopped_at(nth: usize, order: &str) -> Option<(World, String, String)> {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    match order {
        "create" => drop(take(&world, &id, "other").await),
        "delete" => drop(world.ok(&format!("DELETE /v1/snapshots/{good}"), Value::Null).await),
        "restore" => drop(restore(&world, &good, json!({"createSnapshotBeforeRestore": true})).await),
        other => panic!("no order {other}"),
    }
    let reply = world.meanwhile_at(nth, &format!("PATCH /v1/machines/{id}/stop"), &json!({}));
    world.settle().await;
    if reply.lock().unwrap().is_none() {
        return None;
    }
    assert_eq!(*reply.lock().unwrap(), Some(200), "moment {nth} of {order}");
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()), "moment {nth} of {order}");
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&limit=2"), Value::Null).await;
    let ended = events["items"][1]["state"].as_str().unwrap().to_owned();
    let left = world.number("SELECT COUNT(*) AS n FROM snapshots WHERE dt_deleted IS NULL").await;
    assert_eq!(left, i64::try_from(names(&world).await.len()).unwrap(), "moment {nth} of {order}");
    assert_eq!(names(&world).await.len(), on_disk(&world, &id).await.len(), "moment {nth} of {order}");
    Some((world, id.to_string(), ended))
}

#[tokio::test]
async fn a_stop_at_each_moment_of_a_creation_keeps_what_is_told_as_done_only() {
    let mut ends = Vec::new();
    for nth in (0..).step_by(sweep_step()) {
        let Some((world, _, ended)) = stopped_at(nth, "create").await else { break };
        let kept = names(&world).await == ["good", "other"];
        assert!(kept || ended == "cancelled", "moment {nth}: {ended}");
        ends.push(kept);
    }
    assert!(ends.contains(&false), "no moment was before it was taken");
}

#[tokio::test]
async fn a_stop_at_each_moment_of_a_deletion_keeps_it_whole_or_removes_it() {
    let mut ends = Vec::new();
    for nth in (0..).step_by(sweep_step().min(3)) {
        let Some((world, id, ended)) = stopped_at(nth, "delete").await else { break };
        let kept = names(&world).await == ["good"];
        assert!(!kept || ended == "cancelled", "moment {nth}: {ended}");
        if kept {
            let page = world.ok("GET /v1/snapshots", Value::Null).await;
            restore(&world, page["items"][0]["id"].as_str().unwrap(), json!({})).await;
            world.settle().await;
            assert_eq!(world.state(&id.parse().unwrap()).await.1, "snapshot-restore done", "moment {nth}");
        }
        ends.push(kept);
    }
    assert!(ends.contains(&true) && ends.contains(&false), "{ends:?}");
}

#[tokio::test]
async fn a_stop_at_each_moment_of_a_restore_cancels_it_unless_it_has_begun() {
    let (mut before, mut after) = (0, 0);
    for nth in (0..).step_by(sweep_step().min(3)) {
        let Some((world, _, _)) = stopped_at(nth, "restore").await else { break };
        let wanted = world.number("SELECT restores_wanted AS n FROM machines").await;
        let begun = world.number("SELECT restores_begun AS n FROM machines").await;
        assert_eq!(wanted, begun, "moment {nth}");
        let host = world.host.dump();
        assert_eq!(host.contains("restore 1"), begun == 1, "moment {nth}: {host}");
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM machines WHERE restore_to IS NOT NULL").await, 0);
        if begun == 1 { after += 1 } else { before += 1 }
    }
    assert!(before > 0 && after > 0, "{before} before it began, {after} after");
}

/// A machine that is deleted at each moment of what is ordered of its snapshot leaves nothing.
#[tokio::test]
async fn a_machine_deleted_at_each_moment_takes_its_snapshots_with_it() {
    for nth in (0..).step_by(2 * sweep_step()) {
        let world = World::new().await;
        let id = world.create(json!({})).await;
        world.settle().await;
        let good = taken(&world, &id, "good").await;
        restore(&world, &good, json!({"createSnapshotBeforeRestore": true})).await;
        let reply = world.meanwhile_at(nth, &format!("DELETE /v1/machines/{id}"), &Value::Null);
        world.settle().await;
        if reply.lock().unwrap().is_none() {
            break;
        }
        assert!(world.dump().await.ends_with("machines: none"), "moment {nth}: {}", world.dump().await);
        assert!(names(&world).await.is_empty(), "moment {nth}");
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM snapshots WHERE dt_deleted IS NULL").await, 0);
    }
}

/// The guest may switch itself off while its snapshot is taken.
#[tokio::test]
async fn a_guest_that_ends_meanwhile_leaves_the_snapshot_or_nothing() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.guest_powers_off(&id);
    take(&world, &id, "good").await;
    world.settle().await;
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&limit=2"), Value::Null).await;
    let told = format!("the guest of {id} switched itself off meanwhile");
    assert_eq!(events["items"][1]["error"], json!(told));
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    assert!(names(&world).await.is_empty());
    assert!(world.host.look_snapshots(&id).await.unwrap().is_empty());
}

/// A disk whose folder was brought back from a backup may have gone back less often than its row knows.
#[tokio::test]
async fn a_restore_that_is_cancelled_is_not_done_on_a_disk_from_a_backup() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    let ahead = format!("UPDATE machines SET restores_wanted = 7, restores_begun = 7 WHERE id = '{id}'");
    world.run(&ahead).await;
    restore(&world, &good, json!({})).await;
    world.ok(&format!("PATCH /v1/machines/{id}/stop"), Value::Null).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    assert!(!world.host.dump().contains("restore 7"), "{}", world.host.dump());
    restore(&world, &good, json!({})).await;
    world.settle().await;
    assert!(world.host.dump().contains("restore 8; off"), "{}", world.host.dump());
}
