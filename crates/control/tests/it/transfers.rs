//! Exports and imports: what an operator takes off a host, and puts in the place of something else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deckle_api::ids::MachineId;
use deckle_control::reconciler;
use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::broken_host::order;
use crate::hooked::Hook;
use crate::world::World;

/// How often an end is looked for: each look lets the others go on.
const LOOKS: usize = 10_000;

/// A world with a machine that is off, on whose disk a script ran that runs once only.
async fn off() -> (World, MachineId, TempDir) {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let script = json!({"name": "once", "script": "true", "isRunOnce": true});
    let script = world.ok("POST /v1/startup-scripts", script).await;
    let id = world.create(json!({"startupScriptId": script["id"]})).await;
    world.settle().await;
    order(&world, "stop", &id).await;
    world.settle().await;
    (world, id, folder)
}

async fn drive(world: &World, network: &Value, size: u64) -> String {
    let body = json!({"name": "data", "networkId": network["id"], "size": size, "region": "ny2"});
    let drive = world.ok("POST /v1/shared-drives", body).await;
    world.settle().await;
    drive["id"].as_str().unwrap().to_owned()
}

async fn network(world: &World) -> Value {
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    world.settle().await;
    network
}

async fn asked(world: &World, verb: &str, of: (&str, &str), file: &Path) -> Value {
    let reply = world.admin(&format!("POST /admin/{verb}s"), json!({of.0: of.1, "file": file})).await;
    assert_eq!((reply.status, &reply.body["state"]), (200, &json!("waiting")), "{}", reply.body);
    reply.body
}

/// The end of a transfer: its state, and why.
async fn ended(world: &World, transfer: &Value) -> (String, String) {
    let path = format!("GET /admin/transfers/{}", transfer["id"].as_str().unwrap());
    for _ in 0..LOOKS {
        let seen = world.admin(&path, Value::Null).await.body;
        if let Some(state @ ("done" | "error")) = seen["state"].as_str() {
            assert!(seen["dtFinished"].is_string(), "{seen}");
            let error = seen["error"].as_str().unwrap_or_default();
            return (state.to_owned(), error.to_owned());
        }
        tokio::task::yield_now().await;
    }
    panic!("{transfer} does not end");
}

async fn does(world: &World, verb: &str, of: (&str, &str), file: &Path) -> (String, String) {
    let transfer = asked(world, verb, of, file).await;
    let end = ended(world, &transfer).await;
    world.settle().await;
    end
}

