//! Calls that say they have done something, and have not; guests that come and go; disks that stall.

use deckle_api::ids::MachineId;
use deckle_engine::emulator::Call;
use serde_json::json;

use super::orders::order;
use crate::world::World;

fn made(world: &World, call: Call) -> u64 {
    world.host.calls().into_iter().find(|(made, _)| *made == call).map_or(0, |(_, times)| times)
}

#[tokio::test]
async fn what_is_done_in_vain_is_not_done_without_end() {
    for call in [Call::EnsureDisk, Call::EnsureNetwork, Call::EnsureNic, Call::EnsurePublicIp, Call::PowerOn]
    {
        let world = World::new().await;
        world.hooked.in_vain(Some(call));
        let id = world.create(json!({"publicIpType": "dynamic"})).await;
        world.live_seconds(660).await;
        assert_eq!(world.state(&id).await, ("off".into(), "create error".into()), "{call}");
        let times = world.hooked.made_in_vain();
        assert!(times < 60, "{call}: {times}");
    }
}

#[tokio::test]
async fn a_network_that_is_made_in_vain_is_not_made_without_end() {
    let world = World::new().await;
    world.hooked.in_vain(Some(Call::EnsureNetwork));
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let id = world.create(json!({"networkId": network["id"]})).await;
    world.live_seconds(700).await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
    let times = world.hooked.made_in_vain();
    assert!(times < 1000, "{times}");
}

#[tokio::test]
async fn a_machine_that_stalls_as_it_starts_is_waited_for_and_not_for_ever() {
    let world = World::new().await;
    let id: MachineId = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    world.host.stall(&id, true);
    order(&world, "start", &id).await;
    let before = made(&world, Call::LookMachine);
    world.live_seconds(60).await;
    let looks = made(&world, Call::LookMachine) - before;
    assert!(looks < 400, "{looks} looks in a minute");
    world.live_seconds(700).await;
    let dump = world.dump().await;
    assert!(dump.contains("ps1 web off"), "{dump}");
    assert!(dump.contains("start of ps1: error: start ps1: it stood still for 600 s"), "{dump}");
}

#[tokio::test]
async fn a_machine_that_stalls_when_it_was_ready_stays_as_it_is() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.stall(&id, true);
    let before = made(&world, Call::LookMachine);
    world.live_seconds(300).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
    assert!(made(&world, Call::LookMachine) - before < 15);
}
