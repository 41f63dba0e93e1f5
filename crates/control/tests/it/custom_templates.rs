//! Custom templates: made of a machine that is off, used for more machines, gone when nobody needs them.

mod life;
mod refused;

use deckle_api::ids::MachineId;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

const TEMPLATES: &str = "POST /v1/custom-templates";

/// A machine that is off.
async fn off(world: &World, changes: Value) -> MachineId {
    let id = world.create(changes).await;
    world.settle().await;
    order(world, "stop", &id).await;
    world.settle().await;
    id
}

/// Orders a template of a machine; its id.
async fn ordered(world: &World, name: &str, machine: &MachineId) -> String {
    let ordered = world.ok(TEMPLATES, json!({"name": name, "machineId": machine})).await;
    assert_eq!(ordered["event"]["name"], "template-create");
    assert_eq!(ordered["event"]["machineId"], json!(machine));
    ordered["data"]["id"].as_str().unwrap().to_owned()
}

/// A template of a machine, made.
async fn made(world: &World, name: &str, machine: &MachineId) -> String {
    let id = ordered(world, name, machine).await;
    world.settle().await;
    assert_eq!(world.state(machine).await, ("off".into(), "template-create done".into()));
    id
}

async fn get(world: &World, id: &str) -> Value {
    world.ok(&format!("GET /v1/custom-templates/{id}"), Value::Null).await
}

/// Whether its host has a template's image.
fn has_image(world: &World, id: &str) -> bool {
    world.host.dump().lines().any(|line| line.trim().starts_with(&format!("{id}: ")))
}
