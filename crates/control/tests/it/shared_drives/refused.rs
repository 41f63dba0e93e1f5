//! What is refused, and changes nothing.

use deckle_control::config::Config;
use deckle_engine::seen::Capacity;
use serde_json::{Value, json};

use super::{lab, path, wanted};
use crate::world::World;

/// A world whose host has so many GiB free for disks and drives.
async fn with_room(free_gib: u64) -> World {
    let capacity = Capacity { ram_bytes: 64 << 30, vcpus: 64, disk_free_bytes: free_gib << 30 };
    World::with(Config::default(), Some(capacity)).await
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let elsewhere = world.ok("POST /v1/private-networks", json!({"name": "x", "region": "ca1"})).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let theirs = json!({"name": "x", "region": "ny2"});
    let theirs = world.call_as(&key, "POST /v1/private-networks", theirs).await.body;
    world.settle().await;
    let before = world.dump().await;
    let sizes = "size: expected a whole number of GB from 1 to 16000";
    let foreign = format!("networkId: there is no private network {}", theirs["id"].as_str().unwrap());
    let ca1 =
        format!("networkId: {} is in the region ca1, the drive in ny2", elsewhere["id"].as_str().unwrap());
    for (field, value, status, told) in [
        ("size", json!(0), 400, sizes),
        ("size", json!(0.5), 400, sizes),
        ("size", json!(1e9), 400, sizes),
        ("size", json!(-1), 400, sizes),
        ("size", json!(16001), 400, sizes),
        ("size", json!("1"), 400, "size: invalid type: string \"1\", expected a number"),
        ("size", Value::Null, 400, "size: "),
        ("name", json!(""), 400, "name: expected 1 to 255 characters"),
        ("name", json!("a\nb"), 400, "name: expected no control characters"),
        ("region", json!("mars"), 400, "region: there is no region `mars`"),
        ("region", json!("ca1"), 400, "is in the region ny2, the drive in ca1"),
        ("networkId", json!("n1"), 404, "networkId: there is no private network n1"),
        ("networkId", json!("ps1"), 400, "networkId: expected the id of a private network"),
        ("networkId", theirs["id"].clone(), 404, &foreign),
        ("networkId", elsewhere["id"].clone(), 400, &ca1),
        ("password", json!("mine"), 400, "password: is not a field of this request"),
    ] {
        let mut body = wanted(&json!({"id": drive["networkId"]}), 1);
        body[field] = value.clone();
        let reply = world.call("POST /v1/shared-drives", body).await;
        assert_eq!(reply.status, status, "{field} {value}: {}", reply.body);
        assert!(reply.error().2.contains(told), "{field} {value}: {}", reply.body);
    }
    for field in ["name", "size", "region", "networkId"] {
        let mut body = wanted(&json!({"id": drive["networkId"]}), 1);
        body.as_object_mut().unwrap().remove(field);
        let reply = world.call("POST /v1/shared-drives", body).await;
        assert_eq!((reply.status, reply.error().2), (400, format!("{field}: is required").as_str()));
    }
    for (line, body, told) in [
        ("POST /resize", json!({"size": 0.5}), sizes),
        ("POST /resize", json!({"size": 1e9}), sizes),
        ("POST /resize", json!({}), "size: is required"),
        ("POST /resize", json!({"size": 2, "name": "x"}), "name: is not a field"),
        ("PUT ", json!({"name": " "}), "name: expected"),
        ("PUT ", json!({"size": 2}), "size: is not a field"),
        ("PUT /protection", json!({"protected": true}), "protected: is not a field"),
    ] {
        let (method, verb) = line.split_once(' ').unwrap();
        let reply = world.call(&format!("{method} {}{verb}", path(&drive)), body).await;
        assert_eq!(reply.error().1, "BAD_REQUEST", "{line}");
        assert!(reply.error().2.contains(told), "{line}: {}", reply.body);
    }
    for after in ["x", "", &"A".repeat(5000)] {
        let reply = world.call(&format!("GET /v1/shared-drives?after={after}"), Value::Null).await;
        assert_eq!(reply.error().1, "BAD_REQUEST", "{after}");
    }
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_region_is_read_by_its_label_and_filters() {
    let world = World::new().await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ca1"})).await;
    let mut body = wanted(&network, 1);
    body["region"] = json!("West Coast (CA1)");
    let made = world.ok("POST /v1/shared-drives", body).await;
    assert_eq!(made["region"], "ca1");
    for (query, found) in
        [("region=CA1", 1), ("region=ny2", 0), ("region=mars", 0), ("name=AT&orderBy=name", 1)]
    {
        let list = world.ok(&format!("GET /v1/shared-drives?{query}"), Value::Null).await;
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{query}");
    }
}

#[tokio::test]
async fn a_walk_shows_each_drive_once_in_either_order() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let network = json!({"id": drive["networkId"]});
    for name in ["b", "a", "c", "b"] {
        let mut body = wanted(&network, 1);
        body["name"] = json!(name);
        world.ok("POST /v1/shared-drives", body).await;
    }
    for (query, names) in [
        ("orderBy=name&order=asc", ["a", "b", "b", "c", "data"]),
        ("orderBy=name", ["data", "c", "b", "b", "a"]),
        ("order=asc", ["data", "b", "a", "c", "b"]),
        ("region=ny2", ["b", "c", "a", "b", "data"]),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = world.ok(&format!("GET /v1/shared-drives?limit=2&{query}{after}"), Value::Null).await;
            let items = page["items"].as_array().unwrap();
            seen.extend(items.iter().map(|drive| drive["name"].as_str().unwrap().to_owned()));
            let Some(next) = page.get("nextPage") else { break };
            after = format!("&after={}", next.as_str().unwrap());
        }
        assert_eq!(seen, names, "{query}");
        let swapped = world.call(&format!("GET /v1/private-networks?limit=2{after}"), Value::Null).await;
        assert_eq!(swapped.error().1, "BAD_REQUEST", "a cursor of another list");
    }
}

