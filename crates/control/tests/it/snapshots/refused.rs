//! What is refused, and changes nothing.

use deckle_control::config::Config;
use serde_json::{Value, json};

use super::{restore, take, taken};
use crate::world::World;

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    let other = world.new_team("Other Mill").await;
    let foreign = world.new_key(&other, "owner@example.com", json!([])).await;
    let theirs = world.call_as(&foreign, "POST /v1/machines", crate::world::machine(json!({}))).await;
    let theirs = theirs.body["data"]["id"].as_str().unwrap().to_owned();
    world.settle().await;
    let before = world.dump().await;
    let (long, path) = ("x".repeat(256), format!("/v1/snapshots/{good}"));
    let of = |name: Value, machine: &str| json!({"name": name, "machineId": machine});
    let chars = |found: usize| format!("name: expected 1 to 255 characters, found {found}");
    for (line, body, status, told) in [
        ("POST /v1/snapshots", of(json!(""), id.as_str()), 400, chars(0)),
        ("POST /v1/snapshots", of(json!(long), id.as_str()), 400, chars(256)),
        (
            "POST /v1/snapshots",
            of(json!("a\nb"), id.as_str()),
            400,
            "name: expected no control characters".into(),
        ),
        ("POST /v1/snapshots", of(json!(1), id.as_str()), 400, "name: ".into()),
        ("POST /v1/snapshots", json!({"name": "x"}), 400, "machineId: ".into()),
        ("POST /v1/snapshots", of(json!("x"), "ps1"), 404, "machineId: there is no machine ps1".into()),
        (
            "POST /v1/snapshots",
            of(json!("x"), &theirs),
            404,
            format!("machineId: there is no machine {theirs}"),
        ),
        ("POST /v1/snapshots", of(json!("x"), &good), 400, "machineId: ".into()),
        ("POST /v1/snapshots", json!({"name": "x", "machineId": id, "size": 1}), 400, "size: ".into()),
        (&format!("PUT {path}"), json!({"name": " "}), 400, chars(1)),
        (&format!("PUT {path}"), json!({"machineId": id}), 400, "machineId: ".into()),
        (
            &format!("POST {path}/restore"),
            json!({"createSnapshotBeforeRestore": "yes"}),
            400,
            "createSnap".into(),
        ),
        (&format!("POST {path}/restore"), json!({"machineId": id}), 400, "machineId: ".into()),
        ("POST /v1/snapshots/sl1/restore", json!({}), 404, "there is no snapshot sl1".into()),
        ("DELETE /v1/snapshots/sl1", Value::Null, 404, "there is no snapshot sl1".into()),
        ("GET /v1/snapshots/sl1", Value::Null, 404, "there is no snapshot sl1".into()),
    ] {
        let reply = world.call(line, body.clone()).await;
        let (found, _, why) = reply.error();
        assert!(found == status && why.starts_with(&told), "{line} {body}: {found} {why}");
    }
    for line in [format!("GET {path}"), format!("DELETE {path}"), format!("POST {path}/restore")] {
        let reply = world.call_as(&foreign, &line, json!({})).await;
        assert_eq!(
            reply.error(),
            (404, "NOT_FOUND", format!("there is no snapshot {good}").as_str()),
            "{line}"
        );
    }
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_machine_has_as_many_snapshots_as_it_may_and_no_more() {
    let mut config = Config::default();
    config.limits.snapshots = 2;
    let world = World::with(config, None).await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let first = taken(&world, &id, "first").await;
    // One that is taken by itself does not count.
    world.run(&format!("UPDATE snapshots SET kind = 'auto' WHERE id = '{first}'")).await;
    assert_eq!(world.ok(&format!("GET /v1/snapshots/{first}"), Value::Null).await["isAutoSnapshot"], true);
    taken(&world, &id, "second").await;
    let third = taken(&world, &id, "third").await;
    let before = world.dump().await;
    let why = format!("{id} has 2 snapshots, and may have no more; delete one first");
    let reply = world.call("POST /v1/snapshots", json!({"name": "fourth", "machineId": id})).await;
    assert_eq!(reply.error(), (412, "PRECONDITION_FAILED", why.as_str()));
    let line = format!("POST /v1/snapshots/{third}/restore");
    let reply = world.call(&line, json!({"createSnapshotBeforeRestore": true})).await;
    assert_eq!(
        reply.error(),
        (412, "PRECONDITION_FAILED", format!("createSnapshotBeforeRestore: {why}").as_str())
    );
    assert_eq!(world.dump().await, before);
    restore(&world, &third, json!({"createSnapshotBeforeRestore": false})).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/snapshots/{first}"), Value::Null).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/snapshots/{third}"), Value::Null).await;
    world.settle().await;
    taken(&world, &id, "fourth").await;
}

