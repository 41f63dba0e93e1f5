//! Private networks, and the machines in them.

use deckle_api::ids::MachineId;
use deckle_control::config::Config;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

async fn network(world: &World, name: &str) -> Value {
    world.ok("POST /v1/private-networks", json!({"name": name, "region": "ny2"})).await
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_network_comes_and_goes() {
    let world = World::new().await;
    let empty = world.dump().await;
    let made = network(&world, "lab").await;
    assert_eq!(
        (&made["network"], &made["netmask"], &made["region"]),
        (&json!("10.64.0.0"), &json!("255.255.255.0"), &json!("ny2"))
    );
    world.settle().await;
    assert!(world.host.dump().contains("10.64.0.0/24"));
    assert_eq!(world.ok(&format!("GET /v1/private-networks/{}", id(&made)), Value::Null).await, made);
    assert_eq!(
        world.ok(&format!("DELETE /v1/private-networks/{}", id(&made)), Value::Null).await,
        json!({"id": made["id"]})
    );
    for line in ["GET", "DELETE"] {
        let reply = world.call(&format!("{line} /v1/private-networks/{}", id(&made)), Value::Null).await;
        assert_eq!(reply.error().1, "NOT_FOUND", "{line}");
    }
    world.settle().await;
    assert_eq!(world.dump().await, empty);
}

#[tokio::test]
async fn a_network_with_machines_stays_and_they_are_named() {
    let world = World::new().await;
    let made = network(&world, "lab").await;
    let on = world.create(json!({"networkId": made["id"], "name": "first"})).await;
    let off = world.create(json!({"networkId": made["id"], "name": "second", "startOnCreate": false})).await;
    world.settle().await;
    let line = format!("DELETE /v1/private-networks/{}", id(&made));
    let before = world.dump().await;
    let reply = world.call(&line, Value::Null).await;
    assert_eq!((reply.error().0, reply.error().1), (412, "PRECONDITION_FAILED"));
    assert!(reply.error().2.contains(&format!("{on} (first), {off} (second)")), "{}", reply.body);
    assert_eq!(world.dump().await, before);
    for machine in [&on, &off] {
        order(&world, "delete", machine).await;
        assert_eq!(world.call(&line, Value::Null).await.status, 412, "it is still there");
        world.settle().await;
    }
    world.ok(&line, Value::Null).await;
    world.settle().await;
    assert!(world.host.dump().contains("networks: none"));
}

#[tokio::test]
async fn freed_ranges_are_used_again_and_the_pool_has_an_end() {
    let config = Config { private_pool: "10.64.0.0/19".parse().unwrap(), ..Config::default() };
    let world = World::with(config, None).await;
    let mut made = Vec::new();
    for n in 0..4 {
        made.push(network(&world, &format!("lab {n}")).await);
    }
    let ranges: Vec<_> = made.iter().map(|network| network["network"].as_str().unwrap()).collect();
    assert_eq!(ranges, ["10.64.0.0", "10.64.8.0", "10.64.16.0", "10.64.24.0"]);
    let one_more = json!({"name": "one more", "region": "ny2"});
    let reply = world.call("POST /v1/private-networks", one_more.clone()).await;
    assert_eq!(reply.error().1, "PRECONDITION_FAILED");
    assert!(
        reply.error().2.starts_with("all 4 networks of the pool 10.64.0.0/19 are in use"),
        "{}",
        reply.body
    );
    world.settle().await;
    world.ok(&format!("DELETE /v1/private-networks/{}", id(&made[1])), Value::Null).await;
    assert_eq!(
        world.call("POST /v1/private-networks", one_more.clone()).await.status,
        412,
        "it is still on its host"
    );
    world.settle().await;
    assert_eq!(world.ok("POST /v1/private-networks", one_more).await["network"], "10.64.8.0");
}

#[tokio::test]
async fn a_network_has_252_addresses() {
    let world = World::new().await;
    let made = network(&world, "lab").await;
    let wanted = json!({"networkId": made["id"], "startOnCreate": false});
    let mut ids = Vec::new();
    for _ in 0..252 {
        ids.push(world.create(wanted.clone()).await);
    }
    assert_eq!(world.machine(&ids[0]).await.private_ip.as_deref(), Some("10.64.0.3"));
    assert_eq!(world.machine(&ids[251]).await.private_ip.as_deref(), Some("10.64.0.254"));
    let reply = world.call("POST /v1/machines", crate::world::machine(wanted.clone())).await;
    assert_eq!(reply.error().1, "PRECONDITION_FAILED");
    assert!(reply.error().2.contains("has no free address: 252 of 252 are in use"), "{}", reply.body);
    order(&world, "delete", &ids[7]).await;
    world.settle().await;
    assert_eq!(world.machine(&world.create(wanted).await).await.private_ip.as_deref(), Some("10.64.0.10"));
}

#[tokio::test]
async fn inside_a_network_a_name_is_its_oldest_machines() {
    let world = World::new().await;
    let (lab, den) = (network(&world, "lab").await, network(&world, "den").await);
    let first = world.create(json!({"networkId": lab["id"], "name": "Web"})).await;
    let second = world.create(json!({"networkId": lab["id"], "name": "web"})).await;
    let no_label = world.create(json!({"networkId": lab["id"], "name": "web box"})).await;
    let elsewhere = world.create(json!({"networkId": den["id"], "name": "web"})).await;
    world.settle().await;
    plugged_as(&world, &[(&first, " web"), (&second, ""), (&no_label, ""), (&elsewhere, " web")]);

    world.ok(&format!("DELETE /v1/machines/{first}"), json!({})).await;
    world.settle().await;
    plugged_as(&world, &[(&second, " web"), (&no_label, ""), (&elsewhere, " web")]);
    assert_eq!(world.state(&second).await, ("ready".into(), "create done".into()));
}

/// The names that each machine has in its network, besides its id.
fn plugged_as(world: &World, expected: &[(&MachineId, &str)]) {
    let host = world.host.dump();
    for (machine, names) in expected {
        let begins = format!("{machine} at");
        let plugged = host.split([';', '\n']).find(|part| part.trim().starts_with(&begins)).unwrap();
        assert!(plugged.ends_with(&format!("as {machine}{names}")), "{plugged}");
    }
}

#[tokio::test]
async fn machines_are_told_where_they_are() {
    let world = World::new().await;
    let made = network(&world, "lab").await;
    let inside = world.machine(&world.create(json!({"networkId": made["id"]})).await).await;
    let alone = world.machine(&world.create(json!({})).await).await;
    assert_eq!((inside.network_id.unwrap().to_string().as_str(), alone.network_id), (id(&made), None));
    assert_eq!(
        (inside.private_ip.as_deref(), alone.private_ip.as_deref()),
        (Some("10.64.0.3"), Some("172.31.255.254"))
    );
}
