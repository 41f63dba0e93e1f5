//! Losses that come together, one after the other, and in the midst of something else.

use deckle_engine::Engine;
use deckle_engine::specs::HostNetwork;
use serde_json::{Value, json};

use super::{FOUND_S, LOSSES, events, lab, quiet, take_away, with_event};
use crate::broken_host::order;
use crate::world::{World, sweep_step};

#[tokio::test]
async fn two_losses_at_once_are_mended_once() {
    let pairs = (0..LOSSES.len()).flat_map(|one| (one + 1..LOSSES.len()).map(move |other| [one, other]));
    for pair in pairs.step_by(sweep_step()) {
        let [(one, _, one_boots), (other, _, other_boots)] = pair.map(|nth| LOSSES[nth]);
        let world = World::new().await;
        let (network, id) = lab(&world).await;
        let before = world.dump().await;
        take_away(&world, one, &network, &id).await;
        take_away(&world, other, &network, &id).await;
        world.live_seconds(FOUND_S).await;
        let boots = one_boots || other_boots;
        let after = if boots { with_event(&before, "restart of ps1: done") } else { before };
        assert_eq!(world.dump().await, after, "{one}, {other}");
        quiet(&world).await;
    }
}

/// A virtual machine that ends again and again while it is being brought back.
#[tokio::test]
async fn a_loss_while_another_is_mended_is_mended_with_it() {
    for steps in (1..12).step_by(sweep_step()) {
        let world = World::new().await;
        let (network, id) = lab(&world).await;
        let before = world.dump().await;
        world.host.crash(&id);
        world.pass_seconds(FOUND_S);
        for _ in 0..steps {
            world.step().await;
        }
        let done = events(&world, &id).await == ["create done", "restart done"];
        world.host.crash(&id);
        world.host.remove_nic(&id, &HostNetwork::Private(network)).await.unwrap();
        world.live_seconds(2 * FOUND_S).await;
        let mut after = with_event(&before, "restart of ps1: done");
        if done {
            after = with_event(&after, "restart of ps1: done");
        }
        assert_eq!(world.dump().await, after, "{steps}");
        quiet(&world).await;
    }
}

#[tokio::test]
async fn a_loss_while_an_order_is_under_way_opens_no_event_of_its_own() {
    for (verb, what) in [("restart", "power"), ("restart", "port"), ("stop", "power"), ("stop", "network")] {
        for steps in (0..10).step_by(sweep_step()) {
            let world = World::new().await;
            let (network, id) = lab(&world).await;
            order(&world, verb, &id).await;
            for _ in 0..steps {
                world.step().await;
            }
            let done = events(&world, &id).await == ["create done".to_owned(), format!("{verb} done")];
            take_away(&world, what, &network, &id).await;
            world.live_seconds(2 * FOUND_S).await;
            let mut wanted = vec!["create done".to_owned(), format!("{verb} done")];
            if done && verb == "restart" {
                wanted.push("restart done".to_owned());
            }
            assert_eq!(events(&world, &id).await, wanted, "{verb}, {what}, {steps}");
            let state = if verb == "stop" { "off" } else { "ready" };
            assert_eq!(world.state(&id).await.0, state);
            quiet(&world).await;
        }
    }
}

#[tokio::test]
async fn orders_meet_a_machine_that_is_being_brought_back() {
    for (verb, status, wanted) in [
        ("stop", 200, ["create done", "restart cancelled", "stop done"].as_slice()),
        ("restart", 200, &["create done", "restart done"]),
        ("start", 200, &["create done", "restart done"]),
    ] {
        let world = World::new().await;
        let (_, id) = lab(&world).await;
        world.host.crash(&id);
        world.pass_seconds(FOUND_S);
        while events(&world, &id).await.len() < 2 {
            world.step().await;
        }
        assert_eq!(world.state(&id).await, ("restarting".into(), "restart in progress".into()));
        let reply = world.call(&format!("PATCH /v1/machines/{id}/{verb}"), json!({})).await;
        assert_eq!(reply.status, status, "{verb}: {}", reply.body);
        world.live_seconds(FOUND_S).await;
        assert_eq!(events(&world, &id).await, wanted, "{verb}");
        quiet(&world).await;
    }
}

/// The server dies at each moment while it brings a machine back.
#[tokio::test]
async fn a_server_that_dies_while_it_mends_goes_on_afterwards() {
    for nth in (0..).step_by(sweep_step()) {
        let mut world = World::new().await;
        let (_, id) = lab(&world).await;
        let before = world.dump().await;
        world.host.reboot_host();
        world.restart_server().await;
        let killed = world.kill_at(nth).await;
        world.live_seconds(FOUND_S).await;
        assert_eq!(world.dump().await, with_event(&before, "restart of ps1: done"), "{nth}");
        let page = world.ok(&format!("GET /v1/machine-events?machineId={id}&limit=1"), Value::Null).await;
        assert_eq!(page["items"][0]["error"], Value::Null);
        if !killed {
            assert!(nth > 5, "nothing was broken");
            return;
        }
    }
}
