//! What holds for every operation. The list comes from the document: a new route cannot be forgotten.

use std::collections::BTreeSet;

use deckle_api::admin::Role;
use serde_json::{Value, json};

use super::errors::told;
use crate::world::{World, machine};

/// What may be asked without a key.
const PUBLIC: [&str; 3] = ["GET /v1/auth/session", "GET /v1/health", "GET /v1/os-templates"];
/// What reads more than the team's lists: for administrators, and for who has access to the machine.
const OF_ACCESS: [&str; 3] = [
    "GET /v1/machines/{id}/console-log",
    "GET /v1/machines/{id}/desktop",
    "GET /v1/startup-scripts/{id}/runs",
];
/// What is a user's own and no matter of roles.
const OWN: [&str; 4] =
    ["POST /v1/ssh-keys", "DELETE /v1/ssh-keys/{id}", "POST /v1/sessions", "DELETE /v1/sessions/{id}"];
/// What any key may ask, whatever its scopes.
const UNSCOPED: [&str; 2] = ["billing", "sessions"];

fn operations() -> Vec<String> {
    let document = deckle_control::openapi_v1();
    let mut lines = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            lines.push(format!("{} /v1{path}", method.to_uppercase()));
        }
    }
    assert!(lines.len() > 20, "{lines:?}");
    lines
}

/// One of everything, of the world's own team.
async fn filled(world: &World) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let ordered = world.ok("POST /v1/machines", machine(json!({}))).await;
    world.settle().await;
    let mut ids =
        vec![("machines", text(&ordered["data"]["id"])), ("machine-events", text(&ordered["event"]["id"]))];
    for noun in NOUNS.into_iter().filter(|noun| *noun != "machines") {
        let body = body_of(&format!("POST /v1/{noun}"), &ids);
        let made = world.ok(&format!("POST /v1/{noun}"), body).await;
        ids.push((noun, text(made.get("ip").or(made["data"].get("id")).unwrap_or(&made["id"]))));
    }
    ids.push(("custom-templates", template_of_another(world).await));
    let session = world.ok("GET /v1/auth/session", Value::Null).await;
    ids.push(("{userId}", text(&session["user"]["id"])));
    for (path, body) in posts(&ids).into_iter().filter(|(path, _)| path.contains("{id}")) {
        world.ok(&with_id(&format!("POST /v1/{path}"), &ids), body).await;
    }
    world.settle().await;
    ids
}

/// A custom template, of a machine that is gone.
async fn template_of_another(world: &World) -> String {
    let off = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let made = world.ok("POST /v1/custom-templates", json!({"name": "golden", "machineId": off})).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/machines/{off}"), Value::Null).await;
    world.settle().await;
    made["data"]["id"].as_str().unwrap().to_owned()
}

/// What can be made by a POST of its own, each after what it needs.
const NOUNS: [&str; 8] = [
    "machines",
    "snapshots",
    "private-networks",
    "public-ips",
    "shared-drives",
    "firewall-rules",
    "startup-scripts",
    "ssh-keys",
];

