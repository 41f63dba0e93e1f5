//! What a machine does by itself, with a real guest: a snapshot is taken, it shuts down, and its disk goes back.
//!
//! Nobody waits for an hour: the server is killed, and what it has written down is moved an hour back, as if it
//! had been away for so long.

use std::fs;
use std::path::{Path, PathBuf};

use deckle_api::Timestamp;
use serde_json::{Value, json};

use super::host::{run, wait};
use super::world::{ORDER, World, text};

const HOUR_S: i64 = 3600;

/// Waits for the `nth` event of a machine, counted from 0, and for its end: the event.
fn event(world: &World, machine: &str, nth: usize) -> Value {
    wait(&format!("event {nth} of {machine}"), ORDER, || {
        let events = world.get(&format!("/v1/machine-events?machineId={machine}&order=asc"));
        let event = events["items"].get(nth)?.clone();
        (!["new", "in progress"].contains(&event["state"].as_str()?)).then_some(event)
    })
}

/// The name of an event that must be done.
fn done(world: &World, machine: &str, nth: usize) -> String {
    let event = event(world, machine, nth);
    assert_eq!(event["state"], "done", "{event}");
    text(&event["name"])
}

/// What a query of the database says, while no server runs.
fn sql(world: &World, statement: &str) -> String {
    let database = world.installation().state.join("deckle.db");
    run("sqlite3", &[&database.display().to_string(), statement])
}

/// The machine was powered on an hour before it was.
fn power_on_earlier(state: &Path, machine: &str) {
    let note: PathBuf = state.join("machines").join(machine).join("run.json");
    let mut told: Value = serde_json::from_slice(&fs::read(&note).unwrap()).unwrap();
    let since: Timestamp = text(&told["since"]).parse().unwrap();
    told["since"] = json!(since.plus_seconds(-HOUR_S));
    fs::write(&note, told.to_string()).unwrap();
}

#[test]
fn a_machine_is_kept_shut_down_and_taken_back_while_nobody_looks() {
    let mut world = World::new();
    let policies = json!({
        "autoShutdownEnabled": true, "autoSnapshotEnabled": true, "autoSnapshotFrequency": "hourly",
        "restorePointEnabled": true,
    });
    let ordered = world.create("kiosk", policies);
    world.done(&ordered);
    let id = ordered.machine;
    let has =
        |world: &World, name: &str| world.guest(&id).run(&format!("test -e {name} && echo yes || echo no"));
    world.guest(&id).run("touch first; sync");

    // A snapshot that the server has missed is taken of the machine while it runs.
    world.kill();
    let back = "auto_snapshot_since = auto_snapshot_since - 3600000000, auto_snapshot_due = auto_snapshot_due - 3600000000";
    sql(&world, &format!("UPDATE machines SET {back}"));
    world.restart();
    assert_eq!(done(&world, &id, 1), "snapshot-create");
    assert_eq!(world.machine(&id)["state"], "ready");
    world.guest(&id).run("touch second; sync");

    // Its hour is over: the guest is asked to shut down, and does; its disk is what it was before its first boot.
    world.kill();
    let auto = sql(&world, "SELECT id FROM snapshots WHERE kind = 'auto' AND made");
    power_on_earlier(world.installation().state, &id);
    world.restart();
    assert_eq!(done(&world, &id, 2), "stop");
    assert_eq!(world.machine(&id)["state"], "off");
    assert!(world.get(&format!("/v1/machine-events?machineId={id}"))["items"].as_array().unwrap().len() == 3);
    world.done(&world.order("start", &id));
    assert_eq!((has(&world, "first"), has(&world, "second")), ("no".into(), "no".into()));

    // From now on it goes back to what was kept while it ran; this time by force.
    world.put(
        &format!("/v1/machines/{id}"),
        &json!({"restorePointSnapshotId": auto.trim(), "autoShutdownForce": true}),
    );
    world.kill();
    power_on_earlier(world.installation().state, &id);
    world.restart();
    assert_eq!(done(&world, &id, 4), "vm-shutdown-force");
    world.done(&world.order("start", &id));
    assert_eq!((has(&world, "first"), has(&world, "second")), ("yes".into(), "no".into()));
    world.end();
}
