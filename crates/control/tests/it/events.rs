//! Machine events: the tickets of the work on machines.

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_api::machine_events::{MachineEvent, MachineEventState};
use deckle_api::paging::Page;
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

async fn events(world: &World, id: &MachineId) -> Vec<MachineEvent> {
    let page = world.ok(&format!("GET /v1/machine-events?machineId={id}&order=asc"), Value::Null).await;
    serde_json::from_value::<Page<MachineEvent>>(page).unwrap().items
}

fn told(events: &[MachineEvent]) -> String {
    let one = |event: &MachineEvent| {
        let (name, state) = (json!(event.name), json!(event.state));
        format!("{} {}", name.as_str().unwrap(), state.as_str().unwrap())
    };
    events.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn events_are_listed_by_machine_in_their_order() {
    let world = World::new().await;
    let (one, two) = (world.create(json!({})).await, world.create(json!({})).await);
    world.settle().await;
    for (id, verb) in [(&one, "stop"), (&two, "restart"), (&one, "start")] {
        order(&world, verb, id).await;
        world.settle().await;
    }
    assert_eq!(told(&events(&world, &one).await), "create done, stop done, start done");
    assert_eq!(told(&events(&world, &two).await), "create done, restart done");
    let all = world.ok("GET /v1/machine-events", Value::Null).await;
    let names: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["start", "restart", "stop", "create", "create"], "the newest first");
    assert_eq!(told(&events(&world, &"ps1".parse().unwrap()).await), "");
    let wrong = world.call("GET /v1/machine-events?machineId=n1", Value::Null).await;
    assert_eq!((wrong.status, &wrong.error().2[..10]), (400, "machineId:"));
}

#[tokio::test]
async fn an_event_has_its_moments() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    let new = &events(&world, &id).await[0];
    assert_eq!((new.state, new.dt_started, new.dt_finished), (MachineEventState::New, None, None));
    deckle_control::reconciler::visit_next(&world.app).await;
    let begun = &events(&world, &id).await[0];
    assert_eq!((begun.state, begun.dt_finished), (MachineEventState::InProgress, None));
    world.settle().await;
    let done = &events(&world, &id).await[0];
    let moments: [Option<Timestamp>; 3] = [Some(done.dt_created), done.dt_started, done.dt_finished];
    assert!(moments.is_sorted() && moments[1].is_some(), "{moments:?}");
    assert_eq!(
        (done.state, &done.error, done.dt_started),
        (MachineEventState::Done, &None, begun.dt_started)
    );
}

#[tokio::test]
async fn stop_and_delete_cancel_what_is_under_way() {
    for (under_way, before) in
        [("create", ""), ("start", "create done, stop done, "), ("restart", "create done, ")]
    {
        for begun in [false, true] {
            let world = World::new().await;
            let id = world.create(json!({})).await;
            if under_way != "create" {
                world.settle().await;
            }
            if under_way == "start" {
                order(&world, "stop", &id).await;
                world.settle().await;
            }
            if under_way != "create" {
                order(&world, under_way, &id).await;
            }
            if begun {
                deckle_control::reconciler::visit_next(&world.app).await;
            }
            order(&world, "stop", &id).await;
            order(&world, "delete", &id).await;
            world.settle().await;
            let expected = format!("{before}{under_way} cancelled, stop cancelled, deactivate done");
            assert_eq!(told(&events(&world, &id).await), expected);
            assert!(world.dump().await.contains("taken: 0 places"));
        }
    }
}

#[tokio::test]
async fn another_teams_event_is_not_found() {
    let world = World::new().await;
    let ordered = world.ok("POST /v1/machines", crate::world::machine(json!({}))).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let event = ordered["event"]["id"].as_str().unwrap();
    let machine = ordered["data"]["id"].as_str().unwrap();
    assert_eq!(
        world.call_as(&key, &format!("GET /v1/machine-events/{event}"), Value::Null).await.status,
        404
    );
    let list = world.call_as(&key, &format!("GET /v1/machine-events?machineId={machine}"), Value::Null).await;
    assert_eq!((list.status, &list.body["items"]), (200, &json!([])));
    assert_eq!(world.ok(&format!("GET /v1/machine-events/{event}"), Value::Null).await, ordered["event"]);
}

#[tokio::test]
async fn a_deleted_machines_events_stay() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    order(&world, "delete", &id).await;
    assert_eq!(world.call(&format!("GET /v1/machines/{id}"), Value::Null).await.status, 200, "until it ends");
    world.settle().await;
    assert_eq!(world.call(&format!("GET /v1/machines/{id}"), Value::Null).await.status, 404);
    assert_eq!(told(&events(&world, &id).await), "create done, deactivate done");
}

#[tokio::test]
async fn an_order_ends_though_its_type_left_the_catalogue() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    world.run(&format!("UPDATE machines SET machine_type = 'C0' WHERE id = '{id}'")).await;
    order(&world, "start", &id).await;
    world.settle().await;
    let event = events(&world, &id).await.pop().unwrap();
    assert_eq!(event.state, MachineEventState::Error);
    assert!(event.error.unwrap().contains("the machine type C0 is no longer in the catalogue"));
}

#[tokio::test]
async fn a_delete_ends_in_an_error_though_its_region_left_the_configuration() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.run(&format!("UPDATE machines SET region = 'mars' WHERE id = '{id}'")).await;
    order(&world, "delete", &id).await;
    world.live_seconds(1).await;
    let event = events(&world, &id).await.pop().unwrap();
    assert_eq!(
        event.error.as_deref(),
        Some("find the host of region mars: the configuration no longer names it")
    );
    world.run(&format!("UPDATE machines SET region = 'ny2' WHERE id = '{id}'")).await;
    world.settle().await;
    assert!(world.dump().await.starts_with("machines: none"));
}