/// A body for an operation that needs one.
fn body_of(line: &str, ids: &[(&'static str, String)]) -> Value {
    if line == "PUT /v1/custom-templates/{id}" {
        return json!({"name": "other"});
    }
    let path = line.strip_prefix("POST /v1/");
    let body = posts(ids).into_iter().find(|(known, _)| path == Some(*known));
    body.map_or(Value::Null, |(_, body)| body)
}

/// A body for every POST, by its path.
fn posts(ids: &[(&'static str, String)]) -> Vec<(&'static str, Value)> {
    let id = |wanted, without| {
        ids.iter().find(|(known, _)| *known == wanted).map_or(without, |(_, id)| id.as_str())
    };
    let (network, machine_id, user) =
        (id("private-networks", "n1"), id("machines", "ps1"), id("{userId}", "u1"));
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBsUtGkq9MTIqFDcJFYVf0cZXJ3mlZ8hVvzXqrF0vYl5 me@here";
    vec![
        ("machines", machine(json!({}))),
        ("snapshots", json!({"name": "good", "machineId": machine_id})),
        ("snapshots/{id}/restore", json!({})),
        ("private-networks", json!({"name": "lab", "region": "ny2"})),
        ("shared-drives", json!({"name": "data", "size": 1, "region": "ny2", "networkId": network})),
        ("shared-drives/{id}/resize", json!({"size": 2})),
        ("shared-drives/{id}/rotate-password", json!({})),
        ("firewall-rules", json!({"networkId": network, "direction": "inbound"})),
        ("public-ips", json!({"region": "ny2"})),
        ("startup-scripts", json!({"name": "setup", "script": "true"})),
        ("ssh-keys", json!({"name": "laptop", "publicKey": key})),
        ("machines/{id}/accessors", json!({"userId": user})),
        ("startup-scripts/{id}/assign", json!({"machineId": machine_id})),
        ("startup-scripts/{id}/unassign", json!({"machineId": machine_id})),
        ("sessions", json!({})),
        ("custom-templates", json!({"name": "golden", "machineId": machine_id})),
    ]
}

/// The operation with an id of that noun in its path.
fn with_id(line: &str, ids: &[(&'static str, String)]) -> String {
    let noun = line.split('/').nth(2).unwrap();
    let known = |wanted| ids.iter().find(|(known, _)| *known == wanted).map(|(_, id)| id.as_str());
    match known(noun) {
        Some(id) => {
            let line = line.replace("{id}", id).replace("{ip}", id);
            line.replace("{userId}", known("{userId}").unwrap_or_default())
        }
        None => line.to_owned(),
    }
}

#[tokio::test]
async fn no_operation_answers_without_a_key() {
    let world = World::new().await;
    let ids = filled(&world).await;
    let before = world.dump().await;
    for line in operations() {
        let reply = world.send(&with_id(&line, &ids), &[], "").await;
        match PUBLIC.contains(&line.as_str()) {
            true => assert_eq!(reply.status, 200, "{line}"),
            false => drop(told(&reply, 401, "UNAUTHORIZED")),
        }
    }
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn another_team_finds_nothing() {
    let world = World::new().await;
    let ids = filled(&world).await;
    let other = world.new_team("Other Mill").await;
    let member = json!({"email": "other@example.com", "role": "admin"});
    world.admin(&format!("POST /admin/teams/{}/members", other.id), member).await;
    let key = world.new_key(&other, "other@example.com", json!([])).await;
    let before = world.dump().await;
    for line in operations() {
        let path = with_id(&line, &ids);
        if path != line {
            let body = body_of(&line, &ids);
            let message = told(&world.call_as(&key, &path, body.clone()).await, 404, "NOT_FOUND");
            let unknown = world.call_as(&key, &with_id(&line, &unknown()), body).await;
            let (_, id) = path.split_at(path.rfind("/v1").unwrap());
            let id = id.split('/').nth(3).unwrap();
            let same = message.replace(id, "ID");
            assert_eq!(told(&unknown, 404, "NOT_FOUND").replace(unknown_of(&line), "ID"), same, "{line}");
        } else if line.starts_with("GET")
            && !PUBLIC.contains(&line.as_str())
            && !line.contains("machine-types")
        {
            let reply = world.call_as(&key, &line, Value::Null).await;
            assert_eq!(reply.body.get("items").unwrap_or(&json!([])), &json!([]), "{line}");
        }
    }
    assert_eq!(world.dump().await, before);
}

fn unknown() -> Vec<(&'static str, String)> {
    [
        ("machines", "ps1"),
        ("machine-events", "ev1"),
        ("snapshots", "sl1"),
        ("private-networks", "n1"),
        ("shared-drives", "sd1"),
        ("firewall-rules", "fw1"),
        ("public-ips", "203.0.113.200"),
        ("startup-scripts", "sc1"),
        ("ssh-keys", "sk1"),
        ("custom-templates", "t1"),
        ("sessions", "ss1"),
        ("{userId}", "u1"),
    ]
    .map(|(noun, id)| (noun, id.to_owned()))
    .to_vec()
}

fn unknown_of(line: &str) -> &'static str {
    let noun = line.split('/').nth(2).unwrap();
    match noun {
        "machines" => "ps1",
        "machine-events" => "ev1",
        "snapshots" => "sl1",
        "private-networks" => "n1",
        "shared-drives" => "sd1",
        "firewall-rules" => "fw1",
        "public-ips" => "203.0.113.200",
        "startup-scripts" => "sc1",
        "sessions" => "ss1",
        "custom-templates" => "t1",
        _ => "sk1",
    }
}

#[tokio::test]
async fn a_member_reads_and_does_not_write() {
    let world = World::new().await;
    let ids = filled(&world).await;
    let member = world.new_member("member@example.com", Role::Member).await;
    let before = world.dump().await;
    for line in operations() {
        let path = with_id(&line, &ids);
        let reply = world.call_as(&member, &path, body_of(&line, &ids)).await;
        match line.starts_with("GET") {
            true if line.contains("machine-availability") => assert_eq!(reply.status, 400, "{line}"),
            true if !OF_ACCESS.contains(&line.as_str()) => {
                assert_eq!(reply.status, 200, "{line}: {}", reply.body);
            }
            false if OWN.contains(&line.as_str()) => assert_ne!(reply.status, 403, "{line}"),
            _ => assert!(told(&reply, 403, "FORBIDDEN").contains("administrators"), "{line}"),
        }
    }
    assert_eq!(world.dump().await, before);
    let admin = world.new_member("admin@example.com", Role::Admin).await;
    let reply = world.call_as(&admin, &format!("PATCH /v1/machines/{}/stop", ids[0].1), Value::Null).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn scopes_are_enforced_on_every_operation() {
    let world = World::new().await;
    filled(&world).await;
    let network = ["private-networks", "public-ips", "shared-drives", "firewall-rules"];
    let vm = [
        "machines",
        "machine-events",
        "machine-types",
        "machine-availability",
        "snapshots",
        "custom-templates",
        "startup-scripts",
        "ssh-keys",
    ];
    for scope in ["read:all", "write:all", "read:vm", "write:vm", "read:network", "write:network"] {
        let key = world.new_key(&world.team, "owner@example.com", json!([scope])).await;
        let (verb, area) = scope.split_once(':').unwrap();
        for line in operations().iter().filter(|line| !PUBLIC.contains(&line.as_str())) {
            let noun = line.split('/').nth(2).unwrap();
            let of_area = match area {
                "all" => true,
                "vm" => vm.contains(&noun),
                _ => network.contains(&noun),
            };
            let may = UNSCOPED.contains(&noun) || of_area && (verb == "read") == line.starts_with("GET");
            // A stray field and an unknown id end the request before it does anything.
            let reply = world.call_as(&key, &with_id(line, &unknown()), json!({"x": 1})).await;
            match may {
                true => assert_ne!(reply.status, 403, "{scope}: {line}"),
                false => {
                    assert!(told(&reply, 403, "FORBIDDEN").contains("lacks the scope"), "{scope}: {line}")
                }
            }
        }
    }
    assert_eq!(world.call("GET /v1/machines", Value::Null).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_post_can_be_sent_again() {
    let world = World::new().await;
    let documented: BTreeSet<_> = operations().into_iter().filter(|line| line.starts_with("POST")).collect();
    let known: Vec<_> = posts(&[]).into_iter().map(|(path, _)| path).collect();
    let lines: BTreeSet<_> = known.iter().map(|path| format!("POST /v1/{path}")).collect();
    assert_eq!(documented, lines, "a POST without a body here");
    let session = world.ok("GET /v1/auth/session", Value::Null).await;
    let mut ids = vec![("{userId}", session["user"]["id"].as_str().unwrap().to_owned())];
    for path in known {
        let (line, body) = (format!("POST /v1/{path}"), body_of(&format!("POST /v1/{path}"), &ids));
        let line = with_id(&line, &ids);
        if path == "custom-templates" {
            // A template is made of a machine that is off.
            world.ok(&with_id("PATCH /v1/machines/{id}/stop", &ids), json!({})).await;
            world.settle().await;
        }
        let headers =
            [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "once".to_owned())];
        let first = world.send(&line, &headers, body.to_string()).await;
        assert_eq!(first.status, 200, "{line}: {}", first.body);
        let again = world.send(&line, &headers, body.to_string()).await;
        assert_eq!((again.status, &again.body), (200, &first.body), "{line}");
        assert_eq!(again.headers["content-type"], "application/json");
        let noun = path.split('/').next().unwrap();
        let list = world.ok(&format!("GET /v1/{noun}"), Value::Null).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{line}");
        let made = first.body["id"].as_str().or(first.body["data"]["id"].as_str());
        ids.extend(made.map(|id| (noun, id.to_owned())));
        world.settle().await;
    }
}
