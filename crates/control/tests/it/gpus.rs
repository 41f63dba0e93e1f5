//! GPUs: who gets which, what is told when there are none, and what happens to those that fail.

use deckle_api::admin::{Gpu, GpuState};
use deckle_api::ids::MachineId;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault, Fuse, PretendedGpus};
use deckle_engine::pci::PciAddress;
use deckle_engine::specs::HostNetwork;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::{World, machine, sweep_step};

pub fn some(model: &str, count: u8, numa_nodes: u8) -> Vec<PretendedGpus> {
    vec![PretendedGpus { model: model.to_owned(), memory_gib: 40, count, numa_nodes }]
}

fn at(bus: u8) -> PciAddress {
    format!("0000:{bus:02x}:00.0").parse().unwrap()
}

async fn gpus(world: &World) -> Vec<Gpu> {
    let reply = world.admin("GET /admin/gpus", json!({})).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    serde_json::from_value(reply.body).unwrap()
}

/// How each device is, and the machine that has it.
async fn standings(world: &World) -> Vec<(&'static str, Option<MachineId>)> {
    gpus(world).await.into_iter().map(|gpu| (gpu.state.word(), gpu.machine_id)).collect()
}

/// The buses of a machine's devices, as its host shows them.
async fn buses(world: &World, id: &MachineId) -> Vec<u8> {
    let seen = world.host.look_machine(id, &HostNetwork::Own(id.clone())).await.unwrap();
    seen.gpus.iter().map(|gpu| u8::from_str_radix(&gpu.as_str()[5..7], 16).unwrap()).collect()
}

async fn make(world: &World, machine_type: &str) -> MachineId {
    let id = world.create(json!({"machineType": machine_type})).await;
    world.settle().await;
    id
}

async fn last_error(world: &World, id: &MachineId) -> String {
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}&limit=1"), Value::Null).await;
    events["items"][0]["error"].as_str().unwrap_or("(none)").to_owned()
}

async fn available(world: &World, machine_type: &str) -> bool {
    let path = format!("GET /v1/machine-availability?machineType={machine_type}&region=ny2");
    let available = world.ok(&path, Value::Null).await["available"].as_bool().unwrap();
    let templates = world.ok("GET /v1/os-templates", Value::Null).await;
    let types = templates["items"][0]["availableMachineTypes"].as_array().unwrap().clone();
    let listed = types.iter().find(|one| one["machineTypeLabel"] == machine_type).unwrap();
    assert_eq!(listed["isAvailable"], available, "templates say the same");
    available
}

async fn release(world: &World, bus: u8) -> (u16, Value) {
    let reply = world.admin(&format!("POST /admin/gpus/{}/release", at(bus)), json!({})).await;
    (reply.status, reply.body)
}

fn ready() -> (String, String) {
    ("ready".to_owned(), "create done".to_owned())
}

#[tokio::test]
async fn a_machine_has_its_gpu_until_it_is_off() {
    let world = World::with_gpus(some("A100", 1, 1)).await;
    let first = make(&world, "A100").await;
    assert_eq!(world.state(&first).await, ready());
    assert_eq!(buses(&world, &first).await, [1]);
    assert_eq!(standings(&world).await, [("used", Some(first.clone()))]);
    assert!(!available(&world, "A100").await);
    order(&world, "restart", &first).await;
    world.settle().await;
    assert_eq!(buses(&world, &first).await, [1]);

    order(&world, "stop", &first).await;
    world.settle().await;
    assert_eq!(standings(&world).await, [("free", None)]);
    assert!(available(&world, "A100").await);
    let second = make(&world, "A100").await;
    order(&world, "start", &first).await;
    world.settle().await;
    assert_eq!(world.state(&first).await, ("off".into(), "start error".into()));
    assert_eq!(standings(&world).await, [("used", Some(second.clone()))]);
    order(&world, "delete", &second).await;
    world.settle().await;
    order(&world, "start", &first).await;
    world.settle().await;
    assert_eq!(world.state(&first).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn a_move_keeps_a_gpu_unless_that_fails_on_the_way() {
    let world = World::with_gpus(some("A100", 2, 1)).await;
    let mut networks = Vec::new();
    for name in ["lab", "den"] {
        let network = json!({"name": name, "region": "ny2"});
        networks.push(world.ok("POST /v1/private-networks", network).await["id"].clone());
    }
    let id = world.create(json!({"machineType": "A100", "networkId": networks[0]})).await;
    world.settle().await;
    let put = format!("PUT /v1/machines/{id}");
    world.ok(&put, json!({"networkId": networks[1]})).await;
    while world.step().await {
        assert_eq!(standings(&world).await, [("used", Some(id.clone())), ("free", None)]);
    }
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "vm-migrate done".into()));
    assert_eq!(buses(&world, &id).await, [1]);

    world.host.let_gpu_resist(&at(1), true);
    world.ok(&put, json!({"networkId": networks[0]})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "vm-migrate done".into()));
    assert_eq!(standings(&world).await, [("quarantined", None), ("used", Some(id.clone()))]);
    assert_eq!(buses(&world, &id).await, [2]);
}

