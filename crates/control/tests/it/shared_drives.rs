//! Shared drives: made, shared, changed, lost, brought back, destroyed.

mod any_order;
mod life;
mod refused;
mod secrets;

use serde_json::{Value, json};

use crate::world::World;

/// A network with a drive of that size in it, settled; the drive.
async fn lab(world: &World, size_gb: u64) -> Value {
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let drive = world.ok("POST /v1/shared-drives", wanted(&network, size_gb)).await;
    world.settle().await;
    drive
}

fn wanted(network: &Value, size_gb: u64) -> Value {
    json!({"name": "data", "size": size_gb, "region": "ny2", "networkId": network["id"]})
}

fn path(drive: &Value) -> String {
    format!("/v1/shared-drives/{}", drive["id"].as_str().unwrap())
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value.as_str().unwrap().parse().unwrap()
}

/// What the detail of an object says: whether it is ready, and its trouble.
async fn detail(world: &World, path: &str) -> (bool, String) {
    let detail = world.ok(&format!("GET {path}/detail"), Value::Null).await;
    let trouble = detail["lastError"].as_str().unwrap_or_default().to_owned();
    assert_eq!(detail["dtLastError"].is_string(), !trouble.is_empty(), "{detail}");
    (detail["isReady"].as_bool().unwrap(), trouble)
}
