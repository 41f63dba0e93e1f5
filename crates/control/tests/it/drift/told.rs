//! What cannot be mended is told, once, and never made again.

use deckle_api::ids::{MachineId, SharedDriveId};
use deckle_control::config::Config;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use super::{FOUND_S, Log, events, lab, made, quiet, with_event};
use crate::broken_host::order;
use crate::world::{TEMPLATE, World};

const LOST: &str = "its disk was made and is missing from its host; it is not made again: restore it, or delete \
                    the machine";

/// Sees that nothing is written, told or made while what is told lasts.
async fn nothing_more(world: &World) {
    let log = Log::listen();
    let (writes, disks) = (world.writes(), made(world, Call::EnsureDisk));
    world.live_seconds(600).await;
    assert_eq!((world.writes(), made(world, Call::EnsureDisk)), (writes, disks));
    assert_eq!(log.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_disk_that_is_missing_is_told_once_whether_its_machine_is_on_or_off() {
    for (on, event) in [(true, "restart"), (false, "start")] {
        let world = World::new().await;
        let id = world.create(json!({"startOnCreate": on})).await;
        world.settle().await;
        let before = world.dump().await;
        let (log, disks) = (Log::listen(), made(&world, Call::EnsureDisk));
        world.host.lose_disk(&id);
        world.live_seconds(FOUND_S).await;
        let told = format!("{event} of ps1: error: run ps1: {LOST}");
        let after = with_event(&before, &told).replace("ps1: 50 GiB on t0nspur5", "ps1: no disk");
        assert_eq!(world.dump().await, after, "a guest that runs, runs on");
        assert_eq!(log.lines().len(), 1, "{:?}", log.lines());
        assert_eq!(made(&world, Call::EnsureDisk), disks);
        drop(log);
        world.live_seconds(FOUND_S).await;
        nothing_more(&world).await;
        assert_eq!(world.dump().await, after);

        world.host.put_back_disk(&id);
        world.live_seconds(FOUND_S).await;
        assert_eq!(world.dump().await, with_event(&before, &told));
        quiet(&world).await;
        order(&world, if on { "restart" } else { "start" }, &id).await;
        world.settle().await;
        assert_eq!(world.state(&id).await, ("ready".into(), format!("{event} done")));
    }
}

/// What went wrong before, and may pass, is another thing.
#[tokio::test]
async fn a_disk_that_is_missing_after_its_host_could_not_be_looked_at_is_told() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    world.host.fail_always(Some((Call::LookMachine, Fault::Passing)));
    world.live_seconds(2 * FOUND_S).await;
    assert_eq!(events(&world, &id).await, ["create done"]);
    world.host.lose_disk(&id);
    world.host.fail_always(None);
    world.live_seconds(2 * FOUND_S).await;
    let told = format!("start error: run {id}: {LOST}");
    assert_eq!(events(&world, &id).await, ["create done".to_owned(), told]);
    nothing_more(&world).await;
}

/// What a second loss of the same disk is: another thing to tell.
#[tokio::test]
async fn a_disk_that_is_missing_again_is_told_again() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    for times in 1..=3 {
        world.host.lose_disk(&id);
        world.live_seconds(2 * FOUND_S).await;
        world.host.put_back_disk(&id);
        world.live_seconds(FOUND_S).await;
        assert_eq!(events(&world, &id).await.len(), 1 + times);
    }
}

#[tokio::test]
async fn what_was_on_comes_back_once_its_disk_is_there_again() {
    let mut world = World::new().await;
    let (_, id) = lab(&world).await;
    let before = world.dump().await;
    world.host.lose_disk(&id);
    world.host.reboot_host();
    world.restart_server().await;
    world.live_seconds(FOUND_S).await;
    let told = format!("restart of ps1: error: run ps1: {LOST}");
    assert!(world.dump().await.contains(&format!("{told}\ntaken")), "{}", world.dump().await);
    assert!(world.dump().await.contains("ps1: no disk; off"), "{}", world.dump().await);
    world.live_seconds(120).await;
    nothing_more(&world).await;
    world.host.put_back_disk(&id);
    world.live_seconds(FOUND_S).await;
    assert_eq!(world.dump().await, with_event(&before, &told), "nobody has switched it off");
    quiet(&world).await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_started_again_is_still_wanted_on() {
    for (fault, seconds) in [(Fault::Final, FOUND_S), (Fault::Passing, 680)] {
        let world = World::new().await;
        let (_, id) = lab(&world).await;
        let before = world.dump().await;
        world.host.fail_always(Some((Call::PowerOn, fault)));
        world.host.crash(&id);
        world.live_seconds(seconds).await;
        let told = events(&world, &id).await;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].starts_with("restart error: call power_on: a test lets it fail"), "{told:?}");
        world.live_seconds(120).await;
        nothing_more(&world).await;
        world.host.fail_always(None);
        world.live_seconds(2 * FOUND_S).await;
        let told = format!("{} of ps1{}", "restart", told[1].strip_prefix("restart error").unwrap());
        let told = told.replace("ps1:", "ps1: error:");
        assert_eq!(world.dump().await, with_event(&before, &told), "{fault:?}");
        quiet(&world).await;
    }
}

