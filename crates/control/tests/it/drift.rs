//! What is changed behind the server's back is found by the next look and mended once.

use deckle_engine::Engine;
use deckle_engine::specs::HostNetwork;
use serde_json::json;

use crate::world::World;

async fn lab(world: &World) -> (deckle_api::ids::PrivateNetworkId, deckle_api::ids::MachineId) {
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let id = world.create(json!({"networkId": network["id"], "publicIpType": "dynamic"})).await;
    world.settle().await;
    (serde_json::from_value(network["id"].clone()).unwrap(), id)
}

#[tokio::test]
async fn each_thing_that_is_taken_away_is_mended_once() {
    for what in ["public address", "port", "power", "network", "network's rules", "the lot"] {
        let world = World::new().await;
        let (network, id) = lab(&world).await;
        let before = world.dump().await;
        let place = HostNetwork::Private(network);
        match what {
            "public address" => world.host.remove_public_ip(&id, &place).await.unwrap(),
            "port" => world.host.remove_nic(&id, &place).await.unwrap(),
            "power" => world.host.crash(&id),
            "network" => world.host.remove_network(&place).await.unwrap(),
            "network's rules" => world.host.break_network(&place),
            _ => world.host.reboot_host(),
        }
        assert_ne!(world.dump().await, before, "{what}");
        world.drift().await;
        assert_eq!(world.dump().await, before, "{what}");
        quiet(&world).await;
    }
}

/// A settled world is looked at, and nothing else.
async fn quiet(world: &World) {
    world.drift().await;
    let (writes, calls) = (world.writes(), world.host.calls());
    for _ in 0..3 {
        world.drift().await;
    }
    assert_eq!(world.writes(), writes, "nothing is written");
    let made = world.host.calls();
    let changed = calls.iter().zip(&made).filter(|(before, after)| before != after);
    let methods: Vec<_> = changed.map(|((call, _), _)| call.method()).collect();
    assert!(methods.iter().all(|method| method.starts_with("look_")), "{methods:?}");
    let looks =
        |calls: &[(deckle_engine::emulator::Call, u64)]| calls.iter().map(|(_, made)| made).sum::<u64>();
    assert!(looks(&made) - looks(&calls) <= 20, "{calls:?} {made:?}");
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
