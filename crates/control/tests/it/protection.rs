//! Protection against deletion, the same for each noun that has it.

use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

#[tokio::test]
async fn what_is_protected_is_not_deleted_until_it_is_not() {
    let world = World::new().await;
    let machine = world.create(json!({"publicIpType": "static"})).await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let ip = world.ok("POST /v1/public-ips", json!({"region": "ny2"})).await;
    world.settle().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (noun, id) in [
        ("machines", machine.to_string()),
        ("private-networks", text(&network["id"])),
        ("public-ips", text(&ip["ip"])),
    ] {
        let path = format!("/v1/{noun}/{id}");
        let protection = format!("{path}/protection");
        let is = async || world.ok(&format!("GET {protection}"), Value::Null).await;
        assert_eq!(is().await, json!({"isProtected": false}));
        for _ in 0..2 {
            let set = world.ok(&format!("PUT {protection}"), json!({"isProtected": true})).await;
            assert_eq!((set, is().await), (json!({"isProtected": true}), json!({"isProtected": true})));
        }
        let before = world.dump().await;
        let reply = world.call(&format!("DELETE {path}"), Value::Null).await;
        let cure = format!(
            "{id} is protected against deletion; lift that first: PUT {protection} {{\"isProtected\": false}}"
        );
        assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", cure.as_str()));
        while deckle_control::reconciler::visit_next(&world.app).await {}
        assert_eq!(world.dump().await, before);
        for wrong in [json!({"isProtected": "yes"}), json!({"protected": false})] {
            assert_eq!(world.call(&format!("PUT {protection}"), wrong).await.status, 400);
        }
        assert_eq!(world.ok(&format!("PUT {protection}"), json!({})).await, json!({"isProtected": false}));
        world.ok(&format!("DELETE {path}"), Value::Null).await;
        world.settle().await;
        assert_eq!(world.call(&format!("GET {protection}"), Value::Null).await.status, 404, "{noun}");
    }
}

#[tokio::test]
async fn a_protected_machine_is_used_as_any_other() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.ok(&format!("PUT /v1/machines/{id}/protection"), json!({"isProtected": true})).await;
    for verb in ["stop", "start", "restart"] {
        order(&world, verb, &id).await;
        world.settle().await;
    }
    assert_eq!(world.machine(&id).await.state.word(), "ready");
    world.ok(&format!("PUT /v1/machines/{id}/protection"), json!({"isProtected": false})).await;
    order(&world, "delete", &id).await;
    let reply = world.call(&format!("PUT /v1/machines/{id}/protection"), json!({"isProtected": true})).await;
    assert_eq!(reply.status, 409, "too late: {}", reply.body);
    world.settle().await;
}

#[tokio::test]
async fn a_protected_address_may_be_led_elsewhere_and_outlives_its_machine() {
    let world = World::new().await;
    let id = world.create(json!({"publicIpType": "static"})).await;
    world.settle().await;
    world.ok("PUT /v1/public-ips/203.0.113.1/protection", json!({"isProtected": true})).await;
    world.ok("PUT /v1/public-ips/203.0.113.1", json!({})).await;
    world.ok("PUT /v1/public-ips/203.0.113.1", json!({"machineId": id})).await;
    order(&world, "delete", &id).await;
    world.settle().await;
    assert_eq!(world.call("DELETE /v1/public-ips/203.0.113.1", Value::Null).await.status, 412);
}
