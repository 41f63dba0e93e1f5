//! What is refused changes nothing; lists and quotas.

use deckle_api::admin::Role;
use serde_json::{Value, json};

use super::{TEMPLATES, made, off};
use crate::broken_host::order;
use crate::world::{World, machine};

#[tokio::test]
async fn a_machine_of_a_type_that_is_offered_no_more_is_named_with_the_cure() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    world.run(&format!("UPDATE machines SET machine_type = 'P9000' WHERE id = '{parent}'")).await;
    let before = world.state(&parent).await;
    let reply = world.call(TEMPLATES, json!({"name": "golden", "machineId": parent})).await;
    let (_, code, told) = reply.error();
    assert_eq!(code, "PRECONDITION_FAILED", "{told}");
    assert!(told.starts_with(&format!("machineId: {parent} is a P9000, a type that this server")), "{told}");
    assert!(told.contains(&format!("PUT /v1/machines/{parent} with machineType")), "{told}");
    assert_eq!(world.state(&parent).await, before);
    assert_eq!(world.ok("GET /v1/custom-templates", Value::Null).await["items"], json!([]));
    world.ok(&format!("PUT /v1/machines/{parent}"), json!({"machineType": "C2"})).await;
    world.settle().await;
    made(&world, "golden", &parent).await;
}

#[tokio::test]
async fn bad_input_changes_nothing() {
    let world = World::new().await;
    let parent = off(&world, json!({"diskSize": 50})).await;
    let on = world.create(json!({})).await;
    world.settle().await;
    let id = made(&world, "golden", &parent).await;
    let path = format!("PUT /v1/custom-templates/{id}");
    let machines = "POST /v1/machines";
    let of = |changes: Value| {
        let mut wanted = json!({"templateId": id, "diskSize": 50});
        wanted.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        machine(wanted)
    };
    let long = "x".repeat(256);
    let before = world.dump().await;
    for (line, body, code, told) in [
        (TEMPLATES, json!({"name": "x"}), "BAD_REQUEST", "machineId: is required"),
        (TEMPLATES, json!({"machineId": parent}), "BAD_REQUEST", "name: is required"),
        (TEMPLATES, json!({"name": "", "machineId": parent}), "BAD_REQUEST", "name: expected 1 to 255"),
        (TEMPLATES, json!({"name": long, "machineId": parent}), "BAD_REQUEST", "name: expected 1 to 255"),
        (TEMPLATES, json!({"name": 1, "machineId": parent}), "BAD_REQUEST", "name: "),
        (
            TEMPLATES,
            json!({"name": "x", "machineId": "t1"}),
            "BAD_REQUEST",
            "machineId: expected the id of a machine",
        ),
        (
            TEMPLATES,
            json!({"name": "x", "machineId": "ps1"}),
            "NOT_FOUND",
            "machineId: there is no machine ps1",
        ),
        (TEMPLATES, json!({"name": "x", "machineId": parent, "size": 1}), "BAD_REQUEST", "size"),
        (TEMPLATES, json!({"name": "x", "machineId": on}), "PRECONDITION_FAILED", "is on; stop it first"),
        (&path, json!({}), "BAD_REQUEST", "name: is required"),
        (&path, json!({"name": " "}), "BAD_REQUEST", "name: expected 1 to 255"),
        (&path, json!({"name": "x", "region": "ca1"}), "BAD_REQUEST", "region"),
        (
            machines,
            of(json!({"diskSize": 49})),
            "BAD_REQUEST",
            "diskSize: expected a whole number of GB from 50, the template's size",
        ),
        (machines, of(json!({"region": "ca1"})), "BAD_REQUEST", "is in the region ny2, the machine in ca1"),
        (
            machines,
            of(json!({"machineType": "A4000"})),
            "PRECONDITION_FAILED",
            "machineType: A4000 is not of the family",
        ),
    ] {
        let reply = world.call(line, body.clone()).await;
        assert_eq!(reply.error().1, code, "{line} {body}: {}", reply.body);
        assert!(reply.error().2.contains(told), "{line} {body}: {}", reply.body);
    }
    for line in ["GET", "PUT", "DELETE"] {
        let reply = world.call(&format!("{line} /v1/custom-templates/ps1"), json!({"name": "x"})).await;
        assert_eq!(
            (reply.error().1, reply.error().2.contains("expected the id of a template")),
            ("NOT_FOUND", true)
        );
    }
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_machine_that_has_another_event_or_no_disk_makes_no_template() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    let body = json!({"name": "golden", "machineId": id});
    let reply = world.call(TEMPLATES, body.clone()).await;
    assert_eq!((reply.error().1, reply.error().2.contains("(create)")), ("CONFLICT", true), "{}", reply.body);
    world.settle().await;
    order(&world, "stop", &id).await;
    assert_eq!(world.call(TEMPLATES, body.clone()).await.error().1, "CONFLICT");
    world.settle().await;
    order(&world, "delete", &id).await;
    assert_eq!(world.call(TEMPLATES, body).await.error().1, "CONFLICT");
    world.settle().await;
    use deckle_engine::emulator::{Call, Fault};
    world.host.fail_always(Some((Call::EnsureDisk, Fault::Final)));
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.fail_always(None);
    let reply = world.call(TEMPLATES, json!({"name": "golden", "machineId": id})).await;
    assert_eq!((reply.error().1, reply.error().2.contains("has no disk")), ("PRECONDITION_FAILED", true));
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM templates").await, 1);
}

