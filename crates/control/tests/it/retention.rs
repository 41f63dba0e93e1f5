//! How long rows are kept: what is old goes, a batch at a time; what is young or in use stays.

mod any_days;

use deckle_api::ids::MachineId;
use deckle_control::config::Config;
use deckle_control::reconciler::{self, Object};
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

const DAY_S: i64 = 86_400;

/// Lets days pass, and then every visit that fell due.
async fn pass_days(world: &World, days: i64) {
    world.pass_seconds(days * DAY_S);
    world.settle().await;
}

/// How many rows a table has.
async fn rows(world: &World, table: &str) -> i64 {
    world.number(&format!("SELECT COUNT(*) AS n FROM {table}")).await
}

/// How many rows each of the tables has whose rows are kept for a time.
async fn counts(world: &World) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in [
        "idempotency",
        "sessions",
        "machine_events",
        "startup_script_runs",
        "machines",
        "shared_drives",
        "private_networks",
        "startup_scripts",
        "templates",
    ] {
        counts.push((table, rows(world, table).await));
    }
    counts
}

/// A machine that runs with a script, and one of everything that is deleted again.
async fn used(world: &World) -> MachineId {
    let script = json!({"name": "setup", "script": "true"});
    let (kept, gone) = (
        world.ok("POST /v1/startup-scripts", script.clone()).await,
        world.ok("POST /v1/startup-scripts", script).await,
    );
    let id = world.create(json!({"startupScriptId": kept["id"]})).await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let (network, gone) = (network["id"].as_str().unwrap(), gone["id"].as_str().unwrap());
    let other = world.create(json!({"networkId": network, "startupScriptId": gone})).await;
    let drive = json!({"name": "data", "size": 1, "region": "ny2", "networkId": network});
    let drive = world.ok("POST /v1/shared-drives", drive).await;
    let rule = json!({"machineId": other, "direction": "inbound"});
    world.ok("POST /v1/firewall-rules", rule).await;
    world.ok("POST /v1/sessions", json!({})).await;
    let once = [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "a".to_owned())];
    let body = json!({"name": "other", "region": "ny2"}).to_string();
    assert_eq!(world.send("POST /v1/private-networks", &once, body).await.status, 200);
    world.settle().await;
    order(world, "delete", &other).await;
    world.ok(&format!("DELETE /v1/shared-drives/{}", drive["id"].as_str().unwrap()), Value::Null).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/startup-scripts/{gone}"), Value::Null).await;
    world.ok(&format!("DELETE /v1/private-networks/{network}"), Value::Null).await;
    world.settle().await;
    id
}

/// All counts, in the order of `counts`.
async fn numbers(world: &World) -> Vec<i64> {
    counts(world).await.into_iter().map(|(_, number)| number).collect()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_young_stays() {
    let world = World::new().await;
    let id = used(&world).await;
    let made = counts(&world).await;
    let expected = [
        ("idempotency", 1),
        ("sessions", 1),
        ("machine_events", 3),
        ("startup_script_runs", 1),
        ("machines", 2),
        ("shared_drives", 1),
        ("private_networks", 2),
        ("startup_scripts", 2),
        ("templates", 1),
    ];
    assert_eq!(made, expected);
    world.pass_seconds(11 * 3600);
    world.settle().await;
    assert_eq!(counts(&world).await, expected, "the session has an hour left");
    world.pass_seconds(2 * 3600);
    world.settle().await;
    assert_eq!(numbers(&world).await, [1, 0, 3, 1, 2, 1, 2, 2, 1]);
    pass_days(&world, 1).await;
    assert_eq!(numbers(&world).await, [0, 0, 3, 1, 2, 1, 2, 2, 1]);
    pass_days(&world, 28).await;
    assert_eq!(numbers(&world).await, [0, 0, 3, 1, 2, 1, 2, 2, 1], "the 29 days are not over");
    pass_days(&world, 1).await;
    assert_eq!(numbers(&world).await, [0, 0, 3, 1, 1, 0, 1, 1, 1], "what was deleted 30 days ago");
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_eq!(numbers(&world).await, [0, 0, 4, 2, 1, 0, 1, 1, 1]);
    pass_days(&world, 59).await;
    assert_eq!(numbers(&world).await, [0, 0, 4, 2, 1, 0, 1, 1, 1]);
    pass_days(&world, 1).await;
    assert_eq!(numbers(&world).await, [0, 0, 1, 1, 1, 0, 1, 1, 1], "events and runs of 90 days ago");
    let before = world.dump().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()));
    world.drift().await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn each_limit_is_its_own_and_none_is_for_ever() {
    for (limit, days, left) in [
        ("none", 0, [3, 1, 2, 1, 2, 2]),
        ("events", 2, [0, 1, 2, 1, 2, 2]),
        ("runs", 2, [3, 0, 2, 1, 2, 2]),
        ("deleted", 2, [3, 1, 1, 0, 1, 1]),
    ] {
        let mut config = Config::default();
        let limits = &mut config.limits;
        (limits.events_days, limits.runs_days, limits.deleted_days) = (0, 0, 0);
        match limit {
            "events" => limits.events_days = days,
            "runs" => limits.runs_days = days,
            "deleted" => limits.deleted_days = days,
            _ => {}
        }
        let world = World::with(config, None).await;
        used(&world).await;
        pass_days(&world, 1).await;
        assert_eq!(numbers(&world).await[2..8], [3, 1, 2, 1, 2, 2], "{limit}");
        pass_days(&world, 20_000).await;
        assert_eq!(numbers(&world).await[2..8], left, "{limit}");
    }
}

