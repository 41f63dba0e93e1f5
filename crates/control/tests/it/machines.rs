//! A machine's life, as its users see it.

use deckle_control::config::Config;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

#[tokio::test]
async fn a_machine_is_created_and_comes_up() {
    let world = World::new().await;
    let ordered = world.ok("POST /v1/machines", crate::world::machine(json!({}))).await;
    assert_eq!(ordered["data"]["state"], "provisioning");
    assert_eq!((&ordered["event"]["name"], &ordered["event"]["state"]), (&json!("create"), &json!("new")));
    world.settle().await;
    assert_eq!(
        world.dump().await,
        "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
events:
  create of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers"
    );
}

#[tokio::test]
async fn a_machine_made_without_a_start_ends_off() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "create done".into()));
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn stop_start_restart_and_delete() {
    let world = World::new().await;
    let id = world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.public_ip.as_deref(), Some("203.0.113.1"));

    let stopped = order(&world, "stop", &id).await;
    assert_eq!(stopped["data"]["state"], "stopping");
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
    assert_eq!(world.machine(&id).await.public_ip, None);

    let started = order(&world, "start", &id).await;
    assert_eq!((&started["data"]["state"], &started["data"]["publicIp"]), (&json!("starting"), &Value::Null));
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));

    let restarted = order(&world, "restart", &id).await;
    assert_eq!(restarted["data"]["state"], "restarting");
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()));
    assert!(world.host.dump().contains("boot 3"), "{}", world.host.dump());

    let deleted = order(&world, "delete", &id).await;
    assert_eq!(deleted["event"]["name"], "deactivate");
    world.settle().await;
    assert_eq!(world.call(&format!("GET /v1/machines/{id}"), Value::Null).await.status, 404);
    assert!(world.dump().await.contains("machines: none"));
    assert!(world.dump().await.contains("taken: 0 places, 0 public addresses, 0 networks"));
}

#[tokio::test]
async fn what_is_already_so_is_done_at_once() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let started = order(&world, "start", &id).await;
    assert_eq!((&started["event"]["state"], &started["data"]["state"]), (&json!("done"), &json!("ready")));
    order(&world, "stop", &id).await;
    world.settle().await;
    let stopped = order(&world, "stop", &id).await;
    assert_eq!((&stopped["event"]["state"], &stopped["data"]["state"]), (&json!("done"), &json!("off")));
    let reply = world.call(&format!("PATCH /v1/machines/{id}/restart"), json!({})).await;
    assert_eq!((reply.error().0, reply.error().1), (412, "PRECONDITION_FAILED"));
}

#[tokio::test]
async fn a_second_order_of_the_same_kind_is_the_first_one() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    for verb in ["restart", "stop", "start", "delete"] {
        let first = order(&world, verb, &id).await;
        let second = order(&world, verb, &id).await;
        assert_eq!(first["event"]["id"], second["event"]["id"], "{verb}");
        world.settle().await;
    }
}

#[tokio::test]
async fn another_order_waits_its_turn_but_stop_and_delete_do_not() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    for verb in ["start", "restart"] {
        let reply = world.call(&format!("PATCH /v1/machines/{id}/{verb}"), json!({})).await;
        let (status, code, message) = reply.error();
        assert_eq!((status, code), (409, "CONFLICT"));
        assert!(message.contains("(create)"), "{message}");
    }
    order(&world, "stop", &id).await;
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&order=asc"), Value::Null).await;
    assert_eq!(events["items"][0]["state"], "cancelled");
    order(&world, "delete", &id).await;
    let reply = world.call(&format!("PATCH /v1/machines/{id}/stop"), json!({})).await;
    assert_eq!(reply.error().1, "CONFLICT");
    world.settle().await;
    assert!(world.dump().await.starts_with("machines: none"));
}

#[tokio::test]
async fn a_guest_that_switches_itself_off_is_off() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.guest_powers_off(&id);
    world.drift().await;
    assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()));
}

#[tokio::test]
async fn what_was_on_comes_back_after_a_crash_and_after_a_reboot_of_the_host() {
    let mut world = World::new().await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let on = world.create(json!({"networkId": network["id"], "publicIpType": "dynamic"})).await;
    let off = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let before = world.dump().await;

    world.host.crash(&on);
    world.drift().await;
    let once = before.replace("\ntaken", "\n  restart of ps1: done\ntaken");
    assert_eq!(world.dump().await, once);

    world.host.reboot_host();
    world.restart_server().await;
    world.settle().await;
    assert_eq!(world.state(&off).await.0, "off");
    world.drift().await;
    let twice = once.replace("\ntaken", "\n  restart of ps1: done\ntaken");
    assert_eq!(world.dump().await, twice);
}

#[tokio::test]
async fn a_lost_disk_is_told_and_never_made_again() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    order(&world, "stop", &id).await;
    world.settle().await;
    world.host.lose_disk(&id);
    let ordered = order(&world, "start", &id).await;
    for _ in 0..50 {
        deckle_control::reconciler::visit_next(&world.app).await;
    }
    let event = ordered["event"]["id"].as_str().unwrap();
    let event = world.ok(&format!("GET /v1/machine-events/{event}"), Value::Null).await;
    assert_eq!(event["state"], "error");
    assert!(event["error"].as_str().unwrap().contains("missing from its host"), "{event}");
    assert!(!world.host.dump().contains("GiB used"), "{}", world.host.dump());
    order(&world, "delete", &id).await;
    world.settle().await;
    assert!(world.dump().await.starts_with("machines: none"));
}

#[tokio::test]
async fn a_guest_that_does_not_hear_the_button_loses_its_power_in_the_end() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.deaf(&id, true);
    order(&world, "stop", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await.0, "off");
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&order=asc"), Value::Null).await;
    let names: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["create", "stop", "vm-shutdown-force"]);
}

#[tokio::test]
async fn a_guest_that_never_opens_its_agents_port_is_ready_after_a_while() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    world.host.silent(&id, true);
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn a_guest_that_is_never_ready_ends_its_start_in_an_error() {
    let mut config = Config::default();
    (config.limits.ready_s, config.limits.agent_s) = (30, 600);
    let world = World::with(config, None).await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    world.host.silent(&id, true);
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "start error".into()));
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&limit=1"), Value::Null).await;
    let told = events["items"][0]["error"].as_str().unwrap();
    assert!(told.contains("its guest was not ready within 30 s"), "{told}");
}

#[tokio::test]
async fn a_once_only_script_is_served_until_it_has_run() {
    let world = World::new().await;
    let script = json!({"name": "setup", "script": "echo hello", "isRunOnce": true});
    let script = world.ok("POST /v1/startup-scripts", script).await;
    let id = world.create(json!({"startupScriptId": script["id"]})).await;
    world.settle().await;
    let assigned =
        world.ok(&format!("GET /v1/startup-scripts/{}", script["id"].as_str().unwrap()), Value::Null).await;
    assert_eq!(assigned["assignedMachineIds"], json!([id]));
    let log = |log: Value| log["text"].as_str().unwrap().matches("startup script").count();
    let first = log(world.ok(&format!("GET /v1/machines/{id}/console-log"), Value::Null).await);
    assert!(first > 0);
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_eq!(log(world.ok(&format!("GET /v1/machines/{id}/console-log"), Value::Null).await), first);
}
