//! Upgrades: another type, a larger disk.

use deckle_api::ids::MachineId;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault};
use deckle_engine::specs::HostNetwork;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

const GIB: u64 = 1 << 30;

async fn put(world: &World, id: &MachineId, changes: Value) -> Value {
    world.ok(&format!("PUT /v1/machines/{id}"), changes).await
}

/// A world with a machine that is off: a C2 with 50 GB.
async fn off() -> (World, MachineId) {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    (world, id)
}

/// How large the machine's disk is on its host, in GiB.
async fn disk_gib(world: &World, id: &MachineId) -> u64 {
    let seen = world.host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap();
    seen.disk.unwrap().size_bytes / GIB
}

#[tokio::test]
async fn a_machine_that_is_off_gets_another_type_and_a_larger_disk_within_one_event() {
    let (world, id) = off().await;
    let asked = json!({"machineType": "c3", "diskSize": 100});
    let ordered = put(&world, &id, asked.clone()).await;
    assert_eq!(
        (&ordered["event"]["name"], &ordered["event"]["state"]),
        (&json!("vm-upgrade"), &json!("new"))
    );
    assert_eq!(ordered["data"]["state"], "upgrading");
    assert_eq!(
        (&ordered["data"]["machineType"], &ordered["data"]["storageTotal"]),
        (&json!("C2"), &json!(50 * GIB)),
        "it is so when it is done"
    );
    assert_eq!(put(&world, &id, asked.clone()).await["event"]["id"], ordered["event"]["id"], "asked twice");
    let start = world.call(&format!("PATCH /v1/machines/{id}/start"), Value::Null).await;
    assert_eq!(start.status, 409, "{}", start.body);
    let other = world.call(&format!("PUT /v1/machines/{id}"), json!({"diskSize": 200})).await;
    assert_eq!(other.status, 409, "{}", other.body);
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-upgrade done".into()));
    let machine = world.machine(&id).await;
    assert_eq!(
        (machine.machine_type.as_str(), machine.cpus, machine.ram, machine.storage_total),
        ("C3", 2, 2 * GIB, 100 * GIB)
    );
    assert_eq!(disk_gib(&world, &id).await, 100);
    assert_eq!(put(&world, &id, asked).await.get("event"), None, "it is so");
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    assert!(
        world.host.dump().contains("100 GiB on t0nspur5; on, boot 1, 2 vCPUs, 2 GiB"),
        "{}",
        world.host.dump()
    );
}

/// The official client sends name, type and size with every change.
#[tokio::test]
async fn what_is_so_already_is_no_change_in_any_state() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    let all = json!({"name": "db", "machineType": "c2", "diskSize": 50});
    assert_eq!(put(&world, &id, all.clone()).await.get("event"), None, "while it is being made");
    world.settle().await;
    assert_eq!(put(&world, &id, all.clone()).await.get("event"), None, "while it is on");
    order(&world, "stop", &id).await;
    assert_eq!(put(&world, &id, all.clone()).await.get("event"), None, "while it stops");
    world.settle().await;
    assert_eq!(put(&world, &id, all).await.get("event"), None, "while it is off");
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
}

#[tokio::test]
async fn what_cannot_be_is_named_and_changes_nothing() {
    let (world, id) = off().await;
    let on = world.create(json!({"name": "on"})).await;
    let kin = json!({"name": "far", "region": "ca1", "startOnCreate": false, "machineType": "A6000"});
    let far = world.create(kin).await;
    world.settle().await;
    let machines = async || world.ok("GET /v1/machines", Value::Null).await;
    let before = machines().await;
    for (machine, asked, status, told) in [
        (&id, json!({"diskSize": 49}), 412, "diskSize: a disk only grows"),
        (&id, json!({"diskSize": 0}), 400, "diskSize: expected a whole number of GB from 1 to 16000"),
        (&id, json!({"diskSize": 50.5}), 400, "diskSize: expected a whole number"),
        (&id, json!({"diskSize": 16001}), 400, "diskSize: expected a whole number"),
        (&id, json!({"diskSize": "100"}), 400, "diskSize: "),
        (&id, json!({"machineType": "C99"}), 400, "machineType: there is no machine type `C99`"),
        (&id, json!({"machineType": ""}), 400, "machineType: there is no machine type"),
        (&id, json!({"machineType": "P4000"}), 412, "machineType: "),
        (&id, json!({"machineType": "C3", "diskSize": 20}), 412, "diskSize: a disk only grows"),
        (&far, json!({"machineType": "C3"}), 412, "machineType: "),
        (
            &far,
            json!({"machineType": "A100-80G"}),
            400,
            "machineType: the region ca1 does not offer A100-80G",
        ),
        (&on, json!({"machineType": "C3"}), 412, "machineType: it changes while the machine is off"),
        (&on, json!({"diskSize": 100}), 412, "diskSize: it changes while the machine is off"),
    ] {
        let reply = world.call(&format!("PUT /v1/machines/{machine}"), asked.clone()).await;
        assert_eq!(reply.status, status, "{asked}: {}", reply.body);
        assert!(reply.error().2.starts_with(told), "{asked}: {}", reply.body);
    }
    let other_kin = world.call(&format!("PUT /v1/machines/{far}"), json!({"machineType": "C3"})).await;
    assert!(other_kin.error().2.contains("it may be one of A4000"), "{}", other_kin.body);
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(machines().await, before);
}

