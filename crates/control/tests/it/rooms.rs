//! A host that has bounds: what does not fit is told, and nothing is left of it.

use deckle_control::config::Config;
use deckle_engine::seen::Capacity;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

fn host(ram_gib: u64, disk_gib: u64) -> Option<Capacity> {
    Some(Capacity { ram_bytes: ram_gib << 30, vcpus: 64, disk_free_bytes: disk_gib << 30 })
}

async fn short(world: &World, changes: Value, why: &str) {
    let taken = async || {
        let places = world.number("SELECT COUNT(*) AS n FROM machines WHERE placed").await;
        let held = world.number("SELECT COUNT(*) AS n FROM public_ips WHERE machine_id IS NOT NULL").await;
        (places, held, world.host.dump())
    };
    let before = taken().await;
    let id = world.create(changes).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}"), Value::Null).await;
    let told = events["items"][0]["error"].as_str().unwrap();
    assert!(told.contains(why), "{told}");
    assert_eq!(taken().await, before, "nothing is left on the host");
    order(world, "delete", &id).await;
    world.settle().await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_server_goes_on() {
    let world = World::with(Config::default(), host(64, 120)).await;
    let first = world.create(json!({})).await;
    world.create(json!({})).await;
    world.settle().await;
    short(&world, json!({}), "no space left").await;
    order(&world, "delete", &first).await;
    world.settle().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
}

#[tokio::test]
async fn memory_is_never_promised_twice() {
    let world = World::with(Config::default(), host(2, 1000)).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(world.create(json!({})).await);
    }
    world.settle().await;
    short(&world, json!({}), "C2 needs 1 GiB of memory; 0 of 2 GiB are free: stop a machine").await;
    let available = |reply: Value| reply["available"].as_bool().unwrap();
    assert!(!available(
        world.ok("GET /v1/machine-availability?machineType=C2&region=ny2", Value::Null).await
    ));
    order(&world, "stop", &ids[0]).await;
    world.settle().await;
    assert!(available(world.ok("GET /v1/machine-availability?machineType=C2&region=ca1", Value::Null).await));
    let third = world.create(json!({})).await;
    world.settle().await;
    order(&world, "start", &ids[0]).await;
    world.settle().await;
    assert_eq!(world.state(&ids[0]).await, ("off".into(), "start error".into()));
    assert_eq!(world.state(&third).await.0, "ready");
}

#[tokio::test]
async fn a_host_with_bounds_gives_no_gpu_that_it_lacks() {
    let world = World::with(Config::default(), host(2000, 1000)).await;
    short(&world, json!({"machineType": "A4000"}), "A4000 needs 1 GPU of the model").await;
}

#[tokio::test]
async fn public_addresses_end_and_come_back() {
    let pools = vec!["198.51.100.0/30".parse().unwrap(), "198.51.100.8/31".parse().unwrap()];
    let world = World::with(Config { public_pools: pools, ..Config::default() }, None).await;
    let wanted = json!({"publicIpType": "dynamic"});
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.create(wanted.clone()).await);
    }
    world.settle().await;
    let mut held: Vec<_> = Vec::new();
    for id in &ids {
        held.extend(world.machine(id).await.public_ip);
    }
    held.sort();
    assert_eq!(held, ["198.51.100.1", "198.51.100.2", "198.51.100.8", "198.51.100.9"]);
    short(&world, wanted.clone(), "the pool of public addresses is used up").await;
    let freed = world.machine(&ids[2]).await.public_ip;
    order(&world, "stop", &ids[2]).await;
    world.settle().await;
    let id = world.create(wanted).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.public_ip, freed);
}