#[tokio::test]
async fn an_ordered_restart_that_fails_still_ends_off() {
    let world = World::new().await;
    let (_, id) = lab(&world).await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "restart error".into()));
}

/// A guest runs on while its own network cannot be mended; its owner is told once.
#[tokio::test]
async fn what_cannot_be_mended_under_a_guest_is_told_and_the_guest_runs_on() {
    let world = World::new().await;
    let id: MachineId = world.create(json!({})).await;
    world.settle().await;
    let before = world.dump().await;
    world.host.fail_always(Some((Call::EnsureNetwork, Fault::Final)));
    world.host.break_network(&deckle_engine::specs::HostNetwork::Own(id.clone()));
    world.live_seconds(4 * FOUND_S).await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart error".into()));
    nothing_more(&world).await;
    world.host.fail_always(None);
    world.live_seconds(FOUND_S).await;
    let told = "restart of ps1: error: call ensure_network: a test lets it fail";
    assert_eq!(world.dump().await, with_event(&before, told));
    quiet(&world).await;
}

#[tokio::test]
async fn a_drive_s_image_that_is_missing_is_told_once_and_shared_again() {
    let world = World::new().await;
    let (network, _) = lab(&world).await;
    let wanted = json!({"name": "data", "size": 1, "region": "ny2", "networkId": network});
    let drive: SharedDriveId =
        serde_json::from_value(world.ok("POST /v1/shared-drives", wanted).await["id"].clone()).unwrap();
    world.settle().await;
    let (before, drives) = (world.dump().await, made(&world, Call::EnsureDrive));
    let log = Log::listen();
    world.host.lose_drive(&drive);
    world.live_seconds(FOUND_S).await;
    let detail = world.ok(&format!("GET /v1/shared-drives/{drive}/detail"), Value::Null).await;
    assert!(detail["lastError"].as_str().unwrap().contains("its image was made and is missing"), "{detail}");
    assert_eq!(log.lines().len(), 1, "{:?}", log.lines());
    drop(log);
    nothing_more(&world).await;
    world.live_seconds(FOUND_S).await;
    let later = world.ok(&format!("GET /v1/shared-drives/{drive}/detail"), Value::Null).await;
    assert_eq!((&later["since"], &later["lastError"]), (&detail["since"], &detail["lastError"]));
    assert_ne!(later["dtLastError"], detail["dtLastError"], "it is looked at again");
    world.host.put_back_drive(&drive);
    world.live_seconds(FOUND_S).await;
    assert_eq!((world.dump().await, made(&world, Call::EnsureDrive)), (before, drives));
    quiet(&world).await;
}

#[tokio::test]
async fn a_template_s_image_that_is_missing_is_told_by_what_needs_it() {
    let world = World::with(Config::default(), None).await;
    let (_, id) = lab(&world).await;
    let template = TEMPLATE.parse().unwrap();
    world.host.lose_template(&template);
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "restart done".into()), "its disk works on");
    let late = world.create(json!({})).await;
    world.settle().await;
    let told = events(&world, &late).await;
    assert!(told[0].contains("create error") && told[0].contains("the template is not there"), "{told:?}");
    assert_eq!(made(&world, Call::EnsureTemplate), 0, "it is not made again");
    world.host.put_back_template(&template);
    order(&world, "start", &late).await;
    world.settle().await;
    assert_eq!(world.state(&late).await, ("ready".into(), "start done".into()));
}
