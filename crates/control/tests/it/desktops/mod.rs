//! Desktops: who is told of one, when, and that what is told opens the machine that runs.

mod broken;
mod secrets;

use deckle_api::admin::Role;
use deckle_api::ids::MachineId;
use deckle_control::config::Config;
use deckle_engine::Engine;
use deckle_engine::seen::Power;
use deckle_engine::specs::HostNetwork;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::gpus::some;
use crate::world::{Reply, World, machine};

/// Takes in a template whose machines have a desktop.
async fn import(world: &World) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"raw").unwrap();
    let body = json!({"file": file.path(), "name": "Desk", "id": "tdesk", "agentType": "LinuxDesktop"});
    let reply = world.admin("POST /admin/templates", body).await;
    assert_eq!((reply.status, &reply.body["template"]["agentType"]), (200, &json!("LinuxDesktop")));
}

/// A world with such a template.
async fn studio() -> World {
    let world = World::new().await;
    import(&world).await;
    world
}

/// A machine with a desktop that is on.
async fn desk(world: &World) -> MachineId {
    let id = world.create(json!({"templateId": "tdesk"})).await;
    world.settle().await;
    id
}

async fn ask(world: &World, id: &MachineId) -> Reply {
    world.call(&format!("GET /v1/machines/{id}/desktop"), Value::Null).await
}

/// The password that is told, which must be the one that the machine runs with, at the address that it listens on.
async fn password(world: &World, id: &MachineId) -> String {
    let reply = ask(world, id).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let seen = world.host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap();
    let address = seen.desktop.expect("it has a desktop");
    let password = reply.body["vnc"]["password"].as_str().unwrap().to_owned();
    let told = json!({"vnc": {"hostname": address.ip(), "port": address.port(), "password": password}});
    assert_eq!(reply.body, told);
    assert_eq!(running_with(world, id), password);
    assert!(password.len() == 8 && password.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{password}");
    password
}

/// What the machine was last started with.
fn running_with(world: &World, id: &MachineId) -> String {
    world.host.booted(id).unwrap().desktop.expect("it was started with a desktop").password
}

/// What a request for the desktop is refused with.
async fn refused(world: &World, id: &MachineId) -> String {
    let reply = ask(world, id).await;
    assert_eq!((reply.status, reply.error().1), (412, "PRECONDITION_FAILED"), "{}", reply.body);
    reply.error().2.replace(id.as_str(), "it")
}

/// How many machines have a password written down.
async fn kept(world: &World) -> i64 {
    let kept = "SELECT COUNT(*) AS n FROM machines WHERE desktop_password IS NOT NULL \
                OR desktop_address IS NOT NULL OR desktop_boot IS NOT NULL";
    world.number(kept).await
}

#[tokio::test]
async fn a_desktop_is_told_while_its_machine_is_on_and_each_power_on_has_its_password() {
    let world = studio().await;
    let id = world.create(json!({"templateId": "tdesk"})).await;
    assert_eq!(refused(&world, &id).await, "it is provisioning, and its desktop is not there yet; ask again");
    world.settle().await;
    let mut seen = vec![password(&world, &id).await];
    order(&world, "restart", &id).await;
    assert_eq!(refused(&world, &id).await, "it is restarting, and its desktop is not there yet; ask again");
    world.settle().await;
    seen.push(password(&world, &id).await);
    order(&world, "stop", &id).await;
    let off = |state| format!("it is {state}: its desktop is there while the machine is on; start it");
    assert_eq!(refused(&world, &id).await, off("stopping"));
    world.settle().await;
    assert_eq!((refused(&world, &id).await, kept(&world).await), (off("off"), 0));
    order(&world, "start", &id).await;
    assert_eq!(refused(&world, &id).await, "it is starting, and its desktop is not there yet; ask again");
    world.settle().await;
    seen.push(password(&world, &id).await);
    assert_eq!(password(&world, &id).await, seen[2], "it stays while the machine is on");
    world.drift().await;
    assert_eq!(password(&world, &id).await, seen[2]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3, "a password was given twice");
    order(&world, "delete", &id).await;
    world.settle().await;
    assert_eq!((ask(&world, &id).await.status, kept(&world).await), (404, 0));
}

#[tokio::test]
async fn a_headless_machine_has_no_desktop_in_any_state() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    for verb in [None, Some("stop")] {
        if let Some(verb) = verb {
            order(&world, verb, &id).await;
        }
        assert_eq!((ask(&world, &id).await.status, ask(&world, &id).await.body), (200, json!({})));
        world.settle().await;
        assert_eq!(ask(&world, &id).await.body, json!({}));
    }
    assert_eq!(world.host.booted(&id).unwrap().desktop, None);
    assert_eq!(kept(&world).await, 0);
}

#[tokio::test]
async fn a_guest_that_switches_itself_off_ends_its_password() {
    let world = studio().await;
    let id = desk(&world).await;
    let before = password(&world, &id).await;
    world.host.guest_powers_off(&id);
    world.drift().await;
    assert!(refused(&world, &id).await.starts_with("it is off:"));
    assert_eq!(kept(&world).await, 0);
    order(&world, "start", &id).await;
    world.settle().await;
    assert_ne!(password(&world, &id).await, before);
}

