//! The second dialect, dashboards' sessions, and the limits of keys.

mod bad_input;
mod isolation;
mod pages;
mod ranges;
mod rates;
mod reference;
mod sessions;

use serde_json::{Value, json};

use crate::world::{Reply, World};

pub const NETWORKS: &str = "/api/v2/private-networks";

/// A network, made in the second dialect.
pub async fn make(world: &World, body: Value) -> Value {
    let reply = world.call(&format!("POST {NETWORKS}"), body).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.body
}

/// The items of a page.
pub async fn items(world: &World, query: &str) -> Vec<Value> {
    let page = world.ok(&format!("GET {NETWORKS}?{query}"), Value::Null).await;
    page["data"].as_array().unwrap().clone()
}

pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("{key} of {object} is no text"))
}

/// That an answer is a problem of that status and code; its words.
pub fn problem<'a>(reply: &'a Reply, status: u16, code: &str) -> &'a str {
    assert_eq!((reply.status, text(&reply.body, "code")), (status, code), "{}", reply.body);
    text(&reply.body, "detail")
}

/// Sets what the world's team may have of networks.
pub async fn set_quota(world: &World, most: u32) {
    let team = &world.team.id;
    let old = format!("DELETE FROM quotas WHERE team_id = '{team}' AND noun = 'private-networks'");
    world.run(&old).await;
    let new =
        format!("INSERT INTO quotas (team_id, noun, most) VALUES ('{team}', 'private-networks', {most})");
    world.run(&new).await;
}

/// The network's id in the v1 API.
pub async fn v1_id(world: &World, name: &str) -> String {
    let page = world.ok(&format!("GET /v1/private-networks?name={name}"), Value::Null).await;
    text(&page["items"][0], "id").to_owned()
}

pub fn lab() -> Value {
    json!({"name": "lab", "region": "ny2"})
}