#[tokio::test]
async fn what_is_short_is_told_in_counts_and_no_other_team_is_named() {
    let mut world = World::with_gpus(some("A100", 2, 1)).await;
    let others = world.new_team("Rag Merchants").await;
    let other_key = world.new_key(&others, "owner@example.com", json!([])).await;
    make(&world, "A100").await;
    let own_key = std::mem::replace(&mut world.key, other_key);
    let theirs = make(&world, "A100").await;
    assert_eq!(world.state(&theirs).await, ready());
    world.key = own_key;

    let short = make(&world, "A100").await;
    assert_eq!(world.state(&short).await, ("off".into(), "create error".into()));
    let told = last_error(&world, &short).await;
    assert_eq!(
        told,
        format!(
            "place {short}: A100 needs 1 GPU of the model A100; 2 A100 on this host, 1 used by your team, \
             1 by others: stop a machine of your team that has some, or wait until another team stops one of \
             its own"
        )
    );
    assert!(!told.contains("Rag") && !told.contains(others.id.as_str()) && !told.contains(theirs.as_str()));

    let absent = make(&world, "V100").await;
    let told = last_error(&world, &absent).await;
    assert!(told.ends_with(
        "V100 needs 1 GPU of the model V100; this host has none to give: choose another machine type"
    ));
    assert!(!available(&world, "V100").await);
    assert!(available(&world, "C5").await, "what needs no GPU is there");
}

#[tokio::test]
async fn several_gpus_come_from_one_node_if_they_can() {
    let world = World::with_gpus(some("A4000", 8, 2)).await;
    let one = make(&world, "A4000").await;
    let four = make(&world, "A4000x4").await;
    let two = make(&world, "A4000x2").await;
    assert_eq!(buses(&world, &one).await, [1]);
    assert_eq!(buses(&world, &four).await, [5, 6, 7, 8], "the only node that has four");
    assert_eq!(buses(&world, &two).await, [2, 3], "the first one is not broken into");
    order(&world, "stop", &four).await;
    world.settle().await;
    let nodes: Vec<_> = gpus(&world).await.into_iter().map(|gpu| gpu.numa_node).collect();
    assert_eq!(nodes, [0, 0, 0, 0, 1, 1, 1, 1].map(Some));

    let mixed = World::with_gpus(some("A4000", 5, 2)).await;
    make(&mixed, "A4000").await;
    let four = make(&mixed, "A4000x4").await;
    assert_eq!(buses(&mixed, &four).await, [1, 2, 3, 5], "of two nodes rather than none");
}

#[tokio::test]
async fn creates_at_the_same_time_get_devices_of_their_own() {
    let world = World::with_gpus(some("A100", 8, 2)).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(world.create(json!({"machineType": "A100"})).await);
    }
    tokio::join!(world.settle(), world.settle(), world.settle(), world.settle());
    world.settle().await;
    let mut taken = Vec::new();
    let mut failed = 0;
    for id in &ids {
        taken.extend(buses(&world, id).await);
        failed += usize::from(world.state(id).await.1 == "create error");
    }
    taken.sort();
    assert_eq!((taken, failed), ((1..=8).collect(), 4));
}

#[tokio::test]
async fn a_server_that_dies_at_any_moment_loses_no_gpu() {
    for nth in (0..).step_by(sweep_step()) {
        let mut world = World::with_gpus(some("A100", 2, 1)).await;
        let id = world.create(json!({"machineType": "A100"})).await;
        let killed = world.kill_at(nth).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ready(), "moment {nth}");
        assert_eq!(buses(&world, &id).await.len(), 1, "moment {nth}");
        order(&world, "stop", &id).await;
        world.kill_at(nth).await;
        world.settle().await;
        assert_eq!(standings(&world).await, [("free", None), ("free", None)], "moment {nth}");
        if !killed {
            assert!(nth > 10, "there are moments to die at");
            break;
        }
    }
}

