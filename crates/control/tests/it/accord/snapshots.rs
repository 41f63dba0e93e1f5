//! Snapshots that are taken by themselves.

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_control::config::Config;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use super::{DAY_S, HOUR_S, events, names, put};
use crate::broken_host::order;
use crate::world::World;

/// A world that looks for drift once in a year: months pass soon.
async fn patient() -> World {
    let mut config = Config::default();
    config.limits.drift_s = 365 * DAY_S;
    config.limits.events_days = 0;
    World::with(config, None).await
}

/// A machine of which snapshots are taken by themselves, and the moment since which.
async fn watched(world: &World, often: &str, kept: u32, changes: Value) -> (MachineId, Timestamp) {
    let mut wanted =
        json!({"autoSnapshotEnabled": true, "autoSnapshotFrequency": often, "autoSnapshotSaveCount": kept});
    for (field, value) in changes.as_object().unwrap() {
        wanted[field] = value.clone();
    }
    let id = world.create(wanted).await;
    world.settle().await;
    let since =
        world.number(&format!("SELECT auto_snapshot_since AS n FROM machines WHERE id = '{id}'")).await;
    (id, Timestamp(since))
}

/// The name of a snapshot that is taken so long after.
fn named(since: Timestamp, seconds: i64) -> String {
    let taken = since.plus_seconds(seconds).to_string();
    format!("Auto snapshot {} {}", &taken[..10], &taken[11..16])
}

async fn taken(world: &World, id: &MachineId) -> i64 {
    let done = format!("machine_id = '{id}' AND name = 'snapshot-create' AND state = 'done'");
    world.number(&format!("SELECT COUNT(*) AS n FROM machine_events WHERE {done}")).await
}

#[tokio::test]
async fn three_months_pass() {
    let mut world = patient().await;
    let (daily, days) = watched(&world, "daily", 7, json!({})).await;
    let (weekly, weeks) = watched(&world, "weekly", 4, json!({})).await;
    let (monthly, months) = watched(&world, "monthly", 10, json!({})).await;
    for pause in [1, 13, 29, 46].map(|days| days * DAY_S - 17 * 60) {
        world.live_seconds(pause).await;
        world.restart_server().await;
    }
    // The more often, the sooner it is seen.
    let (hourly, hours) = watched(&world, "hourly", 10, json!({"takeInitialSnapshot": true})).await;
    world.live_until(days.plus_seconds(92 * DAY_S + 60)).await;
    let hours_gone = days.plus_seconds(92 * DAY_S + 60).seconds_since(hours) as i64 / HOUR_S;
    assert!(hours_gone > 48);

    let last = |since, period: i64, count: i64, kept: i64| -> Vec<String> {
        (count - kept + 1..=count).map(|nth| named(since, nth * period)).collect()
    };
    assert_eq!(taken(&world, &hourly).await, hours_gone);
    let mut expected = vec!["Initial snapshot".to_owned()];
    expected.extend(last(hours, HOUR_S, hours_gone, 10));
    assert_eq!(names(&world, &hourly).await, expected);
    assert_eq!(taken(&world, &daily).await, 92);
    assert_eq!(names(&world, &daily).await, last(days, DAY_S, 92, 7));
    assert_eq!(taken(&world, &weekly).await, 13);
    assert_eq!(names(&world, &weekly).await, last(weeks, 7 * DAY_S, 13, 4));
    assert_eq!(months.to_string()[..16], *"2023-11-14T22:13");
    let slots = ["2023-12-14 22:13", "2024-01-14 22:13", "2024-02-14 22:13"];
    assert_eq!(names(&world, &monthly).await, slots.map(|slot| format!("Auto snapshot {slot}")));
    let all = "SELECT COUNT(*) AS n FROM machine_events WHERE name <> 'create' AND name <> 'snapshot-create'";
    assert_eq!(world.number(all).await, 0);
}

