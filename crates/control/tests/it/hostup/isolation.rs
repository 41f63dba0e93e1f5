//! A team sees its own networks only, in this dialect too.

use serde_json::{Value, json};

use super::{NETWORKS, items, lab, make, problem, set_quota, text};
use crate::world::World;

#[tokio::test]
async fn another_team_finds_nothing() {
    let world = World::new().await;
    let made = make(&world, json!({"name": "lab", "parentCidr": "10.42.0.0/21"})).await;
    world.settle().await;
    set_quota(&world, 1).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let page = world.call_as(&key, &format!("GET {NETWORKS}"), Value::Null).await;
    assert_eq!(page.body, json!({"data": [], "hasMore": false, "nextCursor": null}));
    let before = world.dump().await;
    let id = text(&made, "id");
    let unknown = format!("pnet_{}", &"0".repeat(26));
    for method in ["GET", "DELETE"] {
        let theirs = world.call_as(&key, &format!("{method} {NETWORKS}/{id}"), Value::Null).await;
        let none = world.call_as(&key, &format!("{method} {NETWORKS}/{unknown}"), Value::Null).await;
        let told = problem(&theirs, 404, "private_network_not_found");
        assert_eq!(told, problem(&none, 404, "private_network_not_found"), "not a hint");
    }
    assert_eq!(world.dump().await, before);

    let body = json!({"name": "theirs", "parentCidr": "10.42.0.0/21"});
    let same_range = world.call_as(&key, &format!("POST {NETWORKS}"), body).await;
    assert_eq!((same_range.status, &same_range.body["parentCidr"]), (201, &json!("10.42.0.0/21")));
    world.settle().await;
    let theirs = world.call_as(&key, &format!("GET {NETWORKS}"), Value::Null).await;
    let gate = |item: &Value| item["actions"]["canAddSubnet"]["allowed"].clone();
    assert_eq!(gate(&theirs.body["data"][0]), json!(true), "another team's quota is not theirs");
    let ours = items(&world, "").await;
    assert_eq!((ours.len(), text(&ours[0], "name"), gate(&ours[0])), (1, "lab", json!(false)));
}

#[tokio::test]
async fn the_same_idempotency_key_is_another_one_for_another_key() {
    let world = World::new().await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let mut ids = Vec::new();
    for key in [&world.key, &key] {
        let headers = [("authorization", format!("Bearer {key}")), ("idempotency-key", "once".to_owned())];
        let reply = world.send(&format!("POST {NETWORKS}"), &headers, lab().to_string()).await;
        ids.push(text(&reply.body, "id").to_owned());
    }
    assert_ne!(ids[0], ids[1]);
}