#[tokio::test]
async fn an_upgrade_and_a_move_are_one_event() {
    let (world, id) = off().await;
    let lab = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let all = json!({
        "name": "db", "machineType": "C4", "diskSize": 60, "networkId": lab["id"], "publicIpType": "static",
    });
    let ordered = put(&world, &id, all.clone()).await;
    assert_eq!(
        (&ordered["event"]["name"], &ordered["data"]["state"]),
        (&json!("vm-upgrade"), &json!("upgrading"))
    );
    assert_eq!(put(&world, &id, all).await["event"]["id"], ordered["event"]["id"]);
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-upgrade done".into()));
    let machine = world.machine(&id).await;
    assert_eq!((machine.machine_type.as_str(), json!(machine.network_id)), ("C4", lab["id"].clone()));
    assert_eq!(disk_gib(&world, &id).await, 60);
}

#[tokio::test]
async fn a_growth_that_fails_leaves_the_machine_as_it_was() {
    let (world, id) = off().await;
    world.host.fail_always(Some((Call::EnsureDisk, Fault::Final)));
    put(&world, &id, json!({"machineType": "C3", "diskSize": 100})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-upgrade error".into()));
    let machine = world.machine(&id).await;
    assert_eq!((machine.machine_type.as_str(), machine.storage_total), ("C2", 50 * GIB));
    world.host.fail_always(None);
    world.live_seconds(60).await;
    assert_eq!(disk_gib(&world, &id).await, 50, "what has failed is not done later");
    put(&world, &id, json!({"machineType": "C3", "diskSize": 100})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-upgrade done".into()));
}

#[tokio::test]
async fn a_stop_or_a_delete_takes_the_place_of_an_upgrade() {
    for (verb, grown) in [("stop", false), ("stop", true), ("delete", false)] {
        let (world, id) = off().await;
        put(&world, &id, json!({"machineType": "C3", "diskSize": 100})).await;
        while grown && disk_gib(&world, &id).await == 50 {
            assert!(world.step().await);
        }
        order(&world, verb, &id).await;
        world.settle().await;
        let events = world.ok(&format!("GET /v1/machine-events?machineId={id}"), Value::Null).await;
        let upgrade = events["items"].as_array().unwrap().iter().find(|event| event["name"] == "vm-upgrade");
        assert_eq!(upgrade.unwrap()["state"], "cancelled");
        if verb == "stop" {
            let (machine, gib) = (world.machine(&id).await, disk_gib(&world, &id).await);
            assert_eq!((gib, machine.storage_total), (if grown { 100 } else { 50 }, gib * GIB));
            assert_eq!(machine.machine_type, "C2");
        }
    }
}

#[tokio::test]
async fn a_failed_create_may_be_changed_before_it_is_tried_again() {
    let world = World::new().await;
    world.host.fail_always(Some((Call::EnsureDisk, Fault::Final)));
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.fail_always(None);
    put(&world, &id, json!({"machineType": "C3", "diskSize": 60})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-upgrade done".into()));
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    assert_eq!(disk_gib(&world, &id).await, 60);
}

#[tokio::test]
async fn gpus_are_counted_when_the_type_changes() {
    let world = World::new().await;
    let id = world.create(json!({"machineType": "P4000", "startOnCreate": false})).await;
    world.settle().await;
    let limits = format!("POST /admin/teams/{}/limits", world.team.id);
    let set = world.admin(&limits, json!({"limits": {"gpus/P4000": 2}})).await;
    assert_eq!(set.status, 200, "{}", set.body);
    let before = world.machine(&id).await;
    let reply = world.call(&format!("PUT /v1/machines/{id}"), json!({"machineType": "P4000x4"})).await;
    assert_eq!(reply.error().0, 412, "{}", reply.body);
    assert!(reply.error().2.starts_with("gpus/P4000: limit 2, in use 1"), "{}", reply.body);
    assert_eq!(world.machine(&id).await, before);
    put(&world, &id, json!({"machineType": "P4000x2"})).await;
    let late = json!({"machineType": "P4000"});
    let late = world.call("POST /v1/machines", crate::world::machine(late)).await;
    assert!(
        late.error().2.starts_with("gpus/P4000: limit 2, in use 2"),
        "while it is under way: {}",
        late.body
    );
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-upgrade done".into()));
}
