//! The life of a template.

use std::sync::Arc;

use deckle_control::clock::Clock;
use deckle_control::config::Config;
use deckle_control::reconciler::{Object, visit_next};
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use super::{TEMPLATES, get, has_image, made, off, ordered};
use crate::broken_host::order;
use crate::world::{World, machine};

#[tokio::test]
async fn a_template_is_made_shown_renamed_and_used() {
    let world = World::new().await;
    let parent = off(&world, json!({"machineType": "C2", "diskSize": 60})).await;
    let id = made(&world, "golden", &parent).await;
    let shown = get(&world, &id).await;
    let labels: Vec<_> = shown["availableMachineTypes"].as_array().unwrap().iter().collect();
    let expected: Vec<_> = ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10"]
        .map(|label| json!({"machineTypeLabel": label, "isAvailable": true}))
        .into();
    for one in &expected {
        assert!(labels.contains(&one), "{one}: {shown}");
    }
    assert_eq!((&shown["name"], &shown["region"]), (&json!("golden"), &json!("ny2")));
    assert_eq!((&shown["defaultSizeGb"], &shown["parentMachineId"]), (&json!(60), &json!(parent)));
    assert_eq!(
        (&shown["agentType"], &shown["operatingSystemLabel"]),
        (&json!("LinuxHeadless"), &json!("Ubuntu 22.04"))
    );
    let renamed = world.ok(&format!("PUT /v1/custom-templates/{id}"), json!({"name": "gilded"})).await;
    assert_eq!(renamed["name"], "gilded");
    assert_eq!(get(&world, &id).await, renamed);
    let mut machines = Vec::new();
    for changes in [json!({"diskSize": 60}), json!({"diskSize": 80, "machineType": "C4"})] {
        let mut changes = changes;
        changes["templateId"] = json!(id);
        machines.push(world.create(changes).await);
    }
    world.settle().await;
    for machine in &machines {
        assert_eq!(world.state(machine).await, ("ready".into(), "create done".into()));
        assert_eq!(world.machine(machine).await.os, "Ubuntu 22.04");
    }
    let dump = world.host.dump();
    for (machine, size) in machines.iter().zip([60, 80]) {
        assert!(dump.contains(&format!("{machine}: {size} GiB on {id}; on")), "{dump}");
    }
    // The parent goes on, and more can be made of it.
    order(&world, "start", &parent).await;
    world.settle().await;
    assert_eq!(world.state(&parent).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn machines_of_a_deleted_template_keep_working() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = made(&world, "golden", &parent).await;
    let child = world.create(json!({"templateId": id})).await;
    world.settle().await;
    let deleted = world.ok(&format!("DELETE /v1/custom-templates/{id}"), Value::Null).await;
    assert_eq!((&deleted["id"], deleted["dtDeleted"].is_string()), (&json!(id), true));
    world.settle().await;
    assert!(!has_image(&world, &id));
    for line in ["GET", "DELETE"] {
        let reply = world.call(&format!("{line} /v1/custom-templates/{id}"), Value::Null).await;
        assert_eq!(reply.error(), (404, "NOT_FOUND", format!("there is no custom template {id}").as_str()));
    }
    assert_eq!(world.ok("GET /v1/custom-templates", Value::Null).await["items"], json!([]));
    order(&world, "restart", &child).await;
    world.settle().await;
    assert_eq!(world.state(&child).await, ("ready".into(), "restart done".into()));
    let reply = world.call("POST /v1/machines", machine(json!({"templateId": id}))).await;
    assert_eq!(reply.error().1, "NOT_FOUND");
    // A template can be made of what was made from one that is gone.
    order(&world, "stop", &child).await;
    world.settle().await;
    let next = made(&world, "next", &child).await;
    assert_eq!(get(&world, &next).await["operatingSystemLabel"], "Ubuntu 22.04");
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
}

#[tokio::test]
async fn a_template_outlives_its_machine() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = made(&world, "golden", &parent).await;
    order(&world, "delete", &parent).await;
    world.settle().await;
    assert_eq!(get(&world, &id).await["parentMachineId"], json!(parent));
    let of_parent = world.ok(&format!("GET /v1/custom-templates?machineId={parent}"), Value::Null).await;
    assert_eq!(of_parent["items"][0]["id"], json!(id));
    let child = world.create(json!({"templateId": id})).await;
    world.settle().await;
    assert_eq!(world.state(&child).await, ("ready".into(), "create done".into()));
}