#[tokio::test]
async fn a_template_is_its_teams_alone_and_made_by_administrators() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = made(&world, "golden", &parent).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let reply = world.call_as(&key, "POST /v1/machines", machine(json!({"templateId": id}))).await;
    assert_eq!(reply.error().1, "NOT_FOUND");
    assert!(reply.error().2.starts_with(&format!("templateId: there is no template {id}")), "{}", reply.body);
    let reply = world.call_as(&key, TEMPLATES, json!({"name": "x", "machineId": parent})).await;
    assert_eq!(reply.error().1, "NOT_FOUND");
    let list =
        world.call_as(&key, &format!("GET /v1/custom-templates?machineId={parent}"), Value::Null).await;
    assert_eq!(list.body["items"], json!([]));
    let member = world.new_member("member@example.com", Role::Member).await;
    let reply = world.call_as(&member, TEMPLATES, json!({"name": "x", "machineId": parent})).await;
    assert_eq!(reply.error().1, "FORBIDDEN");
    let path = format!("/v1/custom-templates/{id}");
    assert_eq!(world.call_as(&member, &format!("GET {path}"), Value::Null).await.status, 200);
    for (verb, body) in [("PUT", json!({"name": "x"})), ("DELETE", Value::Null)] {
        assert_eq!(world.call_as(&member, &format!("{verb} {path}"), body).await.error().1, "FORBIDDEN");
    }
}

#[tokio::test]
async fn lists_have_pages_orders_and_filters() {
    let world = World::new().await;
    let (one, two) = (off(&world, json!({})).await, off(&world, json!({})).await);
    for (name, parent) in [("Beta", &one), ("alpha", &two), ("alpha", &one), ("gamma", &two)] {
        made(&world, name, parent).await;
    }
    let walk = async |query: &str| {
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let page =
                world.ok(&format!("GET /v1/custom-templates?limit=1{query}{after}"), Value::Null).await;
            for row in page["items"].as_array().unwrap() {
                names.push(row["name"].as_str().unwrap().to_owned());
            }
            match page["nextPage"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return names,
            }
        }
    };
    assert_eq!(walk("").await, ["gamma", "alpha", "alpha", "Beta"]);
    assert_eq!(walk("&order=asc").await, ["Beta", "alpha", "alpha", "gamma"]);
    assert_eq!(walk("&orderBy=name&order=asc").await, ["Beta", "alpha", "alpha", "gamma"]);
    assert_eq!(walk("&name=ALP").await, ["alpha", "alpha"]);
    assert_eq!(walk(&format!("&machineId={one}")).await, ["alpha", "Beta"]);
    assert_eq!(walk(&format!("&machineId={two}&orderBy=name")).await, ["gamma", "alpha"]);
    assert_eq!(walk(&format!("&machineId={two}&name=a&orderBy=name&order=asc")).await, ["alpha", "gamma"]);
    assert_eq!(walk("&machineId=ps1").await, Vec::<String>::new());
    for (query, told) in [
        ("orderBy=size", "orderBy: "),
        ("limit=0", "limit: "),
        ("machineId=t1", "machineId: "),
        ("after=x", "after: "),
    ] {
        let reply = world.call(&format!("GET /v1/custom-templates?{query}"), Value::Null).await;
        assert_eq!((reply.error().1, &reply.error().2[..told.len()]), ("BAD_REQUEST", told));
    }
}

#[tokio::test]
async fn templates_have_a_quota() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    let path = format!("POST /admin/teams/{}/limits", world.team.id);
    let set = world.admin(&path, json!({"limits": {"custom-templates": 1}})).await;
    assert_eq!(set.body["limits"], json!([{"noun": "custom-templates", "most": 1, "inUse": 0}]));
    let id = made(&world, "golden", &parent).await;
    let reply = world.call(TEMPLATES, json!({"name": "next", "machineId": parent})).await;
    let told = "custom-templates: limit 1, in use 1; delete one, or ask the operator for more";
    assert_eq!((reply.error().1, reply.error().2), ("PRECONDITION_FAILED", told));
    world.ok(&format!("DELETE /v1/custom-templates/{id}"), Value::Null).await;
    made(&world, "next", &parent).await;
}