#[tokio::test]
async fn snapshots_go_with_what_is_deleted_and_usage_by_its_own_limit() {
    for (usage_days, left) in [(400, 0), (0, 2)] {
        let mut config = Config::default();
        config.limits.usage_days = usage_days;
        let world = World::with(config, None).await;
        let id = world.create(json!({"takeInitialSnapshot": true})).await;
        world.settle().await;
        order(&world, "delete", &id).await;
        world.settle().await;
        let kept = async || (rows(&world, "snapshots").await, rows(&world, "usage_records").await);
        pass_days(&world, 29).await;
        assert_eq!(kept().await, (1, 2), "the machine's, and its disk's");
        pass_days(&world, 2).await;
        assert_eq!(kept().await, (0, 2));
        pass_days(&world, 400).await;
        assert_eq!(kept().await, (0, left));
    }
}

#[tokio::test]
async fn an_open_event_and_its_machine_stay_however_old_they_are() {
    let mut config = Config::default();
    config.limits.failing_s = i64::MAX;
    let world = World::with(config, None).await;
    world.host.fail_always(Some((Call::RemoveDisk, Fault::Passing)));
    let id = world.create(json!({})).await;
    world.settle().await;
    order(&world, "delete", &id).await;
    for _ in 0..4 {
        world.pass_seconds(100 * DAY_S);
        world.live_seconds(60).await;
    }
    assert_eq!((rows(&world, "machines").await, rows(&world, "machine_events").await), (1, 1));
    assert_eq!(world.state(&id).await.1, "deactivate in progress", "the create is long forgotten");
}

#[tokio::test]
async fn what_something_refers_to_stays_as_long_as_that() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    assert_eq!(world.admin("DELETE /admin/templates/t0nspur5", Value::Null).await.status, 200);
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    world.settle().await;
    world.host.fail_always(Some((Call::RemoveNetwork, Fault::Passing)));
    world.ok(&format!("DELETE /v1/private-networks/{}", network["id"].as_str().unwrap()), Value::Null).await;
    world.pass_seconds(200 * DAY_S);
    world.live_seconds(60).await;
    let left = async || (rows(&world, "templates").await, rows(&world, "private_networks").await);
    assert_eq!(left().await, (1, 1), "a machine was made from the one, a host has the other");
    order(&world, "restart", &id).await;
    world.live_seconds(60).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()));

    world.host.fail_always(None);
    world.settle().await;
    pass_days(&world, 1).await;
    assert_eq!(left().await, (1, 0), "it was deleted long ago");
    order(&world, "delete", &id).await;
    world.settle().await;
    pass_days(&world, 29).await;
    assert_eq!((rows(&world, "machines").await, left().await.0), (1, 1));
    pass_days(&world, 1).await;
    assert_eq!((rows(&world, "machines").await, left().await.0), (0, 0));
}

/// A world with so many deleted machines, a month ago.
async fn with_old_machines(machines: usize, prune_rows: u32) -> World {
    let mut config = Config::default();
    config.limits.prune_rows = prune_rows;
    let world = World::with(config, None).await;
    let mut ids = Vec::new();
    for _ in 0..machines {
        ids.push(world.create(json!({"startOnCreate": false})).await);
    }
    world.settle().await;
    for id in &ids {
        order(&world, "delete", id).await;
    }
    world.settle().await;
    world.pass_seconds(31 * DAY_S);
    world
}

#[tokio::test]
async fn a_transaction_deletes_a_batch_and_a_killed_server_goes_on() {
    let mut world = with_old_machines(7, 2).await;
    world.create(json!({})).await;
    let mut left = vec![rows(&world, "machines").await];
    // The server ends after each batch but the last, and begins anew.
    for _ in 0..1000 {
        assert!(reconciler::visit_next(&world.app).await, "{left:?}");
        let now = rows(&world, "machines").await;
        if left.last() != Some(&now) {
            left.push(now);
            world.restart_server().await;
        }
        if now == 1 {
            break;
        }
    }
    assert_eq!(left, [8, 6, 4, 2, 1]);
    world.settle().await;
    assert_eq!(rows(&world, "machines").await, 1);
}

#[tokio::test]
async fn a_table_that_fails_is_tried_again_and_keeps_no_other_from_its_turn() {
    let world = with_old_machines(2, 500).await;
    world.ok("POST /v1/sessions", json!({})).await;
    world.run("ALTER TABLE sessions RENAME TO sessions_away").await;
    world.pass_seconds(DAY_S);
    world.settle().await;
    assert_eq!(rows(&world, "machines").await, 0);
    let (wakes, now) = (world.app.store.wakes(), world.app.clock.now());
    let next = wakes.next_of(&Object::Housekeeping, now).unwrap();
    assert_eq!(next.seconds_since(now).round(), 30.0, "it is tried again after the longest pause");
    world.run("ALTER TABLE sessions_away RENAME TO sessions").await;
    assert_eq!(rows(&world, "sessions").await, 1);
    world.live_seconds(31).await;
    assert_eq!(rows(&world, "sessions").await, 0);
    let now = world.app.clock.now();
    let next = world.app.store.wakes().next_of(&Object::Housekeeping, now).unwrap();
    assert!(next.seconds_since(now) > 3500.0, "and then every hour");
}

#[tokio::test]
async fn a_look_that_finds_nothing_writes_nothing() {
    let world = World::new().await;
    used(&world).await;
    pass_days(&world, 40).await;
    let writes = world.writes();
    for _ in 0..3 {
        pass_days(&world, 1).await;
    }
    assert_eq!(world.writes(), writes);
}