/// Whoever was promised a machine gets it: its template's image stays until the disk is made.
#[tokio::test]
async fn a_machine_that_was_ordered_before_its_template_went_is_made() {
    let mut world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = made(&world, "golden", &parent).await;
    world.host.fail_always(Some((Call::EnsureDisk, Fault::Passing)));
    let child = world.create(json!({"templateId": id})).await;
    world.ok(&format!("DELETE /v1/custom-templates/{id}"), Value::Null).await;
    world.live_seconds(60).await;
    assert!(has_image(&world, &id));
    // A machine may need it for long: it is not looked for all the time.
    let template = Object::CustomTemplate(id.parse().unwrap());
    world.app.store.wakes().wake(template.clone());
    while visit_next(&world.app).await {}
    let now = world.clock.now();
    let pause = now.plus_seconds(world.app.config.limits.pause_s_max - 1);
    assert!(world.app.store.wakes().next_of(&template, now).unwrap() > pause);
    world.restart_server().await;
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(world.state(&child).await, ("ready".into(), "create done".into()));
    assert!(!has_image(&world, &id));
}

#[tokio::test]
async fn what_is_being_made_is_shown_and_neither_used_nor_deleted() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = ordered(&world, "golden", &parent).await;
    let event = world.ok(&format!("GET /v1/machine-events?machineId={parent}&limit=1"), Value::Null).await;
    let event = event["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(get(&world, &id).await["name"], "golden");
    let reply = world.call("POST /v1/machines", machine(json!({"templateId": id}))).await;
    assert_eq!(
        (reply.error().1, reply.error().2.contains("is still being made")),
        ("PRECONDITION_FAILED", true)
    );
    let reply = world.call(&format!("DELETE /v1/custom-templates/{id}"), Value::Null).await;
    assert_eq!((reply.error().1, reply.error().2.contains(&event)), ("CONFLICT", true), "{}", reply.body);
    // The same once more is the same; another one, or another order, waits.
    let again = world.ok(TEMPLATES, json!({"name": "golden", "machineId": parent})).await;
    assert_eq!((&again["event"]["id"], &again["data"]["id"]), (&json!(event), &json!(id)));
    let reply = world.call(TEMPLATES, json!({"name": "another", "machineId": parent})).await;
    assert_eq!((reply.error().1, reply.error().2.contains(&event)), ("CONFLICT", true), "{}", reply.body);
    let reply = world.call(&format!("PATCH /v1/machines/{parent}/start"), json!({})).await;
    assert_eq!((reply.error().1, reply.error().2.contains("template-create")), ("CONFLICT", true));
    world.ok(&format!("PUT /v1/custom-templates/{id}"), json!({"name": "gilded"})).await;
    world.settle().await;
    assert_eq!(world.state(&parent).await, ("off".into(), "template-create done".into()));
    assert_eq!(get(&world, &id).await["name"], "gilded");
}

/// A stop is how a template that takes long is given up.
#[tokio::test]
async fn another_order_takes_the_place_of_a_template() {
    for (verb, end) in [("stop", ("off", "stop done")), ("delete", ("(none)", "deactivate done"))] {
        for moment in [Fuse::Before(Call::EnsureTemplateFrom), Fuse::After(Call::EnsureTemplateFrom)] {
            let world = World::new().await;
            let parent = off(&world, json!({})).await;
            let id = ordered(&world, "golden", &parent).await;
            let line = match verb {
                "stop" => format!("PATCH /v1/machines/{parent}/stop"),
                _ => format!("DELETE /v1/machines/{parent}"),
            };
            let reply = world.meanwhile(moment, &line);
            world.settle().await;
            assert_eq!(*reply.lock().unwrap(), Some(200), "{moment:?}");
            assert_eq!(world.state(&parent).await, (end.0.into(), end.1.into()), "{moment:?}");
            let events = world.ok("GET /v1/machine-events", Value::Null).await.to_string();
            assert!(events.contains("cancelled"), "{moment:?}: {events}");
            let reply = world.call(&format!("GET /v1/custom-templates/{id}"), Value::Null).await;
            assert_eq!((reply.status, has_image(&world, &id)), (404, false), "{moment:?}");
            assert_eq!(world.number("SELECT COUNT(*) AS n FROM templates").await, 1, "{moment:?}");
            assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
        }
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_made_leaves_nothing() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    world.host.fail_always(Some((Call::EnsureTemplateFrom, Fault::Final)));
    let id = ordered(&world, "golden", &parent).await;
    world.settle().await;
    assert_eq!(world.state(&parent).await, ("off".into(), "template-create error".into()));
    let reply = world.call(&format!("GET /v1/custom-templates/{id}"), Value::Null).await;
    assert_eq!(reply.error().1, "NOT_FOUND");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM templates").await, 1);
    world.host.fail_always(None);
    made(&world, "golden", &parent).await;
    order(&world, "start", &parent).await;
    world.settle().await;
    assert_eq!(world.state(&parent).await, ("ready".into(), "start done".into()));
}

/// What fails to be removed does not keep a machine from going, and is removed before the machine is forgotten.
#[tokio::test]
async fn what_was_given_up_goes_before_its_machine_is_forgotten() {
    let mut world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = ordered(&world, "golden", &parent).await;
    let reply =
        world.meanwhile(Fuse::After(Call::EnsureTemplateFrom), &format!("DELETE /v1/machines/{parent}"));
    world.host.fail_always(Some((Call::RemoveTemplate, Fault::Passing)));
    world.live_seconds(20).await;
    assert_eq!(*reply.lock().unwrap(), Some(200));
    assert!(has_image(&world, &id));
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]), "a row explains it");
    world.restart_server().await;
    world.host.fail_always(None);
    world.settle().await;
    assert!(!has_image(&world, &id));
    assert_eq!(world.state(&parent).await.0, "(none)");
}