#[tokio::test]
async fn each_call_about_gpus_may_fail_once() {
    for call in [Call::LookGpus, Call::CutPower, Call::PowerOn] {
        for fuse in [Fuse::Before(call), Fuse::After(call)] {
            let world = World::with_gpus(some("A100", 1, 1)).await;
            world.host.fail_at(Some(fuse));
            let id = make(&world, "A100").await;
            assert_eq!(world.state(&id).await, ready(), "{fuse:?}");
            order(&world, "stop", &id).await;
            world.settle().await;
            assert_eq!(world.host.fuse_left(), None, "{fuse:?}");
            assert_eq!(standings(&world).await, [("free", None)], "{fuse:?}");
        }
    }
}

#[tokio::test]
async fn a_server_starts_where_its_host_does_not_tell_of_its_gpus() {
    let mut world = World::with_gpus(some("A100", 1, 1)).await;
    world.host.fail_always(Some((Call::LookGpus, Fault::Passing)));
    world.restart_server().await;
    world.create(json!({})).await;
    world.settle().await;
    world.host.fail_always(None);
    let id = make(&world, "A100").await;
    assert_eq!(world.state(&id).await, ready());
}

#[tokio::test]
async fn a_gpu_that_vanishes_is_given_to_nobody_until_an_operator_says_so() {
    let mut world = World::with_gpus(some("A100", 2, 1)).await;
    let id = make(&world, "A100").await;
    world.host.hide_gpu(&at(1), true);
    world.restart_server().await;
    world.settle().await;
    let first = gpus(&world).await.remove(0);
    assert_eq!((first.state, first.machine_id.as_ref()), (GpuState::Quarantined, Some(&id)));
    assert_eq!(first.reason.as_deref(), Some("the host does not show it any more"));
    let (status, told) = release(&world, 1).await;
    assert_eq!((status, told["code"].as_str()), (412, Some("PRECONDITION_FAILED")), "{told}");
    assert!(
        told["message"].as_str().unwrap().contains(&format!("is given to {id}; stop it first")),
        "{told}"
    );

    world.host.crash(&id);
    world.drift().await;
    assert_eq!(buses(&world, &id).await, [2], "it starts again with another one");
    world.host.hide_gpu(&at(1), false);
    let short = make(&world, "A100").await;
    let told = last_error(&world, &short).await;
    assert!(told.contains("2 A100 on this host, 1 used by your team, 0 by others, 1 out of use:"), "{told}");
    assert!(told.contains("or ask the operator, whom `deckle admin gpu list` tells why"), "{told}");

    let (status, released) = release(&world, 1).await;
    assert_eq!((status, released["state"].as_str()), (200, Some("free")), "{released}");
    assert_eq!(release(&world, 1).await.0, 200, "what is free stays free");
    order(&world, "start", &short).await;
    world.settle().await;
    assert_eq!(buses(&world, &short).await, [1]);
}

#[tokio::test]
async fn a_released_gpu_that_is_not_there_is_forgotten() {
    let world = World::with_gpus(some("A100", 2, 1)).await;
    world.host.hide_gpu(&at(2), true);
    assert_eq!(standings(&world).await, [("free", None), ("quarantined", None)]);
    let (status, released) = release(&world, 2).await;
    assert_eq!((status, released["state"].as_str()), (200, Some("forgotten")), "{released}");
    assert_eq!(standings(&world).await, [("free", None)]);
    assert_eq!(release(&world, 2).await.0, 404);
    world.host.hide_gpu(&at(2), false);
    assert_eq!(standings(&world).await, [("free", None), ("free", None)], "it is as a new one");
}

#[tokio::test]
async fn a_gpu_that_does_not_reset_is_quarantined_as_it_is_given_back() {
    let world = World::with_gpus(some("A100", 1, 1)).await;
    let id = make(&world, "A100").await;
    world.host.let_gpu_resist(&at(1), true);
    order(&world, "stop", &id).await;
    world.settle().await;
    let gpu = gpus(&world).await.remove(0);
    assert_eq!((gpu.state, gpu.machine_id, gpu.team_id), (GpuState::Quarantined, None, None));
    assert_eq!(gpu.reason.as_deref(), Some("it does not reset"));
    assert!(!available(&world, "A100").await);
    order(&world, "start", &id).await;
    world.settle().await;
    assert!(last_error(&world, &id).await.contains("1 out of use"));

    let (status, told) = release(&world, 1).await;
    assert_eq!(status, 412, "{told}");
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("0000:01:00.0 stays quarantined: reset the GPU"), "{message}");
    world.host.let_gpu_resist(&at(1), false);
    assert!(!available(&world, "A100").await, "nobody has said so yet");
    assert_eq!(release(&world, 1).await.0, 200);
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(buses(&world, &id).await, [1]);
}