#[tokio::test]
async fn what_was_missed_is_made_up_once_and_the_grid_stays() {
    let mut world = patient().await;
    let (id, since) = watched(&world, "hourly", 10, json!({})).await;
    let (monthly, _) = watched(&world, "monthly", 3, json!({})).await;
    for (days, before) in [(1, 0), (60, 3)] {
        let back = since.plus_seconds((days * 24 + if before > 0 { 2 } else { 0 }) * HOUR_S + 1800);
        world.pass_seconds((back.0 - deckle_control::clock::Clock::now(&*world.clock).0) / 1_000_000);
        world.restart_server().await;
        world.settle().await;
        let made_up = taken(&world, &id).await;
        assert_eq!(made_up, 1 + before);
        world.live_seconds(HOUR_S / 4).await;
        assert_eq!(taken(&world, &id).await, made_up, "once");
        world.live_seconds(2 * HOUR_S - HOUR_S / 4).await;
    }
    let expected =
        [24 * HOUR_S + 1800, 25 * HOUR_S, 26 * HOUR_S, 1442 * HOUR_S + 1800, 1443 * HOUR_S, 1444 * HOUR_S];
    let expected: Vec<_> = expected.into_iter().map(|seconds| named(since, seconds)).collect();
    let found = names(&world, &id).await;
    // To the minute: a server that starts again takes a moment.
    assert_eq!(found, expected);
    assert_eq!(taken(&world, &monthly).await, 1, "of two months that have passed");
}

#[tokio::test]
async fn only_snapshots_of_their_own_kind_make_room() {
    let world = patient().await;
    let (id, since) = watched(&world, "hourly", 2, json!({"takeInitialSnapshot": true})).await;
    let of_hand = format!(
        "INSERT INTO snapshots (id, team_id, machine_id, name, kind, intent, made, dt_created) \
         SELECT 'sl11111111', team_id, id, 'mine', 'manual', 'present', FALSE, dt_created + 5000000 \
         FROM machines WHERE id = '{id}'"
    );
    world.run(&of_hand).await;
    world.run("UPDATE machines SET settled = FALSE, orders = orders + 1").await;
    put(&world, &id, json!({"name": "other"})).await;
    world.settle().await;
    world.live_until(since.plus_seconds(HOUR_S + 60)).await;
    let auto = world.host.look_snapshots(&id).await.unwrap()[2].id.clone();
    put(&world, &id, json!({"restorePointEnabled": true, "restorePointSnapshotId": auto})).await;
    world.live_until(since.plus_seconds(5 * HOUR_S + 60)).await;
    let kept = |hours: &[i64]| {
        let autos = hours.iter().map(|hours| named(since, hours * HOUR_S));
        ["Initial snapshot".to_owned(), "mine".to_owned()].into_iter().chain(autos).collect::<Vec<_>>()
    };
    assert_eq!(names(&world, &id).await, kept(&[1, 4, 5]), "the restore point stays, and does not count");
    put(&world, &id, json!({"autoSnapshotSaveCount": 1, "restorePointEnabled": false})).await;
    world.live_seconds(60).await;
    assert_eq!(names(&world, &id).await, kept(&[1, 4, 5]), "until the next is taken");
    world.live_until(since.plus_seconds(6 * HOUR_S + 60)).await;
    assert_eq!(names(&world, &id).await, kept(&[6]));
    put(&world, &id, json!({"autoSnapshotSaveCount": 0})).await;
    world.live_until(since.plus_seconds(9 * HOUR_S + 60)).await;
    assert_eq!(names(&world, &id).await, kept(&[6]), "none is taken, and what is there stays");
    put(&world, &id, json!({"autoSnapshotEnabled": false})).await;
    world.live_until(since.plus_seconds(12 * HOUR_S)).await;
    put(&world, &id, json!({"autoSnapshotEnabled": true})).await;
    let machine = world.machine(&id).await;
    assert_eq!(machine.auto_snapshot_save_count, Some(1), "whoever switches them on wants some");
    world.live_until(since.plus_seconds(13 * HOUR_S + 60)).await;
    assert_eq!(names(&world, &id).await, kept(&[13]), "counted from the moment of the switch");
}

