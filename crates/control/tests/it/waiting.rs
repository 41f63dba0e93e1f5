//! Why it is waiting: what is told of work that has not ended, and of what is not as it should be.

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::{World, machine};

/// The detail of the object at a path.
async fn detail(world: &World, path: &str) -> Value {
    world.ok(&format!("GET /v1/{path}/detail"), Value::Null).await
}

fn moment(value: &Value) -> Timestamp {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn text<'a>(detail: &'a Value, field: &str) -> &'a str {
    detail[field].as_str().unwrap_or("(none)")
}

/// A machine that is being created, and the path of its event.
async fn created(world: &World, changes: Value) -> (MachineId, String) {
    let ordered = world.ok("POST /v1/machines", machine(changes)).await;
    let event = format!("machine-events/{}", ordered["event"]["id"].as_str().unwrap());
    (serde_json::from_value(ordered["data"]["id"].clone()).unwrap(), event)
}

#[tokio::test]
async fn each_step_that_fails_is_told_with_its_error_and_the_next_try() {
    for (call, words) in [
        (Call::LookMachine, "looks at the machine on its host"),
        (Call::EnsureDisk, "makes the disk"),
        (Call::EnsureNetwork, "makes the machine's own network"),
        (Call::LookCapacity, "takes room on the host"),
        (Call::EnsureNic, "plugs the machine into its network"),
        (Call::EnsurePublicIp, "leads the public address to the machine"),
        (Call::PowerOn, "starts the virtual machine"),
    ] {
        let world = World::new().await;
        world.host.fail_always(Some((call, Fault::Passing)));
        let (id, event) = created(&world, json!({"publicIpType": "dynamic"})).await;
        world.live_seconds(8).await;
        let first = detail(&world, &event).await;
        world.live_seconds(60).await;
        let found = detail(&world, &event).await;
        assert_eq!((text(&found, "step"), text(&found, "state")), (words, "in progress"));
        let told = format!("call {call}: a test lets it fail before its effect");
        assert_eq!(text(&found, "lastError"), told);
        assert_eq!(found["since"], first["since"], "{call}: it goes on since its first visit");
        // After 1, 2, 4, 8 seconds and so on: five tries in the first 15 seconds.
        assert_eq!((first["failures"].as_u64(), found["failures"].as_u64()), (Some(4), Some(7)), "{call}");
        let (since, failed, next) =
            (moment(&found["since"]), moment(&found["dtLastError"]), moment(&found["nextTry"]));
        assert!(since < failed && failed < next, "{found}");
        assert_eq!(next.seconds_since(failed).round(), 30.0, "{found}");
        assert_eq!(found["dtFinished"], Value::Null);

        let of_machine = detail(&world, &format!("machines/{id}")).await;
        assert_eq!(of_machine["isReady"], json!(false));
        for field in ["step", "since", "lastError", "dtLastError", "nextTry", "failures"] {
            assert_eq!(of_machine[field], found[field], "{field} of {call}");
        }
        world.host.fail_always(None);
        world.settle().await;
        let finished = moment(&detail(&world, &event).await["dtFinished"]);
        assert!(finished >= next);
    }
}

#[tokio::test]
async fn what_takes_its_time_is_told_and_written_nowhere() {
    let world = World::new().await;
    let (id, event) = created(&world, json!({})).await;
    world.host.silent(&id, true);
    world.live_seconds(2).await;
    let first = detail(&world, &event).await;
    assert_eq!(text(&first, "step"), "waits for the guest's agent");
    assert_eq!(
        (&first["lastError"], &first["dtLastError"], &first["failures"]),
        (&Value::Null, &Value::Null, &json!(0))
    );
    let writes = world.writes();
    world.live_seconds(20).await;
    let later = detail(&world, &event).await;
    assert_eq!((world.writes(), &later["step"], &later["since"]), (writes, &first["step"], &first["since"]));
    assert!(moment(&later["nextTry"]) > moment(&first["nextTry"]));
    world.host.silent(&id, false);
    world.settle().await;

    world.host.deaf(&id, true);
    let ordered = order(&world, "stop", &id).await;
    let event = format!("machine-events/{}", ordered["event"]["id"].as_str().unwrap());
    world.live_seconds(30).await;
    let stopping = detail(&world, &event).await;
    assert_eq!(text(&stopping, "step"), "waits for the guest to shut down");
    let waited = world.machine(&id).await.dt_modified;
    assert_eq!(
        moment(&stopping["since"]).seconds_since(waited).round(),
        0.0,
        "the button was pressed again since"
    );
}