fn done() -> (String, String) {
    ("done".to_owned(), String::new())
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_disk_travels_from_machine_to_machine() {
    let (world, one, folder) = off().await;
    let file = folder.path().join("disk");
    assert_eq!(does(&world, "export", ("machineId", one.as_str()), &file).await, done());
    let other = world.create(json!({"name": "other", "startOnCreate": false, "diskSize": 100})).await;
    world.settle().await;
    let ran = |world: &World, id: &MachineId| {
        let dump = world.host.dump();
        let line = dump.lines().find(|line| line.trim_start().starts_with(&format!("{id}: ")));
        line.unwrap().contains(", ran sc")
    };
    assert!(ran(&world, &one) && !ran(&world, &other));
    assert_eq!(does(&world, "import", ("machineId", other.as_str()), &file).await, done());
    assert!(ran(&world, &other), "{}", world.host.dump());
    assert_eq!(world.machine(&other).await.storage_total, 100 << 30, "its size stays");
    order(&world, "start", &other).await;
    world.settle().await;
    assert_eq!(world.state(&other).await, ("ready".into(), "start done".into()));
    assert_eq!(names(folder.path()), ["disk"]);

    // While it is on, too; and it goes on.
    let second = folder.path().join("second");
    assert_eq!(does(&world, "export", ("machineId", other.as_str()), &second).await, done());
    assert_eq!(world.state(&other).await, ("ready".into(), "start done".into()));
    assert!(fs::read_to_string(&second).unwrap().contains("\"ran\":[\"sc"));
    let list = world.admin("GET /admin/transfers", Value::Null).await.body;
    let told = list.as_array().unwrap().iter().map(|it| format!("{} {}", it["act"], it["state"]));
    let export = r#""export" "done""#;
    assert_eq!(told.collect::<Vec<_>>(), [export, r#""import" "done""#, export]);
}

#[tokio::test]
async fn a_drive_travels_from_network_to_network() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let network = network(&world).await;
    let (one, other) = (drive(&world, &network, 50).await, drive(&world, &network, 60).await);
    world.host.write_drive(&one.parse().unwrap(), "letters");
    world.host.write_drive(&other.parse().unwrap(), "old letters");
    let file = folder.path().join("drive");
    assert_eq!(does(&world, "export", ("sharedDriveId", &one), &file).await, done());
    world.host.write_drive(&one.parse().unwrap(), "newer letters");
    assert_eq!(does(&world, "import", ("sharedDriveId", &other), &file).await, done());
    let dump = world.host.dump();
    for line in [format!("{one}: 50 GiB, holds newer letters"), format!("{other}: 60 GiB, holds letters")] {
        assert!(dump.contains(&line), "{dump}");
    }
    assert_eq!(does(&world, "export", ("sharedDriveId", &other), &folder.path().join("large")).await, done());
    let (state, error) = does(&world, "import", ("sharedDriveId", &one), &folder.path().join("large")).await;
    let sizes = [50u64 << 30, 60 << 30].map(|size| error.contains(&size.to_string()));
    assert_eq!((state.as_str(), sizes), ("error", [true, true]), "{error}");
    assert_eq!(world.host.dump(), dump);
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let (world, id, folder) = off().await;
    let (file, letter) = (folder.path().join("disk"), folder.path().join("letter"));
    assert_eq!(does(&world, "export", ("machineId", id.as_str()), &file).await, done());
    fs::write(&letter, "Dear Deckle").unwrap();
    let on = world.create(json!({"name": "on"})).await;
    world.settle().await;
    let before = (world.dump().await, fs::read(&file).unwrap());
    let (id, on) = (id.as_str(), on.as_str());
    for (verb, body, code, told) in [
        ("import", json!({"machineId": on, "file": file}), "PRECONDITION_FAILED", "must be off"),
        (
            "import",
            json!({"machineId": "ps0", "file": file}),
            "NOT_FOUND",
            "machineId: there is no machine ps0",
        ),
        ("export", json!({"sharedDriveId": "sd0", "file": file}), "NOT_FOUND", "sharedDriveId: there is no"),
        ("export", json!({"file": file}), "BAD_REQUEST", "either machineId or sharedDriveId"),
        ("import", json!({"machineId": id, "sharedDriveId": "sd0", "file": file}), "BAD_REQUEST", "either"),
        (
            "export",
            json!({"machineId": id, "file": "disk"}),
            "BAD_REQUEST",
            "file: expected an absolute path",
        ),
        ("export", json!({"machineId": id, "file": file, "force": true}), "BAD_REQUEST", "force"),
        ("import", json!({"machineId": id}), "BAD_REQUEST", "file: is required"),
    ] {
        let reply = world.admin(&format!("POST /admin/{verb}s"), body).await;
        let (_, seen, message) = reply.error();
        assert!(seen == code && message.contains(told), "{seen}: {message}");
    }
    for (verb, file, told) in [
        ("export", &file, "is there already"),
        ("export", &folder.path().join("no/disk"), "No such file"),
        ("import", &letter, "expected value"),
        ("import", &folder.path().join("none"), "No such file"),
        ("import", &folder.path().to_owned(), "no pretended disk"),
    ] {
        let (state, error) = does(&world, verb, ("machineId", id), file).await;
        assert!(state == "error" && error.contains(told), "{verb} {}: {error}", file.display());
    }
    assert_eq!((world.dump().await, fs::read(&file).unwrap()), before);
    let replaced = json!({"machineId": id, "file": letter, "replace": true});
    let replaced = world.admin("POST /admin/exports", replaced).await.body;
    assert_eq!(ended(&world, &replaced).await, done());
    assert_eq!(fs::read(&letter).unwrap(), before.1);
    assert_eq!(names(folder.path()).len(), 2);
    let missing = world.admin("GET /admin/transfers/tr0", Value::Null).await;
    assert_eq!(missing.error().1, "NOT_FOUND");
    let outside = world.call("GET /admin/transfers", Value::Null).await;
    assert_eq!(outside.status, 404, "the API's listener does not know of it");
}

/// A hook that stops the first call of a kind before its effect, until it is told to go on.
fn held(call: Call) -> (Arc<Notify>, Arc<Notify>, Hook) {
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, waits) = (reached.clone(), go_on.clone());
    let hook: Hook = Arc::new(move |moment| {
        let (told, waits) = (told.clone(), waits.clone());
        Box::pin(async move {
            if moment == Fuse::Before(call) {
                told.notify_one();
                waits.notified().await;
            }
        })
    });
    (reached, go_on, hook)
}

#[tokio::test]
async fn what_is_ordered_during_an_export_waits_for_its_end() {
    let (world, id, folder) = off().await;
    let file = folder.path().join("disk");
    let (reached, go_on, hook) = held(Call::Export);
    world.hooked.hook(Some(hook));
    let transfer = asked(&world, "export", ("machineId", id.as_str()), &file).await;
    reached.notified().await;
    let body = json!({"machineId": id, "file": file});
    let second = world.admin("POST /admin/imports", body.clone()).await;
    assert_eq!(second.error().1, "CONFLICT", "{}", second.body);
    order(&world, "start", &id).await;
    while reconciler::visit_next(&world.app).await {}
    assert_eq!(world.state(&id).await, ("starting".into(), "start new".into()));
    let seen = world.admin("GET /admin/transfers", Value::Null).await.body;
    assert_eq!(seen[0]["state"], "running");
    let detail = world.ok(&format!("GET /v1/machines/{id}/detail"), Value::Null).await;
    let words = format!("waits for the export {}", transfer["id"].as_str().unwrap());
    assert_eq!((&detail["isReady"], &detail["step"]), (&json!(false), &json!(words)), "{detail}");
    assert_eq!((detail["since"].is_string(), &detail["nextTry"]), (true, &Value::Null), "{detail}");
    // Another machine's visits go on.
    let other = world.create(json!({"name": "other"})).await;
    for _ in 0..LOOKS {
        if world.state(&other).await.0 == "ready" {
            break;
        }
        world.step().await;
    }
    assert_eq!(world.state(&other).await.0, "ready");
    go_on.notify_one();
    assert_eq!(ended(&world, &transfer).await, done());
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
    let detail = world.ok(&format!("GET /v1/machines/{id}/detail"), Value::Null).await;
    assert_eq!((&detail["isReady"], &detail["step"]), (&json!(true), &Value::Null), "{detail}");
    let refused = world.admin("POST /admin/imports", body).await;
    assert_eq!(refused.error().1, "PRECONDITION_FAILED");
}

#[tokio::test]
async fn a_machine_that_was_started_first_is_not_replaced() {
    let (world, id, folder) = off().await;
    let file = folder.path().join("disk");
    assert_eq!(does(&world, "export", ("machineId", id.as_str()), &file).await, done());
    // The turn is taken by a visit that starts it, while the import waits.
    let (reached, go_on, hook) = held(Call::LookMachine);
    world.hooked.hook(Some(hook));
    world.pass_seconds(world.app.config.limits.drift_s + 1);
    let transfer = {
        let visits = async { while reconciler::visit_next(&world.app).await {} };
        tokio::pin!(visits);
        tokio::select! {
            biased;
            () = reached.notified() => {}
            () = &mut visits => panic!("no visit looks"),
        }
        let transfer = asked(&world, "import", ("machineId", id.as_str()), &file).await;
        order(&world, "start", &id).await;
        world.hooked.hook(None);
        go_on.notify_one();
        visits.await;
        transfer
    };
    let (state, error) = ended(&world, &transfer).await;
    // The start is under way, or done.
    let told = error.contains("(start)") || error.contains("must be off");
    assert!(state == "error" && told, "{error}");
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn no_more_than_the_limit_are_under_way() {
    let (world, id, folder) = off().await;
    let network = network(&world).await;
    let drives = [drive(&world, &network, 50).await, drive(&world, &network, 50).await];
    let (_reached, go_on, hook) = held(Call::Export);
    world.hooked.hook(Some(hook));
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let first = asked(&world, "export", ("machineId", id.as_str()), &file("a")).await;
    let second = asked(&world, "export", ("sharedDriveId", &drives[0]), &file("b")).await;
    let third = json!({"sharedDriveId": drives[1], "file": file("c")});
    let reply = world.admin("POST /admin/exports", third.clone()).await;
    let (_, code, told) = reply.error();
    assert!(code == "CONFLICT" && told.contains("2 (limits.transfers)"), "{told}");
    world.hooked.hook(None);
    for transfer in [&first, &second] {
        go_on.notify_one();
        tokio::task::yield_now().await;
        go_on.notify_waiters();
        assert_eq!(ended(&world, transfer).await, done());
    }
    let reply = world.admin("POST /admin/exports", third).await;
    assert_eq!(ended(&world, &reply.body).await, done());
}

#[tokio::test]
async fn a_broken_host_fails_the_transfer_and_nothing_else() {
    for call in [Call::Export, Call::Import] {
        for fuse in [Fuse::Before(call), Fuse::After(call)] {
            let (world, id, folder) = off().await;
            let file = folder.path().join("disk");
            let of = ("machineId", id.as_str());
            if call == Call::Import {
                assert_eq!(does(&world, "export", of, &file).await, done());
            }
            let before = world.dump().await;
            world.host.fail_at(Some(fuse));
            let verb = call.method();
            let (state, error) = does(&world, verb, of, &file).await;
            assert!(state == "error" && error.contains("a test lets it fail"), "{fuse:?}: {error}");
            assert_eq!(world.dump().await, before, "{fuse:?}");
            let again = json!({"machineId": id, "file": file, "replace": true});
            let transfer = match call {
                Call::Export => world.admin("POST /admin/exports", again).await.body,
                _ => asked(&world, "import", of, &file).await,
            };
            assert_eq!(ended(&world, &transfer).await, done(), "{fuse:?}");
        }
    }
    // How far it is may stay unknown.
    let (world, id, folder) = off().await;
    let (reached, go_on, hook) = held(Call::Export);
    world.hooked.hook(Some(hook));
    world.host.fail_always(Some((Call::LookTransfer, Fault::Final)));
    let transfer = asked(&world, "export", ("machineId", id.as_str()), &folder.path().join("disk")).await;
    reached.notified().await;
    let seen = world.admin("GET /admin/transfers", Value::Null).await.body;
    assert_eq!((&seen[0]["state"], &seen[0]["doneBytes"]), (&json!("running"), &Value::Null));
    go_on.notify_one();
    assert_eq!(ended(&world, &transfer).await, done());
}

#[tokio::test]
async fn a_killed_server_leaves_everything_or_nothing_and_forgets_the_transfer() {
    for call in [Call::Export, Call::Import] {
        for nth in 0..2 {
            let (mut world, id, folder) = off().await;
            let file = folder.path().join("disk");
            if call == Call::Import {
                assert_eq!(does(&world, "export", ("machineId", id.as_str()), &file).await, done());
            }
            let before = world.dump().await;
            let (reached, hook) = world.hooked.stop_at(nth);
            world.hooked.hook(Some(hook));
            let transfer = asked(&world, call.method(), ("machineId", id.as_str()), &file).await;
            reached.notified().await;
            world.restart_server().await;
            let path = format!("GET /admin/transfers/{}", transfer["id"].as_str().unwrap());
            assert_eq!(world.admin(&path, Value::Null).await.error().1, "NOT_FOUND");
            world.settle().await;
            assert_eq!(world.dump().await, before, "{call} {nth}");
            let there: &[&str] = if call == Call::Export && nth == 0 { &[] } else { &["disk"] };
            assert_eq!(names(folder.path()), there);
            order(&world, "start", &id).await;
            world.settle().await;
            assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()));
        }
    }
}
