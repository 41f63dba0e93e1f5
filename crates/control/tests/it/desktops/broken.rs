//! A host that breaks, a server that dies, an order that comes between: what is told of a desktop opens it.

use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::{Value, json};

use super::{ask, desk, kept, order, password, refused, running_with, studio};
use crate::world::{World, sweep_step};

/// What is told at this moment, if anything, is what the machine runs with.
async fn tells_the_truth(world: &World, id: &MachineId) {
    let reply = ask(world, id).await;
    if reply.status == 200 {
        assert_eq!(reply.body["vnc"]["password"], json!(running_with(world, id)));
    }
}

/// Settles, looking after each step at what is told.
async fn settle_truthfully(world: &World, id: &MachineId) {
    while world.step().await {
        tells_the_truth(world, id).await;
    }
}

/// A machine, and what is asked of it: it is on at the end.
async fn begun(world: &World, verb: &str) -> MachineId {
    let id = world.create(json!({"templateId": "tdesk"})).await;
    if verb != "create" {
        world.settle().await;
        match verb {
            "crash" => {
                world.host.crash(&id);
                world.pass_seconds(31);
            }
            verb => drop(order(world, verb, &id).await),
        }
    }
    id
}

const STORIES: [&str; 3] = ["create", "restart", "crash"];

#[tokio::test]
async fn a_server_killed_at_any_moment_knows_the_password_of_what_runs() {
    for verb in STORIES {
        for nth in (0..).step_by(sweep_step()) {
            let mut world = studio().await;
            let id = begun(&world, verb).await;
            let killed = world.kill_at(nth).await;
            tells_the_truth(&world, &id).await;
            settle_truthfully(&world, &id).await;
            password(&world, &id).await;
            if !killed {
                assert!(nth > 0, "{verb} is something to do");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_fails_before_or_after_its_effect_leaves_the_password_of_what_runs() {
    let calls = [Call::LookMachine, Call::PowerOn, Call::CutPower];
    for verb in STORIES {
        for call in calls {
            for fuse in [Fuse::Before(call), Fuse::After(call)] {
                let world = studio().await;
                let id = begun(&world, verb).await;
                world.host.fail_at(Some(fuse));
                settle_truthfully(&world, &id).await;
                world.host.fail_at(None);
                // A look of the drift timer that fails is made again.
                world.drift().await;
                password(&world, &id).await;
            }
        }
    }
}

#[tokio::test]
async fn a_start_that_is_repeated_has_the_same_password() {
    let world = studio().await;
    let id = begun(&world, "create").await;
    world.host.fail_at(Some(Fuse::After(Call::PowerOn)));
    settle_truthfully(&world, &id).await;
    assert_eq!(world.host.fuse_left(), None);
    password(&world, &id).await;

    // One that fails again and again is not given another password each time.
    world.host.fail_always(Some((Call::PowerOn, Fault::Passing)));
    order(&world, "restart", &id).await;
    world.live_seconds(5).await;
    let sealed = world.sealed_desktop(&id).await;
    assert!(!sealed.is_empty());
    world.live_seconds(60).await;
    assert_eq!(world.sealed_desktop(&id).await, sealed);
    assert!(refused(&world, &id).await.starts_with("it is restarting"));
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(world.sealed_desktop(&id).await, sealed);
    password(&world, &id).await;
}

#[tokio::test]
async fn a_password_that_is_lost_before_its_start_is_made_again() {
    let world = studio().await;
    let other = desk(&world).await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Passing)));
    let id = begun(&world, "create").await;
    world.live_seconds(5).await;
    let swap = format!(
        "UPDATE machines SET desktop_password = (SELECT desktop_password FROM machines WHERE id = '{other}') \
         WHERE id = '{id}'"
    );
    world.run(&swap).await;
    world.host.fail_always(None);
    settle_truthfully(&world, &id).await;
    assert_ne!(password(&world, &id).await, password(&world, &other).await);
}

#[tokio::test]
async fn a_machine_that_falls_over_comes_back_with_another_password() {
    let world = studio().await;
    let id = desk(&world).await;
    let mut before = password(&world, &id).await;
    for what in ["power", "host"] {
        match what {
            "power" => world.host.crash(&id),
            _ => world.host.reboot_host(),
        }
        world.drift().await;
        let after = password(&world, &id).await;
        assert_ne!(after, before, "{what}");
        before = after;
    }
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}"), Value::Null).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 3, "the create, and a restart for each");
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_password() {
    let world = studio().await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    let id = begun(&world, "create").await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
    assert!(refused(&world, &id).await.starts_with("it is off"));
    assert_eq!(kept(&world).await, 0);
    world.host.fail_always(None);
    order(&world, "start", &id).await;
    world.settle().await;
    password(&world, &id).await;
}

#[tokio::test]
async fn an_order_at_any_moment_of_a_start_leaves_what_is_true() {
    for verb in ["stop", "delete"] {
        for nth in (0..).step_by(sweep_step()) {
            let world = studio().await;
            let id = begun(&world, "create").await;
            let line = match verb {
                "stop" => format!("PATCH /v1/machines/{id}/stop"),
                _ => format!("DELETE /v1/machines/{id}"),
            };
            let came = world.meanwhile_at(nth, &line, &json!({}));
            settle_truthfully(&world, &id).await;
            let came = *came.lock().unwrap();
            if came.is_none() {
                password(&world, &id).await;
                assert!(nth > 5, "a start has moments");
                break;
            }
            assert_eq!((came, kept(&world).await), (Some(200), 0), "{verb} at moment {nth}");
            assert_eq!(ask(&world, &id).await.status, if verb == "stop" { 412 } else { 404 });
        }
    }
}

#[tokio::test]
async fn a_restart_at_any_moment_of_a_drift_leaves_what_is_true() {
    for nth in (0..).step_by(sweep_step()) {
        let world = studio().await;
        let id = begun(&world, "crash").await;
        let came = world.meanwhile_at(nth, &format!("PATCH /v1/machines/{id}/restart"), &json!({}));
        settle_truthfully(&world, &id).await;
        password(&world, &id).await;
        if came.lock().unwrap().is_none() {
            assert!(nth > 3, "a drift has moments");
            break;
        }
    }
}