#[tokio::test]
async fn no_more_is_promised_than_the_host_has_free() {
    let world = with_room(10).await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let refused = async |line: &str, body: Value, told: &str| {
        let reply = world.call(line, body).await;
        assert_eq!(reply.error().1, "PRECONDITION_FAILED", "{}", reply.body);
        assert!(reply.error().2.contains(told), "{}", reply.body);
    };
    let create = "POST /v1/shared-drives";
    refused(create, wanted(&network, 11), "11 GB more are needed, and the host of ny2 has 10 GB free").await;
    let drive = world.ok(create, wanted(&network, 6)).await;
    refused(create, wanted(&network, 5), "5 GB more are needed, and the host of ny2 has 4 GB free").await;
    world.settle().await;
    refused(create, wanted(&network, 5), "has 4 GB free").await;

    let resize = format!("POST {}/resize", path(&drive));
    refused(&resize, json!({"size": 11}), "5 GB more are needed, and the host of ny2 has 4 GB free").await;
    world.ok(&resize, json!({"size": 9})).await;
    refused(create, wanted(&network, 2), "has 1 GB free").await;
    world.settle().await;
    refused(create, wanted(&network, 2), "has 1 GB free").await;
    world.ok(create, wanted(&network, 1)).await;
    world.settle().await;
    refused(create, wanted(&network, 1), "has 0 GB free").await;

    world.ok(&format!("DELETE {}", path(&drive)), Value::Null).await;
    world.settle().await;
    world.ok(create, wanted(&network, 9)).await;
    world.settle().await;
}

#[tokio::test]
async fn a_protected_drive_is_not_deleted() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let line = format!("{}/protection", path(&drive));
    let protected = |is: bool| json!({"isProtected": is});
    assert_eq!(world.ok(&format!("GET {line}"), Value::Null).await, protected(false));
    assert_eq!(world.ok(&format!("PUT {line}"), protected(true)).await, protected(true));
    let reply = world.call(&format!("DELETE {}", path(&drive)), Value::Null).await;
    assert_eq!(reply.error().1, "PRECONDITION_FAILED");
    assert!(reply.error().2.contains("is protected against deletion"), "{}", reply.body);
    world.ok(&format!("POST {}/resize", path(&drive)), json!({"size": 2})).await;
    assert_eq!(world.ok(&format!("GET {line}"), Value::Null).await, protected(true));
    assert_eq!(world.ok(&format!("PUT {line}"), json!({})).await, protected(false));
    world.ok(&format!("DELETE {}", path(&drive)), Value::Null).await;
    world.settle().await;
    assert!(!world.host.dump().contains("drives:"));
}