#[tokio::test]
async fn another_event_is_in_the_way_and_the_same_order_again_is_the_same_event() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    let create = json!({"name": "good", "machineId": id});
    let reply = world.call("POST /v1/snapshots", create.clone()).await;
    assert!(reply.status == 409 && reply.error().2.contains("(create)"), "{}", reply.body);
    world.settle().await;
    let (good, other) = (taken(&world, &id, "good").await, taken(&world, &id, "other").await);

    let ordered = take(&world, &id, "good").await;
    assert_ne!(ordered["data"]["id"], json!(good), "that one was over: names need not differ");
    assert_eq!(take(&world, &id, "good").await, ordered);
    conflicts(&world, &ordered, &[("POST /v1/snapshots".into(), json!({"name": "x", "machineId": id}))])
        .await;
    let delete = |id: &str| (format!("DELETE /v1/snapshots/{id}"), Value::Null);
    let back = |id: &str| (format!("POST /v1/snapshots/{id}/restore"), json!({}));
    let restart = (format!("PATCH /v1/machines/{id}/restart"), json!({}));
    conflicts(&world, &ordered, &[delete(&good), back(&good), restart.clone()]).await;
    world.settle().await;

    let ordered = restore(&world, &good, json!({})).await;
    assert_eq!(restore(&world, &good, json!({})).await, ordered);
    let new = ("POST /v1/snapshots".to_owned(), create);
    conflicts(&world, &ordered, &[back(&other), delete(&good), delete(&other), new.clone(), restart.clone()])
        .await;
    let reply = world.call(&format!("PATCH /v1/machines/{id}/start"), json!({})).await;
    assert!(reply.status == 409 && reply.error().2.contains("(snapshot-restore)"), "{}", reply.body);
    world.settle().await;

    let ordered = world.ok(&delete(&good).0, Value::Null).await;
    assert_eq!(world.ok(&delete(&good).0, Value::Null).await, ordered);
    conflicts(&world, &ordered, &[delete(&other), back(&good), back(&other), new, restart]).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "snapshot-delete done".into()));
}

/// Each of these is refused, the open event named.
async fn conflicts(world: &World, ordered: &Value, asked: &[(String, Value)]) {
    let (id, name) = (ordered["event"]["id"].as_str().unwrap(), ordered["event"]["name"].as_str().unwrap());
    for (line, body) in asked {
        let reply = world.call(line, body.clone()).await;
        let (status, code, why) = reply.error();
        assert_eq!((status, code), (409, "CONFLICT"), "{line}: {why}");
        assert!(why.contains(id) && why.contains(name), "{line}: {why}");
    }
}

#[tokio::test]
async fn a_restore_point_in_use_is_not_deleted() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let point = taken(&world, &id, "point").await;
    let machine = format!("PUT /v1/machines/{id}");
    world.ok(&machine, json!({"restorePointEnabled": true, "restorePointSnapshotId": point})).await;
    let reply = world.call(&format!("DELETE /v1/snapshots/{point}"), Value::Null).await;
    let (status, code, why) = reply.error();
    assert_eq!((status, code), (412, "PRECONDITION_FAILED"));
    assert!(why.starts_with(&format!("{point} is the restore point of {id}, which")), "{why}");
    world.ok(&machine, json!({"restorePointEnabled": false})).await;
    world.ok(&format!("DELETE /v1/snapshots/{point}"), Value::Null).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.restore_point_snapshot_id, None);
}
