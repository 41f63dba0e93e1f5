//! Every limit that has a name does what its name says, at a value that is not its default.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_control::config::{Config, Limits};
use deckle_control::reconciler;
use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::broken_host::order;
use crate::world::{World, machine};

/// A world with some limits of its own. A limit that is new does not compile here: it comes with a line, and
/// with the test that the line names.
async fn with(set: impl FnOnce(&mut Limits)) -> World {
    let Limits {
        clean_stop_s: _,   // a_guest_has_so_long_to_shut_down
        failing_s: _,      // a_fault_may_last_so_long
        ready_s: _,        // machines: a guest that is never ready
        agent_s: _,        // machines: a guest without an agent
        pause_s_max: _,    // a_pause_between_two_tries_is_no_longer
        drift_s: _,        // drift_is_looked_for_so_often
        look_again_ms: _,  // what_takes_its_time_is_looked_at_so_often
        visits: _,         // no_more_than_so_many_objects_are_visited_together
        request_s: _,      // a_request_may_take_so_long
        operator_s: _,     // a_request_may_take_so_long
        idempotency_s: _,  // an_answer_is_repeated_for_so_long
        events_days: _,    // retention: each_limit_is_its_own_and_none_is_for_ever
        runs_days: _,      // the same
        deleted_days: _,   // the same
        usage_days: _,     // retention, and usage::asked
        usage_records: _,  // usage::asked
        prune_rows: _,     // retention: a_transaction_deletes_a_batch_and_a_killed_server_goes_on
        requests_s: _,     // hostup::rates
        requests_burst: _, // hostup::rates
        template_gib: _,   // nothing_is_larger_than_it_may_be
        disk_gb: _,        // the same
        drive_gb: _,       // the same
        firewall_rules: _, // firewall_rules
        snapshots: _,      // snapshots::refused
        transfers: _,      // transfers
        copies: _,         // custom_templates: copies_leave_turns_for_other_machines
    } = Limits::default();
    let mut config = Config::default();
    set(&mut config.limits);
    World::with(config, None).await
}

async fn ready(world: &World) -> MachineId {
    let id = world.create(json!({})).await;
    world.settle().await;
    id
}

/// The detail of a machine: when it failed last, and when it is looked at next.
async fn plan(world: &World, id: &MachineId) -> (Option<Timestamp>, Timestamp) {
    let detail = world.ok(&format!("GET /v1/machines/{id}/detail"), Value::Null).await;
    let moment = |field: &str| serde_json::from_value(detail[field].clone()).unwrap();
    (moment("dtLastError"), serde_json::from_value(detail["nextTry"].clone()).unwrap())
}

#[tokio::test]
async fn a_guest_has_so_long_to_shut_down() {
    let world = with(|limits| limits.clean_stop_s = 7).await;
    let id = ready(&world).await;
    world.host.deaf(&id, true);
    order(&world, "stop", &id).await;
    world.live_seconds(6).await;
    assert_eq!(world.state(&id).await, ("stopping".into(), "stop in progress".into()));
    world.live_seconds(2).await;
    assert_eq!(world.state(&id).await.0, "off");
    assert!(world.dump().await.contains("vm-shutdown-force of ps1: done"));
}

#[tokio::test]
async fn a_fault_may_last_so_long() {
    let world = with(|limits| limits.failing_s = 20).await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Passing)));
    let id = world.create(json!({})).await;
    // It is tried at the seconds 0, 1, 3, 7, 15 and 31.
    world.live_seconds(30).await;
    assert_eq!(world.state(&id).await.1, "create in progress");
    world.live_seconds(2).await;
    assert_eq!(world.state(&id).await.1, "create error");
}

#[tokio::test]
async fn a_pause_between_two_tries_is_no_longer() {
    let world = with(|limits| limits.pause_s_max = 3).await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Passing)));
    let id = world.create(json!({})).await;
    world.live_seconds(60).await;
    let (failed, next) = plan(&world, &id).await;
    assert_eq!(next.seconds_since(failed.unwrap()).round(), 3.0);
}

#[tokio::test]
async fn drift_is_looked_for_so_often() {
    let world = with(|limits| limits.drift_s = 5).await;
    let id = ready(&world).await;
    let looks = || world.host.calls().into_iter().find(|(call, _)| *call == Call::LookMachine).unwrap().1;
    let before = looks();
    world.live_seconds(51).await;
    assert_eq!(looks() - before, 10);
    world.host.crash(&id);
    world.live_seconds(6).await;
    assert_eq!(world.state(&id).await.0, "ready");
}