#[tokio::test]
async fn a_release_that_fails_half_way_can_be_asked_for_again() {
    for fuse in [Fuse::Before(Call::ResetGpu), Fuse::After(Call::ResetGpu)] {
        let world = World::with_gpus(some("A100", 1, 1)).await;
        let id = make(&world, "A100").await;
        world.host.let_gpu_resist(&at(1), true);
        order(&world, "stop", &id).await;
        world.settle().await;
        world.host.let_gpu_resist(&at(1), false);
        world.host.fail_at(Some(fuse));
        assert_eq!(release(&world, 1).await.0, 500, "{fuse:?}");
        assert_eq!(standings(&world).await, [("quarantined", None)], "{fuse:?}");
        assert_eq!(release(&world, 1).await.0, 200, "{fuse:?}");
        assert_eq!(standings(&world).await, [("free", None)], "{fuse:?}");
    }
}

#[tokio::test]
async fn a_reset_that_fails_after_a_crash_is_seen_before_the_next_start() {
    let world = World::with_gpus(some("A100", 2, 1)).await;
    let id = make(&world, "A100").await;
    world.host.let_gpu_resist(&at(1), true);
    world.host.crash(&id);
    world.drift().await;
    assert_eq!(world.state(&id).await.0, "ready");
    assert_eq!(buses(&world, &id).await, [2]);
    assert_eq!(standings(&world).await, [("quarantined", None), ("used", Some(id))]);
}

#[tokio::test]
async fn a_running_machine_keeps_its_gpus_where_the_rows_are_older_than_it() {
    let world = World::with_gpus(some("A100", 2, 1)).await;
    let first = make(&world, "A100").await;
    let id = make(&world, "A100").await;
    order(&world, "delete", &first).await;
    world.settle().await;
    assert_eq!(buses(&world, &id).await, [2]);
    world.run("UPDATE gpus SET machine_id = NULL, team_id = NULL").await;
    assert_eq!(standings(&world).await, [("free", None), ("used", Some(id.clone()))], "the host shows it");
    let other = make(&world, "A100").await;
    assert_eq!(buses(&world, &other).await, [1], "what a machine runs with goes to no other");
    world.run(&format!("UPDATE machines SET placed = FALSE WHERE id = '{id}'")).await;
    world.drift().await;
    assert_eq!(standings(&world).await, [("used", Some(other)), ("used", Some(id.clone()))]);
    let rows = format!("SELECT COUNT(*) AS n FROM gpus WHERE machine_id = '{id}'");
    assert_eq!((world.number(&rows).await, buses(&world, &id).await), (1, vec![2]));
}

#[tokio::test]
async fn a_reboot_of_the_host_brings_machines_back_with_gpus() {
    let mut world = World::with_gpus(some("A4000", 8, 2)).await;
    let mut ids = Vec::new();
    for machine_type in ["A4000x4", "A4000x2", "A4000"] {
        ids.push(make(&world, machine_type).await);
    }
    let held = standings(&world).await;
    world.host.reboot_host();
    world.restart_server().await;
    world.settle().await;
    for (id, count) in ids.iter().zip([4, 2, 1]) {
        assert_eq!((world.state(id).await.0.as_str(), buses(&world, id).await.len()), ("ready", count));
    }
    assert_eq!(standings(&world).await, held);
}

#[tokio::test]
async fn a_host_without_a_number_of_gpus_grants_every_wish() {
    let world = World::new().await;
    for _ in 0..3 {
        let id = make(&world, "A100x8").await;
        assert_eq!(world.state(&id).await, ready());
        assert_eq!(buses(&world, &id).await, [0; 0]);
        order(&world, "stop", &id).await;
        world.settle().await;
    }
    assert_eq!(gpus(&world).await, []);
    assert!(available(&world, "A100x8").await);
}

#[tokio::test]
async fn wrong_requests_about_gpus_are_refused() {
    let world = World::with_gpus(some("A100", 1, 1)).await;
    for (path, message) in
        [("0000:99:00.0", "there is no GPU 0000:99:00.0"), ("x", "x"), ("0000:01:00.9", "0000:01:00.9")]
    {
        let reply = world.admin(&format!("POST /admin/gpus/{path}/release"), json!({})).await;
        assert_eq!(reply.error().0, 404, "{:?}", reply.body);
        assert!(reply.error().2.contains(message), "{:?}", reply.body);
    }
    let not_here = world.call("GET /v1/admin/gpus", Value::Null).await;
    assert_eq!(not_here.status, 404, "the operator's paths are on the operator's socket alone");
    let reply = world.call("POST /v1/machines", machine(json!({"machineType": "A9000"}))).await;
    assert_eq!(reply.error().1, "BAD_REQUEST");
}