#[tokio::test]
async fn a_network_that_is_waited_for_is_named_with_its_trouble() {
    let world = World::new().await;
    world.host.fail_always(Some((Call::EnsureNetwork, Fault::Passing)));
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let network = network["id"].as_str().unwrap();
    let (_, event) = created(&world, json!({"networkId": network})).await;
    world.live_seconds(10).await;
    let fault = "call ensure_network: a test lets it fail before its effect";
    assert_eq!(
        text(&detail(&world, &event).await, "step"),
        format!("waits for the private network {network}: {fault}")
    );
    let found = detail(&world, &format!("private-networks/{network}")).await;
    assert_eq!((text(&found, "step"), text(&found, "lastError")), ("makes the network whole", fault));
    assert!(found["failures"].as_u64() > Some(5) && found["nextTry"].is_string(), "{found}");

    let drive = json!({"name": "data", "size": 1, "region": "ny2", "networkId": network});
    let drive = world.ok("POST /v1/shared-drives", drive).await;
    world.live_seconds(5).await;
    let found = detail(&world, &format!("shared-drives/{}", drive["id"].as_str().unwrap())).await;
    assert_eq!(text(&found, "step"), format!("waits for the private network {network}: {fault}"));
    assert!(found["failures"].as_u64() > Some(1), "{found}");
    world.host.fail_always(None);
    world.settle().await;
    for path in
        [format!("private-networks/{network}"), format!("shared-drives/{}", drive["id"].as_str().unwrap())]
    {
        assert_eq!(detail(&world, &path).await, ready(), "{path}");
    }
}

fn ready() -> Value {
    json!({
        "isReady": true, "step": null, "since": null, "lastError": null, "dtLastError": null,
        "nextTry": null, "failures": 0,
    })
}

#[tokio::test]
async fn a_deleted_network_and_its_drives_say_what_keeps_them_until_they_are_gone() {
    let world = World::new().await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let drive = json!({"name": "data", "size": 1, "region": "ny2", "networkId": network["id"]});
    let drive = world.ok("POST /v1/shared-drives", drive).await;
    world.settle().await;
    let paths = [
        format!("private-networks/{}", network["id"].as_str().unwrap()),
        format!("shared-drives/{}", drive["id"].as_str().unwrap()),
    ];
    world.host.fail_always(Some((Call::RemoveDrive, Fault::Passing)));
    world.ok(&format!("DELETE /v1/{}", paths[1]), Value::Null).await;
    let unseen = detail(&world, &paths[1]).await;
    assert_eq!((text(&unseen, "step"), &unseen["failures"]), ("waits to be looked at", &json!(0)));
    world.ok(&format!("DELETE /v1/{}", paths[0]), Value::Null).await;
    world.live_seconds(10).await;
    let gone = detail(&world, &paths[1]).await;
    assert_eq!(text(&gone, "step"), "removes the image");
    assert!(text(&gone, "lastError").contains("call remove_drive"), "{gone}");
    let left = detail(&world, &paths[0]).await;
    let expected =
        format!("waits until its deleted shared drives are gone: {}", drive["id"].as_str().unwrap());
    assert_eq!((text(&left, "step"), &left["lastError"]), (expected.as_str(), &Value::Null));
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    for path in &paths {
        assert_eq!(world.call(&format!("GET /v1/{path}"), Value::Null).await.status, 404);
        assert_eq!(world.call_as(&key, &format!("GET /v1/{path}/detail"), Value::Null).await.status, 404);
    }
    world.host.fail_always(None);
    world.settle().await;
    for path in &paths {
        assert_eq!(world.call(&format!("GET /v1/{path}/detail"), Value::Null).await.error().1, "NOT_FOUND");
    }
}

