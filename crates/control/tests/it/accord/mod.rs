//! What machines do by themselves: they shut down, have snapshots taken, and go back to their restore points.

mod restore_points;
mod shutdowns;
mod snapshots;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_engine::Engine;
use deckle_engine::seen::Power;
use deckle_engine::specs::HostNetwork;
use serde_json::Value;

use crate::world::World;

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

async fn put(world: &World, id: &MachineId, changes: Value) {
    let answer = world.ok(&format!("PUT /v1/machines/{id}"), changes).await;
    assert_eq!(answer.get("event"), None);
}

/// What is said of each event of a machine, the oldest first.
async fn events(world: &World, id: &MachineId) -> Vec<String> {
    let of = format!("GET /v1/machine-events?machineId={id}&limit=120&order=asc");
    let events = world.ok(&of, Value::Null).await;
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let events = events["items"].as_array().unwrap().iter();
    events.map(|event| format!("{} {}", word(&event["name"]), word(&event["state"]))).collect()
}

/// When a machine of its own network was powered on.
async fn on_since(world: &World, id: &MachineId) -> Timestamp {
    match world.host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap().power {
        Power::On { since, .. } => since,
        off => panic!("{off:?}"),
    }
}

/// Whether a machine is on.
async fn is_on(world: &World, id: &MachineId) -> bool {
    let seen = world.host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap();
    matches!(seen.power, Power::On { .. })
}

/// The names of a machine's snapshots, the oldest first. Its disk has all of them, and no others.
async fn names(world: &World, id: &MachineId) -> Vec<String> {
    let made = format!("FROM snapshots WHERE machine_id = '{id}' AND dt_deleted IS NULL ORDER BY dt_created");
    let ids = world.texts(&format!("SELECT id AS text {made}")).await;
    let seen = world.host.look_snapshots(id).await.unwrap();
    let seen: Vec<_> = seen.iter().map(|snapshot| snapshot.id.to_string()).collect();
    assert_eq!(ids, seen);
    world.texts(&format!("SELECT name AS text {made}")).await
}