#[tokio::test]
async fn what_has_not_changed_is_not_taken_again() {
    let world = patient().await;
    let (id, since) = watched(&world, "daily", 3, json!({})).await;
    world.live_until(since.plus_seconds(2 * DAY_S + 60)).await;
    order(&world, "stop", &id).await;
    world.settle().await;
    world.live_until(since.plus_seconds(40 * DAY_S + 60)).await;
    let days = |days: [i64; 3]| days.map(|day| named(since, day * DAY_S)).to_vec();
    assert_eq!(names(&world, &id).await, days([1, 2, 3]), "once while it is off");
    assert_eq!(events(&world, &id).await.len(), 5);
    order(&world, "start", &id).await;
    world.settle().await;
    order(&world, "stop", &id).await;
    world.settle().await;
    world.live_until(since.plus_seconds(50 * DAY_S + 60)).await;
    assert_eq!(names(&world, &id).await, days([2, 3, 41]));
    let (never_on, since) = watched(&world, "daily", 3, json!({"startOnCreate": false})).await;
    world.live_until(since.plus_seconds(5 * DAY_S)).await;
    assert_eq!(names(&world, &never_on).await, [named(since, DAY_S)]);
}

#[tokio::test]
async fn a_slot_waits_for_an_order_that_is_under_way() {
    let world = patient().await;
    let (id, since) = watched(&world, "hourly", 5, json!({})).await;
    world.host.deaf(&id, true);
    world.live_until(since.plus_seconds(HOUR_S - 60)).await;
    order(&world, "stop", &id).await;
    world.live_until(since.plus_seconds(HOUR_S + 30)).await;
    assert_eq!(world.state(&id).await, ("stopping".into(), "stop in progress".into()));
    world.live_until(since.plus_seconds(HOUR_S + 90)).await;
    assert_eq!(
        events(&world, &id).await,
        ["create done", "stop done", "vm-shutdown-force done", "snapshot-create done"]
    );
    assert_eq!(names(&world, &id).await, [named(since, HOUR_S + 60)]);
}

#[tokio::test]
async fn a_host_that_fails_is_told_and_the_next_slot_tries_again() {
    let world = patient().await;
    let (id, since) = watched(&world, "hourly", 5, json!({})).await;
    world.host.fail_always(Some((Call::EnsureSnapshot, Fault::Final)));
    world.live_until(since.plus_seconds(HOUR_S + 60)).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-create error".into()));
    world.host.fail_always(None);
    world.live_until(since.plus_seconds(2 * HOUR_S + 60)).await;
    assert_eq!(events(&world, &id).await, ["create done", "snapshot-create error", "snapshot-create done"]);
    assert_eq!(names(&world, &id).await, [named(since, 2 * HOUR_S)]);
}

#[tokio::test]
async fn where_there_is_no_disk_the_slot_passes() {
    let world = World::new().await;
    let (lost, _) = watched(&world, "hourly", 5, json!({"startOnCreate": false})).await;
    world.host.lose_disk(&lost);
    world.host.fail_always(Some((Call::EnsureDisk, Fault::Final)));
    let (blank, since) = watched(&world, "hourly", 5, json!({})).await;
    world.live_until(since.plus_seconds(3 * HOUR_S + 60)).await;
    assert_eq!(events(&world, &lost).await, ["create done", "start error"], "its disk is missing");
    assert_eq!(events(&world, &blank).await, ["create error"]);
    let due = "SELECT COUNT(*) AS n FROM machines WHERE auto_snapshot_due > ";
    let now = deckle_control::clock::Clock::now(&*world.clock).0;
    assert_eq!(world.number(&format!("{due}{now}")).await, 2);
}

#[tokio::test]
async fn another_period_counts_from_its_change_and_another_number_does_not() {
    let world = patient().await;
    let (id, since) = watched(&world, "daily", 5, json!({})).await;
    world.live_until(since.plus_seconds(DAY_S / 2)).await;
    put(
        &world,
        &id,
        json!({"autoSnapshotEnabled": true, "autoSnapshotFrequency": "daily", "autoSnapshotSaveCount": 6}),
    )
    .await;
    world.live_until(since.plus_seconds(DAY_S + 60)).await;
    assert_eq!(names(&world, &id).await, [named(since, DAY_S)]);
    put(&world, &id, json!({"autoSnapshotFrequency": "hourly"})).await;
    world.live_seconds(HOUR_S + 60).await;
    assert_eq!(names(&world, &id).await.len(), 2);
    assert!(world.machine(&id).await.auto_snapshot_save_count == Some(6));
    let plain = world.create(json!({"autoSnapshotEnabled": true, "startOnCreate": false})).await;
    let plain = serde_json::to_value(world.machine(&plain).await).unwrap();
    assert_eq!(
        (&plain["autoSnapshotFrequency"], &plain["autoSnapshotSaveCount"]),
        (&json!("daily"), &json!(1))
    );
}