#[tokio::test]
async fn two_desktops_share_nothing() {
    let world = studio().await;
    let (one, other) = (desk(&world).await, desk(&world).await);
    assert_ne!(password(&world, &one).await, password(&world, &other).await);
    let ports =
        [ask(&world, &one).await, ask(&world, &other).await].map(|reply| reply.body["vnc"]["port"].clone());
    assert_ne!(ports[0], ports[1]);
}

#[tokio::test]
async fn a_desktop_is_for_who_may_use_the_machine() {
    let world = studio().await;
    let id = desk(&world).await;
    let path = format!("GET /v1/machines/{id}/desktop");
    let key = world.new_member("ada@example.com", Role::Member).await;
    let session = world.call_as(&key, "GET /v1/auth/session", Value::Null).await.body;
    let user = session["user"]["id"].as_str().unwrap();
    let reply = world.call_as(&key, &path, Value::Null).await;
    assert_eq!(reply.status, 403);
    let told = format!("only its accessors and administrators of the team may use the desktop of {id};");
    assert!(reply.error().2.starts_with(&told), "{}", reply.body);
    world.ok(&format!("POST /v1/machines/{id}/accessors"), json!({"userId": user})).await;
    assert_eq!(world.call_as(&key, &path, Value::Null).await.body, ask(&world, &id).await.body);
    world.ok(&format!("DELETE /v1/machines/{id}/accessors/{user}"), Value::Null).await;
    assert_eq!(world.call_as(&key, &path, Value::Null).await.status, 403, "access ends at once");

    let admin = world.new_member("ben@example.com", Role::Admin).await;
    assert_eq!(world.call_as(&admin, &path, Value::Null).await.status, 200);
    for (scopes, status) in
        [(json!(["read:vm"]), 200), (json!(["write:vm"]), 403), (json!(["read:network"]), 403)]
    {
        let key = world.new_key(&world.team, "owner@example.com", scopes.clone()).await;
        assert_eq!(world.call_as(&key, &path, Value::Null).await.status, status, "{scopes}");
    }
    let other = world.new_team("Other").await;
    let stranger = world.new_key(&other, "owner@example.com", json!([])).await;
    assert_eq!(world.call_as(&stranger, &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_template_says_what_its_machines_are() {
    let world = studio().await;
    let id = desk(&world).await;
    world.create(json!({})).await;
    let kinds = world.ok("GET /v1/os-templates?order=asc", Value::Null).await;
    let kinds: Vec<_> =
        kinds["items"].as_array().unwrap().iter().map(|row| row["agentType"].clone()).collect();
    assert_eq!(kinds, ["LinuxDesktop", "LinuxHeadless"]);
    assert_eq!(world.machine(&id).await.agent_type, "LinuxDesktop");
    for (kind, found) in [("LinuxDesktop", 1), ("LinuxHeadless", 1), ("WindowsDesktop", 0)] {
        let page = world.ok(&format!("GET /v1/machines?agentType={kind}"), Value::Null).await;
        assert_eq!(page["items"].as_array().unwrap().len(), found, "{kind}");
    }
    let before = world.number("SELECT COUNT(*) AS n FROM templates").await;
    for wrong in [json!("WindowsDesktop"), json!("linuxdesktop"), json!("")] {
        let body = json!({"file": "/dev/null", "name": "x", "agentType": wrong});
        let reply = world.admin("POST /admin/templates", body).await;
        assert_eq!((reply.status, &reply.error().2[..10]), (400, "agentType:"), "{wrong}: {}", reply.body);
    }
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM templates").await, before);
}

#[tokio::test]
async fn clients_are_told_the_name_that_the_operator_gives() {
    let mut config = Config::default();
    config.linux.desktop_hostname = Some("desk.example.com".to_owned());
    let world = World::with(config, None).await;
    import(&world).await;
    let id = desk(&world).await;
    let vnc = ask(&world, &id).await.body["vnc"].clone();
    assert_eq!(
        vnc,
        json!({"hostname": "desk.example.com", "port": 5900, "password": running_with(&world, &id)})
    );
}

#[tokio::test]
async fn a_machine_with_gpus_has_a_desktop_too() {
    let world = World::with_gpus(some("A100", 2, 1)).await;
    import(&world).await;
    let id = world.create(json!({"templateId": "tdesk", "machineType": "A100"})).await;
    world.settle().await;
    let first = password(&world, &id).await;
    assert_eq!(world.host.booted(&id).unwrap().gpus.len(), 1);
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_ne!(password(&world, &id).await, first);
    assert_eq!(world.host.booted(&id).unwrap().gpus.len(), 1);
    let seen = world.host.look_machine(&id, &HostNetwork::Own(id.clone())).await.unwrap();
    assert!(matches!(seen.power, Power::On { boot: 2, .. }) && seen.gpus.len() == 1, "{seen:?}");
    order(&world, "stop", &id).await;
    world.settle().await;
    assert_eq!((refused(&world, &id).await.starts_with("it is off"), kept(&world).await), (true, 0));
    let other =
        world.call("POST /v1/machines", machine(json!({"templateId": "tdesk", "machineType": "A100"}))).await;
    assert_eq!(other.status, 200);
    world.settle().await;
    order(&world, "start", &id).await;
    world.settle().await;
    password(&world, &id).await;
}
