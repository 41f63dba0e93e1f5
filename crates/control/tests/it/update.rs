//! Changes of machines and of networks.

use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

async fn put(world: &World, id: &MachineId, changes: Value) -> Value {
    world.ok(&format!("PUT /v1/machines/{id}"), changes).await
}

/// What a client changes beside an order does not give the order more time.
#[tokio::test]
async fn a_machine_that_is_renamed_fails_when_it_would_have() {
    let changes = [json!({"name": "other"}), json!({"publicIpType": "static"}), json!({"name": "third"})];
    for changed in [false, true] {
        let world = World::new().await;
        world.host.fail_always(Some((Call::EnsureDisk, Fault::Passing)));
        let id = world.create(json!({})).await;
        for change in &changes {
            world.live_seconds(190).await;
            assert_eq!(world.state(&id).await, ("provisioning".into(), "create in progress".into()));
            if changed {
                put(&world, &id, change.clone()).await;
            }
        }
        world.live_seconds(60).await;
        assert_eq!(world.state(&id).await, ("off".into(), "create error".into()), "{changed}");
        order(&world, "start", &id).await;
        world.live_seconds(190).await;
        assert_eq!(world.state(&id).await.1, "start in progress", "an order begins anew");
    }
}

#[tokio::test]
async fn a_name_changes_at_once_in_any_state() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    let named = put(&world, &id, json!({"name": "Büro"})).await;
    assert_eq!(
        (named.get("event"), &named["data"]["name"]),
        (None, &json!("Büro")),
        "while it is being made"
    );
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
    assert!(world.host.dump().contains("boot 1"), "{}", world.host.dump());
    put(&world, &id, json!({"name": "web-2", "billingType": "hourly"})).await;
    world.settle().await;
    assert!(world.host.dump().contains(&format!("as {id} web-2")), "{}", world.host.dump());
    order(&world, "stop", &id).await;
    world.settle().await;
    put(&world, &id, json!({"name": "web-3"})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    let found = world.ok("GET /v1/machines?name=EB-3", Value::Null).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let before = world.machine(&id).await;
    put(&world, &id, json!({})).await;
    put(&world, &id, json!({"name": "web-3"})).await;
    assert_eq!(world.machine(&id).await, before, "nothing has changed, nor when it last did");
}

#[tokio::test]
async fn several_changes_are_made_together_within_one_event_or_not_at_all() {
    let world = World::new().await;
    let lab = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let far = world.ok("POST /v1/private-networks", json!({"name": "far", "region": "ca1"})).await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let before = world.dump().await;
    for wrong in [
        json!({"name": "db", "publicIpType": "static", "networkId": far["id"]}),
        json!({"name": "", "publicIpType": "static", "networkId": lab["id"]}),
        json!({"name": "db", "publicIpType": "static", "machineType": "P4000"}),
        json!({"name": "db", "publicIpType": "static", "diskSize": 49}),
        json!({"name": "db", "machineType": "C3", "diskSize": 100, "networkId": far["id"]}),
        json!({"name": "db", "publicIpType": "static", "autoSnapshotEnabled": true, "autoSnapshotSaveCount": 11}),
        json!({"name": "db", "autoShutdownEnabled": true, "restorePointEnabled": true}),
        json!({"name": "db", "publicIpType": "floating"}),
    ] {
        let reply = world.call(&format!("PUT /v1/machines/{id}"), wrong.clone()).await;
        assert!([400, 412].contains(&reply.status), "{wrong}: {}", reply.body);
    }
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(world.dump().await, before);
    let all = json!({"name": "db", "publicIpType": "static", "networkId": lab["id"], "machineType": "c2", "diskSize": 50});
    let changed = put(&world, &id, all.clone()).await;
    assert_eq!(changed["event"]["name"], "vm-migrate");
    assert_eq!(
        (&changed["data"]["name"], &changed["data"]["publicIp"]),
        (&json!("db"), &json!("203.0.113.1"))
    );
    assert_eq!(put(&world, &id, all.clone()).await["event"], changed["event"]);
    world.settle().await;
    assert_eq!(put(&world, &id, all).await.get("event"), None);
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}"), Value::Null).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_changed_yet_is_refused_by_name_and_what_is_so_already_is_not() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let before = world.dump().await;
    let same = json!({
        "machineType": "C2", "diskSize": 50, "autoSnapshotEnabled": false, "autoSnapshotSaveCount": 0,
        "autoShutdownEnabled": false, "autoShutdownTimeout": 0, "autoShutdownForce": false,
        "restorePointEnabled": false, "publicIpType": "none", "networkId": null,
    });
    assert_eq!(put(&world, &id, same).await.get("event"), None);
    for (field, value, status) in [
        ("autoSnapshotFrequency", json!("yearly"), 400),
        ("autoSnapshotSaveCount", json!(11), 400),
        ("autoShutdownTimeout", json!(0), 400),
        ("autoShutdownTimeout", json!(1.5), 400),
        ("autoShutdownTimeout", json!(169), 400),
        ("restorePointFrequency", json!("hourly"), 400),
        ("restorePointSnapshotId", json!("sl1"), 400),
        ("restorePointSnapshotId", json!("ps1"), 400),
        ("name", json!("a\nb"), 400),
        ("name", json!(null), 400),
        ("networkId", json!(""), 400),
    ] {
        let reply = world.call(&format!("PUT /v1/machines/{id}"), json!({field: value})).await;
        assert_eq!(reply.status, status, "{field} {value}: {}", reply.body);
        assert!(reply.error().2.starts_with(&format!("{field}: ")), "{field} {value}: {}", reply.body);
    }
    assert_eq!(world.dump().await, before);
    order(&world, "delete", &id).await;
    let reply = world.call(&format!("PUT /v1/machines/{id}"), json!({"name": "late"})).await;
    assert_eq!(reply.error(), (409, "CONFLICT", format!("{id} is being deleted").as_str()));
    world.settle().await;
    let reply = world.call(&format!("PUT /v1/machines/{id}"), json!({"name": "late"})).await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn a_networks_name_changes_and_nothing_else_of_it() {
    let world = World::new().await;
    let made = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    world.settle().await;
    let host = world.host.dump();
    let line = format!("PUT /v1/private-networks/{}", made["id"].as_str().unwrap());
    let mut renamed = made.clone();
    renamed["name"] = json!("den");
    assert_eq!(world.ok(&line, json!({"name": "den"})).await, renamed);
    assert_eq!(world.ok(&line, json!({})).await, renamed);
    for (wrong, field) in
        [(json!({"name": ""}), "name"), (json!({"name": 7}), "name"), (json!({"region": "ca1"}), "region")]
    {
        let reply = world.call(&line, wrong).await;
        assert!(reply.status == 400 && reply.error().2.starts_with(field), "{}", reply.body);
    }
    let found = world.ok("GET /v1/private-networks?name=DEN", Value::Null).await;
    assert_eq!(found["items"], json!([renamed]));
    assert_eq!(world.host.dump(), host);
}