#[tokio::test]
async fn what_takes_its_time_is_looked_at_so_often() {
    let world = with(|limits| {
        limits.look_again_ms = 2000;
        limits.agent_s = 1000;
    })
    .await;
    let id = world.create(json!({})).await;
    world.host.silent(&id, true);
    world.live_seconds(300).await;
    let now = world.app.clock.now();
    let pause = plan(&world, &id).await.1.seconds_since(now);
    assert!((0.3..=2.0).contains(&pause), "{pause}");
    world.live_seconds(2).await;
    let later = plan(&world, &id).await.1.seconds_since(now);
    assert!((2.0..=4.01).contains(&later), "{later}");
}

#[tokio::test]
async fn no_more_than_so_many_objects_are_visited_together() {
    let world = with(|limits| limits.visits = 2).await;
    world.settle().await;
    let (together, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let (running, seen, closed) = (together.clone(), most.clone(), gate.clone());
    world.hooked.hook(Some(Arc::new(move |moment| {
        let (running, seen, closed) = (running.clone(), seen.clone(), closed.clone());
        Box::pin(async move {
            match moment {
                Fuse::Before(Call::LookMachine) => {
                    seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    closed.acquire().await.unwrap().forget();
                }
                Fuse::After(Call::LookMachine) => drop(running.fetch_sub(1, Ordering::SeqCst)),
                _ => {}
            }
        })
    })));
    for _ in 0..5 {
        world.create(json!({"startOnCreate": false})).await;
    }
    let server = tokio::spawn(reconciler::run(world.app.clone()));
    let visits = || world.app.store.wakes().waiting_and_running(world.app.clock.now());
    until(|| together.load(Ordering::SeqCst) == 2 && visits() == (3, 2)).await;
    gate.add_permits(1_000_000);
    until(|| visits() == (0, 0)).await;
    server.abort();
    assert_eq!(most.load(Ordering::SeqCst), 2);
    let settled = "SELECT COUNT(*) AS n FROM machines WHERE settled";
    assert_eq!(world.number(settled).await, 5);
}

/// Waits until something holds, for a minute of real time at most.
async fn until(holds: impl Fn() -> bool) {
    let level = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), level).await.unwrap();
}

#[tokio::test]
async fn a_request_may_take_so_long() {
    let world = with(|limits| (limits.request_s, limits.operator_s) = (0, 3600)).await;
    let other_writer = world.app.store.begin().await.unwrap();
    assert_eq!(world.call("POST /v1/machines", machine(json!({}))).await.error().1, "TIMEOUT");
    drop(other_writer);
    let owner = json!({"name": "Other Mill", "ownerEmail": "owner@example.com"});
    assert_eq!(world.admin("POST /admin/teams", owner.clone()).await.status, 200);

    let mut config = Config::default();
    config.limits.operator_s = 0;
    let mut world = World::new().await;
    world.reconfigure(config).await;
    let other_writer = world.app.store.begin().await.unwrap();
    assert_eq!(world.admin("POST /admin/teams", owner).await.error().1, "TIMEOUT");
    drop(other_writer);
}

#[tokio::test]
async fn an_answer_is_repeated_for_so_long() {
    let world = with(|limits| limits.idempotency_s = 10).await;
    let headers = [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "a".to_owned())];
    let body = json!({"name": "lab", "region": "ny2"}).to_string();
    let mut made = Vec::new();
    for seconds in [0, 9, 2, 9] {
        world.pass_seconds(seconds);
        let reply = world.send("POST /v1/private-networks", &headers, body.clone()).await;
        made.push(reply.body["id"].as_str().unwrap().to_owned());
    }
    assert!(made[0] == made[1] && made[1] != made[2] && made[2] == made[3], "{made:?}");
}

#[tokio::test]
async fn nothing_is_larger_than_it_may_be() {
    let world = with(|limits| (limits.template_gib, limits.disk_gb, limits.drive_gb) = (4, 20, 2)).await;
    for (size, status, told) in [
        (20, 200, ""),
        (21, 400, "diskSize: expected a whole number of GB from 3, the template's size, to 20"),
    ] {
        let reply = world.call("POST /v1/machines", machine(json!({"diskSize": size}))).await;
        assert_eq!((reply.status, reply.error().2.starts_with(told)), (status, true), "{}", reply.body);
    }
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    for (size, status, told) in [(2, 200, ""), (3, 400, "size: expected a whole number of GB from 1 to 2")] {
        let drive = json!({"name": "data", "size": size, "region": "ny2", "networkId": network["id"]});
        let reply = world.call("POST /v1/shared-drives", drive).await;
        assert_eq!((reply.status, reply.error().2.starts_with(told)), (status, true), "{}", reply.body);
    }
    for (size_gib, status) in [(4, 200), (5, 412)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), crate::templates::qcow2(0, size_gib)).unwrap();
        let reply = world.admin("POST /admin/templates", json!({"file": file.path(), "name": "x"})).await;
        assert_eq!(reply.status, status, "{}", reply.body);
    }
}
