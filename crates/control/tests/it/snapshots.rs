//! Snapshots of machines' disks.

mod life;
mod pages;
mod races;
mod refused;

use deckle_api::ids::MachineId;
use deckle_engine::Engine;
use serde_json::{Value, json};

use crate::world::World;

/// An order that must be taken: its answer.
async fn take(world: &World, machine: &MachineId, name: &str) -> Value {
    world.ok("POST /v1/snapshots", json!({"name": name, "machineId": machine})).await
}

/// A snapshot that was taken: its id.
async fn taken(world: &World, machine: &MachineId, name: &str) -> String {
    let ordered = take(world, machine, name).await;
    world.settle().await;
    assert_eq!(world.state(machine).await.1, "snapshot-create done");
    ordered["data"]["id"].as_str().unwrap().to_owned()
}

async fn restore(world: &World, id: &str, body: Value) -> Value {
    world.ok(&format!("POST /v1/snapshots/{id}/restore"), body).await
}

/// The names of a team's snapshots, the oldest first.
async fn names(world: &World) -> Vec<String> {
    let page = world.ok("GET /v1/snapshots?order=asc", Value::Null).await;
    let names = page["items"].as_array().unwrap().iter();
    names.map(|snapshot| snapshot["name"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the snapshots that a machine's disk has.
async fn on_disk(world: &World, machine: &MachineId) -> Vec<String> {
    let snapshots = world.host.look_snapshots(machine).await.unwrap();
    snapshots.into_iter().map(|snapshot| snapshot.id.to_string()).collect()
}

/// Whatever the machine does first is not in it.
#[tokio::test]
async fn an_initial_snapshot_is_taken_before_the_first_boot() {
    let world = World::new().await;
    let id = world.create(json!({"takeInitialSnapshot": true})).await;
    while world.host.look_snapshots(&id).await.unwrap().is_empty() {
        assert!(!world.host.dump().contains("boot 1"), "{}", world.host.dump());
        assert!(world.step().await);
    }
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
    assert_eq!(world.host.look_snapshots(&id).await.unwrap().len(), 1);
    assert_eq!(names(&world).await, ["Initial snapshot"]);
}
