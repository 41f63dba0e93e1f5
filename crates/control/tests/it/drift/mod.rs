//! What is changed behind the server's back is found by the next look, and mended or told, once.

mod log;
mod together;
mod told;

use deckle_api::ids::{MachineId, PrivateNetworkId};
use deckle_control::reconciler;
use deckle_engine::Engine;
use deckle_engine::emulator::Call;
use deckle_engine::specs::HostNetwork;
use serde_json::{Value, json};

use crate::world::{World, is_slow};
use log::Log;

/// How long until every settled object was looked at once more, in seconds.
const FOUND_S: i64 = 31;

async fn lab(world: &World) -> (PrivateNetworkId, MachineId) {
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let id = world.create(json!({"networkId": network["id"], "publicIpType": "dynamic"})).await;
    world.settle().await;
    (serde_json::from_value(network["id"].clone()).unwrap(), id)
}

/// A machine's events, the oldest first.
async fn events(world: &World, id: &MachineId) -> Vec<String> {
    let page =
        world.ok(&format!("GET /v1/machine-events?machineId={id}&order=asc&limit=120"), Value::Null).await;
    let told = page["items"].as_array().unwrap().iter().map(|event| {
        let why = event["error"].as_str().map_or(String::new(), |why| format!(": {why}"));
        format!("{} {}{why}", event["name"].as_str().unwrap(), event["state"].as_str().unwrap())
    });
    told.collect()
}

/// A world's text with one more event in it.
fn with_event(dump: &str, event: &str) -> String {
    dump.replace("\ntaken", &format!("\n  {event}\ntaken"))
}

/// How often a host was asked to make something.
fn made(world: &World, call: Call) -> u64 {
    world.host.calls().into_iter().find(|(made, _)| *made == call).map_or(0, |(_, times)| times)
}

/// A settled world is looked at, and nothing else.
async fn quiet(world: &World) {
    world.drift().await;
    let log = Log::listen();
    let (writes, calls) = (world.writes(), world.host.calls());
    for _ in 0..3 {
        world.drift().await;
    }
    assert_eq!(world.writes(), writes, "nothing is written");
    assert_eq!(log.lines(), Vec::<String>::new());
    let made = world.host.calls();
    let changed = calls.iter().zip(&made).filter(|(before, after)| before != after);
    let methods: Vec<_> = changed.map(|((call, _), _)| call.method()).collect();
    assert!(methods.iter().all(|method| method.starts_with("look_")), "{methods:?}");
    let looks = |calls: &[(Call, u64)]| calls.iter().map(|(_, made)| made).sum::<u64>();
    assert!(looks(&made) - looks(&calls) <= 20, "{calls:?} {made:?}");
}

/// What each loss costs: the lines of the log, and whether the guest boots once more.
const LOSSES: [(&str, usize, bool); 7] = [
    ("public address", 1, false),
    ("network's rules", 1, false),
    ("network's rules and passes", 2, false),
    ("port", 1, true),
    ("power", 1, true),
    ("network", 2, true),
    ("the lot", 2, true),
];

async fn take_away(world: &World, what: &str, network: &PrivateNetworkId, id: &MachineId) {
    let place = HostNetwork::Private(network.clone());
    match what {
        "public address" => world.host.remove_public_ip(id, &place).await.unwrap(),
        "network's rules" => world.host.break_network(&place),
        "network's rules and passes" => world.host.flush_rules(&place),
        "port" => world.host.remove_nic(id, &place).await.unwrap(),
        "power" => world.host.crash(id),
        "network" => world.host.remove_network(&place).await.unwrap(),
        _ => world.host.reboot_host(),
    }
}

#[tokio::test]
async fn each_thing_that_is_taken_away_is_mended_once() {
    for (what, lines, boots) in LOSSES {
        for server_lives in [true, false].into_iter().step_by(if is_slow() { 2 } else { 1 }) {
            let mut world = World::new().await;
            let (network, id) = lab(&world).await;
            let before = world.dump().await;
            let after = if boots { with_event(&before, "restart of ps1: done") } else { before.clone() };
            let (log, starts) = (Log::listen(), made(&world, Call::PowerOn));
            take_away(&world, what, &network, &id).await;
            assert_ne!(world.dump().await, before, "{what}");
            if !server_lives {
                world.restart_server().await;
            }
            world.live_seconds(FOUND_S).await;
            assert_eq!(world.dump().await, after, "{what}");
            assert_eq!(log.lines().len(), lines, "{what}: {:?}", log.lines());
            assert_eq!(made(&world, Call::PowerOn) - starts, u64::from(boots), "{what}");
            quiet(&world).await;
        }
    }
}

#[tokio::test]
async fn a_settled_world_is_left_alone() {
    let world = World::new().await;
    lab(&world).await;
    world.create(json!({})).await;
    world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let before = world.dump().await;
    quiet(&world).await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_guest_that_was_ready_stays_ready_while_something_is_mended() {
    let mut config = deckle_control::config::Config::default();
    config.limits.agent_s = 1_000_000;
    let world = World::with(config, None).await;
    let (network, id) = lab(&world).await;
    world.host.silent(&id, true);
    world.pass_seconds(3600);
    world.host.remove_public_ip(&id, &HostNetwork::Private(network)).await.unwrap();
    world.live_seconds(60).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
    assert!(world.host.dump().contains("public 203.0.113.1"));
}

#[tokio::test]
async fn the_end_of_a_virtual_machine_is_noticed_at_once() {
    let world = World::new().await;
    let (_, id) = lab(&world).await;
    world.live_seconds(5).await;
    world.host.crash(&id);
    reconciler::mind_loss(&world.app, world.hooked.as_ref()).await;
    world.live_seconds(1).await;
    assert_eq!(events(&world, &id).await, ["create done", "restart done"]);
    assert_eq!(world.state(&id).await.0, "ready");
}

#[tokio::test]
async fn a_guest_that_switches_itself_off_is_off_and_that_is_told_once() {
    for server_lives in [true, false] {
        let mut world = World::new().await;
        let (_, id) = lab(&world).await;
        let log = Log::listen();
        world.host.guest_powers_off(&id);
        if !server_lives {
            world.restart_server().await;
        }
        world.live_seconds(FOUND_S).await;
        assert_eq!(world.state(&id).await.0, "off");
        assert_eq!(events(&world, &id).await, ["create done", "stop done"]);
        assert_eq!(log.lines(), Vec::<String>::new(), "nothing is amiss");
        quiet(&world).await;
        assert_eq!(events(&world, &id).await, ["create done", "stop done"]);
    }
}