#[tokio::test]
async fn an_event_that_has_ended_waits_for_nothing() {
    let world = World::new().await;
    let (id, event) = created(&world, json!({})).await;
    world.settle().await;
    let done = detail(&world, &event).await;
    let finished = world.ok(&format!("GET /v1/{event}"), Value::Null).await["dtFinished"].clone();
    let id_of = event.rsplit('/').next().unwrap();
    let expected = json!({
        "eventId": id_of, "state": "done", "step": null, "since": null, "lastError": null,
        "dtLastError": null, "nextTry": null, "failures": 0, "dtFinished": finished,
    });
    assert_eq!(done, expected);
    assert_eq!(detail(&world, &format!("machines/{id}")).await, ready());

    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    let (id, event) = created(&world, json!({})).await;
    world.settle().await;
    let failed = detail(&world, &event).await;
    assert_eq!(
        (text(&failed, "state"), text(&failed, "lastError")),
        ("error", "call power_on: a test lets it fail")
    );
    assert_eq!((&failed["dtLastError"], &failed["nextTry"]), (&failed["dtFinished"], &Value::Null));
    order(&world, "delete", &id).await;
    world.settle().await;
    assert_eq!(detail(&world, &event).await, failed, "its machine is gone");
}

#[tokio::test]
async fn a_restart_of_the_server_fills_its_memory_by_itself() {
    let mut world = World::new().await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Passing)));
    let (id, event) = created(&world, json!({})).await;
    let before = world.ok(&format!("GET /v1/{event}"), Value::Null).await;
    let new = detail(&world, &event).await;
    assert_eq!((text(&new, "step"), text(&new, "state")), ("waits to be looked at", "new"));
    assert_eq!((&new["since"], &new["lastError"]), (&before["dtCreated"], &Value::Null));
    world.live_seconds(60).await;
    world.restart_server().await;
    let started = detail(&world, &event).await;
    assert_eq!((text(&started, "step"), &started["since"]), ("waits to be looked at", &before["dtCreated"]));
    assert!(text(&started, "lastError").contains("call power_on"), "the row knows it: {started}");
    assert_eq!((&started["failures"], &started["dtLastError"]), (&json!(6), &Value::Null));
    world.live_seconds(1).await;
    let visited = detail(&world, &event).await;
    assert_eq!((text(&visited, "step"), &visited["failures"]), ("starts the virtual machine", &json!(7)));
    assert!(moment(&visited["since"]) > moment(&started["since"]) && visited["dtLastError"].is_string());
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(detail(&world, &format!("machines/{id}")).await, ready());
}

#[tokio::test]
async fn a_machine_without_an_open_event_says_what_is_mended() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.crash(&id);
    world.host.lose_disk(&id);
    world.live_seconds(40).await;
    assert_eq!(world.state(&id).await.1, "restart error", "it was told once");
    let found = detail(&world, &format!("machines/{id}")).await;
    assert_eq!((&found["isReady"], text(&found, "step")), (&json!(false), "misses the machine's disk"));
    assert!(
        text(&found, "lastError").contains("it is not made again: restore it, or delete the machine"),
        "{found}"
    );
    assert!(found["failures"].as_u64() > Some(0) && found["nextTry"].is_string(), "{found}");
}

/// At every moment of its work, an open event says what it waits for and when it is looked at next.
#[tokio::test]
async fn every_open_event_has_a_reason_at_every_moment() {
    let world = World::new().await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let wanted = json!({"networkId": network["id"], "publicIpType": "dynamic"});
    let (id, mut event) = created(&world, wanted).await;
    let mut told = Vec::new();
    for verb in ["stop", "start", "restart", "delete", ""] {
        loop {
            let found = detail(&world, &event).await;
            if found["dtFinished"].is_string() {
                break;
            }
            let step = text(&found, "step").to_owned();
            assert!(
                moment(&found["since"]) <= world.app.clock.now() && found["nextTry"].is_string(),
                "{found}"
            );
            if told.last() != Some(&step) {
                told.push(step);
            }
            assert!(world.step().await, "{found}");
        }
        if !verb.is_empty() {
            let ordered = order(&world, verb, &id).await;
            event = format!("machine-events/{}", ordered["event"]["id"].as_str().unwrap());
        }
    }
    for step in ["waits to be looked at", "waits for the guest to shut down", "deletes the disk"] {
        assert!(told.iter().any(|told| told == step), "{told:?}");
    }
}
