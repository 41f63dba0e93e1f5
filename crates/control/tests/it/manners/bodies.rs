//! What real clients send is taken.

use serde_json::{Value, json};

use super::errors::told;
use crate::world::{World, machine};

#[tokio::test]
async fn an_order_needs_no_body_and_bears_any() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let key = ("authorization", format!("Bearer {}", world.key));
    let kind = |kind: &str| ("content-type", kind.to_owned());
    let stale = format!("{{\"id\": \"{id}\", \"billingType\": \"hourly\"}}");
    for (headers, body) in [
        (vec![key.clone()], ""),
        (vec![key.clone(), kind("application/json")], ""),
        (vec![key.clone(), kind("application/json")], " \n"),
        (vec![key.clone(), kind("application/json")], "{}"),
        (vec![key.clone(), kind("application/json; charset=utf-8")], &stale),
        (vec![key.clone(), kind("text/plain")], ""),
        (vec![key.clone(), kind("text/plain")], "{}"),
    ] {
        let reply = world.send(&format!("PATCH /v1/machines/{id}/start"), &headers, body.to_owned()).await;
        assert_eq!(
            (reply.status, &reply.body["event"]["state"]),
            (200, &json!("done")),
            "{headers:?} {body}"
        );
    }
    let reply = world.send(&format!("PATCH /v1/machines/{id}/stop"), &[key], "stop it").await;
    told(&reply, 400, "PARSE_ERROR");
    assert_eq!(world.machine(&id).await.state.word(), "ready");
    world.ok(&format!("DELETE /v1/machines/{id}/"), json!({"id": id, "force": true})).await;
}

#[tokio::test]
async fn a_last_slash_and_a_stale_query_key_do_no_harm() {
    let world = World::new().await;
    for line in [
        "GET /v1/machines/",
        "GET /v1/machines//?limit=5",
        "GET /v1/machines?limit=5&teamId=te1",
        "GET /v1/openapi.json/",
    ] {
        assert_eq!(world.call(line, Value::Null).await.status, 200, "{line}");
    }
    let key = [
        ("authorization", format!("Bearer {}", world.key)),
        ("content-type", "application/json".to_owned()),
        ("x-client", "paperspace-cli".to_owned()),
    ];
    assert_eq!(world.send("GET /v1/machines", &key, "").await.status, 200);
}

#[tokio::test]
async fn unknown_keys_are_ignored_where_real_clients_send_them() {
    let world = World::new().await;
    world.ok("POST /v1/machines/", machine(json!({"billingType": "hourly", "isManaged": 1}))).await;
    for (path, body) in [
        ("private-networks", json!({"name": "lab", "region": "ny2", "cidr": "10.0.0.0/8"})),
        ("startup-scripts", json!({"name": "setup", "script": "true", "cidr": 1})),
        ("ssh-keys", json!({"name": "key", "publicKey": "ssh-ed25519 x", "cidr": null})),
    ] {
        let message = told(&world.call(&format!("POST /v1/{path}"), body).await, 400, "BAD_REQUEST");
        assert!(message.starts_with("cidr: is not a field of this request, expected"), "{message}");
    }
}

#[tokio::test]
async fn falsy_values_may_be_left_out() {
    let world = World::new().await;
    let script = world.ok("POST /v1/startup-scripts", json!({"name": "setup", "script": "true"})).await;
    assert_eq!((&script["isRunOnce"], &script["isEnabled"]), (&json!(false), &json!(true)));
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    assert_eq!(network.get("dtDeleted"), None);
    let said = json!({
        "publicIpType": "none", "autoSnapshotEnabled": false, "autoShutdownEnabled": false, "enableNvlink": false,
        "restorePointEnabled": false, "takeInitialSnapshot": false, "accessorIds": [], "emailPassword": true,
    });
    for changes in [json!({}), said] {
        let ordered = world.ok("POST /v1/machines", machine(changes)).await;
        assert_eq!(ordered["data"]["publicIpType"], "none");
    }
}