#[tokio::test]
async fn an_image_that_stays_is_removed_later_and_at_the_next_start() {
    let mut world = World::new().await;
    let parent = off(&world, json!({})).await;
    for restarts in [false, true] {
        let id = made(&world, "golden", &parent).await;
        world.host.fail_always(Some((Call::RemoveTemplate, Fault::Final)));
        world.ok(&format!("DELETE /v1/custom-templates/{id}"), Value::Null).await;
        world.live_seconds(60).await;
        assert!(has_image(&world, &id));
        assert_eq!(world.call(&format!("GET /v1/custom-templates/{id}"), Value::Null).await.status, 404);
        if restarts {
            world.restart_server().await;
        }
        world.host.fail_always(None);
        world.settle().await;
        assert!(!has_image(&world, &id));
    }
}

/// An operator's list is of what an operator has taken in.
#[tokio::test]
async fn an_operator_neither_sees_nor_deletes_a_teams_templates() {
    let world = World::new().await;
    let parent = off(&world, json!({})).await;
    let id = made(&world, "golden", &parent).await;
    let all = world.admin("GET /admin/templates", Value::Null).await.body;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["template"]["id"]), (1, &json!("t0nspur5")));
    assert_eq!(
        world.admin(&format!("DELETE /admin/templates/{id}"), Value::Null).await.error().1,
        "NOT_FOUND"
    );
    let public = world.ok("GET /v1/os-templates", Value::Null).await;
    assert_eq!(public["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.host.look_things().await.unwrap().iter().filter(|thing| thing.of == id).count(), 1);
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
}

#[tokio::test]
async fn a_restart_of_the_server_in_the_middle_goes_on() {
    for nth in 0.. {
        let mut world = World::new().await;
        let parent = off(&world, json!({})).await;
        let id = ordered(&world, "golden", &parent).await;
        let killed = world.kill_at(nth).await;
        world.settle().await;
        assert_eq!(world.state(&parent).await, ("off".into(), "template-create done".into()), "{nth}");
        assert!(has_image(&world, &id), "{nth}");
        if !killed {
            break;
        }
    }
}

/// A copy takes minutes: all visits together never wait for copies.
#[tokio::test]
async fn copies_leave_turns_for_other_machines() {
    let mut config = Config::default();
    config.limits.copies = 1;
    let world = World::with(config, None).await;
    let parents = [off(&world, json!({})).await, off(&world, json!({})).await];
    let mut ids = Vec::new();
    for parent in &parents {
        ids.push(ordered(&world, "golden", parent).await);
    }
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let held = (reached.clone(), go.clone());
    world.hooked.hook(Some(Arc::new(move |moment| {
        let (reached, go) = held.clone();
        Box::pin(async move {
            if moment == Fuse::Before(Call::EnsureTemplateFrom) {
                reached.notify_one();
                drop(go.acquire().await);
            }
        })
    })));
    let app = world.app.clone();
    let copying = tokio::spawn(async move { while visit_next(&app).await {} });
    reached.notified().await;
    let other = world.create(json!({"name": "other"})).await;
    world.live_seconds(20).await;
    assert_eq!(world.state(&other).await, ("ready".into(), "create done".into()));
    assert!(ids.iter().all(|id| !has_image(&world, id)), "the other one waits for its turn");
    go.add_permits(1);
    copying.await.unwrap();
    world.settle().await;
    for (parent, id) in parents.iter().zip(&ids) {
        assert_eq!(world.state(parent).await, ("off".into(), "template-create done".into()));
        assert!(has_image(&world, id));
    }
}
