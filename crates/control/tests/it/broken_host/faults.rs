//! A host that stays broken: how long that is borne, what is told, and what is left.

use deckle_api::ids::MachineId;
use deckle_control::config::Config;
use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::{Value, json};

use super::orders::order;
use crate::world::World;

/// What a machine's last event says of its end.
async fn reason(world: &World, id: &MachineId) -> String {
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&limit=1"), Value::Null).await;
    events["items"][0]["error"].as_str().unwrap_or_default().to_owned()
}

/// The world after a create that failed for good.
fn blank(why: &str) -> String {
    format!(
        "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 dynamic
networks: none
events:
  create of ps1: error: {why}
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines: none"
    )
}

/// The calls that a create makes and that may fail without leaving anything to clear away.
const OF_CREATE: [Call; 7] = [
    Call::EnsureDisk,
    Call::EnsureNetwork,
    Call::LookCapacity,
    Call::EnsureNic,
    Call::EnsurePublicIp,
    Call::PowerOn,
    Call::LookNetwork,
];

#[tokio::test]
async fn a_passing_fault_is_borne_for_ten_minutes() {
    for call in OF_CREATE {
        let world = World::new().await;
        world.host.fail_always(Some((call, Fault::Passing)));
        let id = world.create(json!({"publicIpType": "dynamic"})).await;
        world.live_seconds(595).await;
        assert_eq!(world.state(&id).await.1, "create in progress", "{call}");
        world.live_seconds(40).await;
        assert_eq!(world.state(&id).await.1, "create error", "{call}");
        let why = format!("call {call}: a test lets it fail before its effect");
        assert_eq!(reason(&world, &id).await, why);
        world.host.fail_always(None);
        world.settle().await;
        assert_eq!(world.dump().await, blank(&why));
    }
}

#[tokio::test]
async fn a_final_fault_ends_the_create_at_once() {
    for call in OF_CREATE {
        let world = World::new().await;
        world.host.fail_always(Some((call, Fault::Final)));
        let id = world.create(json!({"publicIpType": "dynamic"})).await;
        world.live_seconds(1).await;
        assert_eq!(world.state(&id).await.1, "create error", "{call}");
        world.host.fail_always(None);
        world.settle().await;
        assert_eq!(world.dump().await, blank(&format!("call {call}: a test lets it fail")));

        order(&world, "start", &id).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()), "{call}");
    }
}

#[tokio::test]
async fn what_a_failed_create_left_is_deleted_like_any_machine() {
    let world = World::new().await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    let id = world.create(json!({})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
    assert_eq!(order(&world, "stop", &id).await["event"]["state"], "done");
    order(&world, "delete", &id).await;
    world.settle().await;
    assert!(world.dump().await.starts_with("machines: none"));
    assert!(world.host.dump().ends_with("networks: none\nmachines: none"), "{}", world.host.dump());
}

#[tokio::test]
async fn a_failed_start_or_restart_ends_off_with_its_disk() {
    for (verb, call) in [("start", Call::PowerOn), ("restart", Call::PowerOn), ("start", Call::EnsureNic)] {
        let world = World::new().await;
        let id = world.create(json!({"startOnCreate": verb == "restart"})).await;
        world.settle().await;
        world.host.fail_always(Some((call, Fault::Final)));
        order(&world, verb, &id).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("off".into(), format!("{verb} error")));
        assert!(world.host.dump().ends_with("50 GiB on t0nspur5; off"), "{}", world.host.dump());
        world.host.fail_always(None);
        order(&world, "start", &id).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    }
}

#[tokio::test]
async fn a_stop_or_a_delete_that_fails_is_told_and_still_comes_about() {
    for (verb, call) in [("stop", Call::CutPower), ("delete", Call::RemoveDisk), ("delete", Call::RemoveNic)]
    {
        let world = World::new().await;
        let id = world.create(json!({})).await;
        world.settle().await;
        world.host.fail_always(Some((call, Fault::Passing)));
        order(&world, verb, &id).await;
        world.live_seconds(640).await;
        let name = if verb == "delete" { "deactivate" } else { "stop" };
        assert_eq!(world.state(&id).await.1, format!("{name} error"));
        world.host.fail_always(None);
        world.settle().await;
        let gone = world.call(&format!("GET /v1/machines/{id}"), Value::Null).await.status == 404;
        assert_eq!(gone, verb == "delete");
    }
}

#[tokio::test]
async fn a_machine_whose_network_cannot_be_made_does_not_wait_for_ever() {
    for (fault, seconds) in [(Fault::Passing, 660), (Fault::Final, 5)] {
        let world = World::new().await;
        world.host.fail_always(Some((Call::EnsureNetwork, fault)));
        let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
        let id = world.create(json!({"networkId": network["id"]})).await;
        world.live_seconds(seconds).await;
        assert_eq!(world.state(&id).await.1, "create error", "{fault:?}");
        let told = reason(&world, &id).await;
        assert!(told.contains("call ensure_network: a test lets it fail"), "{told}");
        world.host.fail_always(None);
        world.settle().await;
        order(&world, "start", &id).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    }
}

#[tokio::test]
async fn a_fault_that_has_passed_is_not_counted_against_a_later_one() {
    let mut config = Config::default();
    (config.limits.agent_s, config.limits.ready_s) = (640, 700);
    let world = World::with(config, None).await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    world.host.silent(&id, true);
    world.host.fail_at(Some(Fuse::Before(Call::PowerOn)));
    order(&world, "start", &id).await;
    world.live_seconds(610).await;
    world.host.fail_always(Some((Call::LookMachine, Fault::Passing)));
    world.live_seconds(10).await;
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
}
