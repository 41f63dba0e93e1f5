//! Startup scripts through a machine's life, and what came of them.

use deckle_api::admin::Role;
use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use crate::world::{World, sweep_step};

async fn script(world: &World, name: &str, once: bool) -> String {
    let body = json!({"name": name, "script": format!("echo {name}"), "isRunOnce": once});
    world.ok("POST /v1/startup-scripts", body).await["id"].as_str().unwrap().to_owned()
}

async fn order(world: &World, verb: &str, id: &MachineId) {
    world.ok(&format!("PATCH /v1/machines/{id}/{verb}"), Value::Null).await;
    world.settle().await;
}

async fn assign(world: &World, script: &str, id: &MachineId) -> Value {
    world.ok(&format!("POST /v1/startup-scripts/{script}/assign"), json!({"machineId": id})).await
}

/// The text that the machine was last started with.
fn served(world: &World, id: &MachineId) -> Option<String> {
    world.host.booted(id).unwrap().seed.startup_script.map(|script| script.script)
}

/// The runs of a script, the first one first: machine, boot, status, output.
async fn runs(world: &World, script: &str) -> Vec<(String, u64, Option<u64>, String)> {
    let list = world.ok(&format!("GET /v1/startup-scripts/{script}/runs?order=asc"), Value::Null).await;
    let run = |run: &Value| {
        let text = |key: &str| run[key].as_str().unwrap_or("(none)").to_owned();
        assert_eq!(run["dtFinished"].is_string(), run["exitStatus"].is_number(), "{run}");
        (text("machineId"), run["boot"].as_u64().unwrap(), run["exitStatus"].as_u64(), text("output"))
    };
    list["items"].as_array().unwrap().iter().map(run).collect()
}

#[tokio::test]
async fn a_change_is_taken_up_at_the_next_boot() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    assert_eq!(served(&world, &id).as_deref(), Some("echo one"));
    let path = format!("PUT /v1/startup-scripts/{setup}");
    let told = world.ok(&path, json!({"name": "Two", "script": "echo two"})).await;
    assert_eq!((told["name"].as_str(), &told["assignedMachineIds"]), (Some("Two"), &json!([id])));
    assert!(!told.to_string().contains("echo"), "a script's text is never shown");
    assert_eq!(served(&world, &id).as_deref(), Some("echo one"), "what runs is not touched");
    order(&world, "restart", &id).await;
    assert_eq!(served(&world, &id).as_deref(), Some("echo two"));
    let found = world.ok("GET /v1/startup-scripts?name=tWO", Value::Null).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "it is found by its new name");

    assert_eq!(world.ok(&path, json!({"isEnabled": false})).await["isEnabled"], false);
    order(&world, "restart", &id).await;
    assert_eq!(served(&world, &id), None);
    let same = world.ok(&path, json!({})).await;
    assert_eq!(
        (&same["isEnabled"], &same["name"], &same["isRunOnce"]),
        (&json!(false), &json!("Two"), &json!(false))
    );
    world.ok(&path, json!({"isEnabled": true})).await;
    order(&world, "restart", &id).await;
    assert_eq!(served(&world, &id).as_deref(), Some("echo two"));
}

#[tokio::test]
async fn a_wrong_change_is_named_and_changes_nothing() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startOnCreate": false})).await;
    let path = format!("PUT /v1/startup-scripts/{setup}");
    let before = world.ok(&format!("GET /v1/startup-scripts/{setup}"), Value::Null).await;
    for (body, told) in [
        (json!({"script": ""}), "script: expected 1 to 16384 bytes, found 0"),
        (json!({"script": "x".repeat(16 * 1024 + 1)}), "script: expected 1 to 16384 bytes, found 16385"),
        (
            json!({"name": "new", "script": "ü".repeat(8193)}),
            "script: expected 1 to 16384 bytes, found 16386",
        ),
        (json!({"name": " "}), "name: expected"),
        (json!({"name": null}), "name: "),
        (json!({"isEnabled": "yes"}), "isEnabled: "),
        (json!({"description": "x"}), "description: is not a field"),
    ] {
        let reply = world.call(&path, body.clone()).await;
        assert!(reply.error().0 == 400 && reply.error().2.starts_with(told), "{body}: {}", reply.body);
    }
    let headers = [("authorization", format!("Bearer {}", world.key))];
    let latin = [&b"{\"script\": \"echo "[..], &[0xfc], b"\"}"].concat();
    let reply = world.send(&path, &headers, latin).await;
    assert_eq!(reply.error().1, "PARSE_ERROR", "a script is UTF-8");
    let wrong = [
        (json!({"machineId": "ps1"}), 404, "machineId: there is no machine ps1"),
        (json!({"machineId": "n1"}), 400, "machineId: "),
        (json!({}), 400, "machineId: is required"),
        (json!({"machineId": id, "x": 1}), 400, "x: is not a field"),
    ];
    for verb in ["assign", "unassign"] {
        for (body, status, told) in &wrong {
            let reply = world.call(&format!("POST /v1/startup-scripts/{setup}/{verb}"), body.clone()).await;
            assert!(reply.status == *status && reply.error().2.starts_with(told), "{body}: {}", reply.body);
        }
    }
    assert_eq!(world.ok(&format!("GET /v1/startup-scripts/{setup}"), Value::Null).await, before);
}

#[tokio::test]
async fn a_machine_has_one_script_and_a_script_many_machines() {
    let world = World::new().await;
    let (one, two) = (script(&world, "one", false).await, script(&world, "two", false).await);
    let (a, b) = (world.create(json!({})).await, world.create(json!({"startupScriptId": one})).await);
    world.settle().await;
    let mut both = [a.clone(), b.clone()];
    both.sort();
    assert_eq!(assign(&world, &one, &a).await["assignedMachineIds"], json!(both));
    assert_eq!(assign(&world, &one, &a).await["assignedMachineIds"], json!(both), "twice is once");
    assert_eq!(assign(&world, &two, &a).await["assignedMachineIds"], json!([a]), "the second replaces");
    let left = world.ok(&format!("GET /v1/startup-scripts/{one}"), Value::Null).await;
    assert_eq!(left["assignedMachineIds"], json!([b]));
    assert_eq!(served(&world, &a), None, "what runs is not touched");
    order(&world, "restart", &a).await;
    assert_eq!(served(&world, &a).as_deref(), Some("echo two"));

    let unassign = async |script: &str| {
        world.ok(&format!("POST /v1/startup-scripts/{script}/unassign"), json!({"machineId": a})).await
    };
    assert_eq!(unassign(&one).await["assignedMachineIds"], json!([b]), "it has another one, and keeps it");
    order(&world, "restart", &a).await;
    assert_eq!(served(&world, &a).as_deref(), Some("echo two"));
    assert_eq!(unassign(&two).await["assignedMachineIds"], json!([]));
    order(&world, "restart", &a).await;
    assert_eq!(served(&world, &a), None);
}

#[tokio::test]
async fn a_deleted_script_leaves_its_machines() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    let gone = world.ok(&format!("DELETE /v1/startup-scripts/{setup}"), Value::Null).await;
    assert_eq!(gone["assignedMachineIds"], json!([]));
    assert!(gone["dtDeleted"].is_string());
    assert_eq!(world.state(&id).await.0, "ready", "what runs goes on");
    order(&world, "restart", &id).await;
    assert_eq!(served(&world, &id), None);
    let none = format!("there is no startup script {setup}");
    for (line, body) in [
        (format!("GET /v1/startup-scripts/{setup}"), Value::Null),
        (format!("PUT /v1/startup-scripts/{setup}"), json!({"name": "x"})),
        (format!("DELETE /v1/startup-scripts/{setup}"), Value::Null),
        (format!("POST /v1/startup-scripts/{setup}/assign"), json!({"machineId": id})),
        (format!("POST /v1/startup-scripts/{setup}/unassign"), json!({"machineId": id})),
        (format!("GET /v1/startup-scripts/{setup}/runs"), Value::Null),
    ] {
        assert_eq!(world.call(&line, body).await.error(), (404, "NOT_FOUND", &*none), "{line}");
    }
    assert_eq!(world.ok("GET /v1/startup-scripts", Value::Null).await["items"], json!([]));
    let rows = "SELECT COUNT(*) AS n FROM startup_script_runs WHERE script_id = ";
    assert_eq!(world.number(&format!("{rows}'{setup}'")).await, 0);
}

#[tokio::test]
async fn a_once_only_script_runs_once_on_each_machine_whatever_changes() {
    let world = World::new().await;
    let (setup, other) = (script(&world, "one", true).await, script(&world, "two", true).await);
    let id = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    assert!(served(&world, &id).is_some());
    let put = async |body: Value| world.ok(&format!("PUT /v1/startup-scripts/{setup}"), body).await;
    let next = async || {
        order(&world, "restart", &id).await;
        served(&world, &id)
    };
    assert_eq!(next().await, None, "it has run");
    put(json!({"script": "echo changed"})).await;
    assert_eq!(next().await, None, "a new text is the same script");
    put(json!({"isRunOnce": false})).await;
    assert_eq!(next().await.as_deref(), Some("echo changed"));
    put(json!({"isRunOnce": true})).await;
    assert_eq!(next().await, None);
    assign(&world, &other, &id).await;
    assert_eq!(next().await.as_deref(), Some("echo two"), "another script has not run here");
    assert_eq!(next().await, None);
    assign(&world, &setup, &id).await;
    assert_eq!(next().await, None, "the first one has");
    let second = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    assert_eq!(served(&world, &second).as_deref(), Some("echo changed"), "another machine has not run it");
}

#[tokio::test]
async fn what_a_boot_did_not_carry_has_not_run() {
    let world = World::new().await;
    let setup = script(&world, "one", true).await;
    let put = async |body: Value| world.ok(&format!("PUT /v1/startup-scripts/{setup}"), body).await;
    put(json!({"isEnabled": false})).await;
    let id = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    assert_eq!(served(&world, &id), None);
    put(json!({"isEnabled": true})).await;
    // Seen again while it runs, as at each look for drift.
    world.drift().await;
    order(&world, "restart", &id).await;
    assert!(served(&world, &id).is_some(), "a disabled script did not run");

    let late = script(&world, "late", true).await;
    order(&world, "stop", &id).await;
    world.host.silent(&id, true);
    world.ok(&format!("PATCH /v1/machines/{id}/start"), Value::Null).await;
    world.live_seconds(2).await;
    assign(&world, &late, &id).await;
    world.host.silent(&id, false);
    world.settle().await;
    order(&world, "restart", &id).await;
    assert_eq!(served(&world, &id).as_deref(), Some("echo late"), "it was assigned after the power came");
}

#[tokio::test]
async fn a_guest_that_restarts_by_itself_does_not_run_a_once_only_script_again() {
    let world = World::new().await;
    let (once, each) = (script(&world, "one", true).await, script(&world, "two", false).await);
    let ran = async |id: &MachineId, script: &str| {
        let log = world.ok(&format!("GET /v1/machines/{id}/console-log"), Value::Null).await;
        log["text"].as_str().unwrap().matches(&format!("the startup script {script} would run")).count()
    };
    for (script, times) in [(once, 1), (each, 2)] {
        let id = world.create(json!({"startupScriptId": script})).await;
        world.settle().await;
        world.host.guest_reboots(&id);
        assert_eq!(ran(&id, &script).await, times, "{script}");
    }
}

#[tokio::test]
async fn a_run_tells_its_status_and_what_it_printed() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startOnCreate": false, "startupScriptId": setup})).await;
    world.settle().await;
    assert_eq!(runs(&world, &setup).await, []);
    world.host.script_says(&id, "installing\n", None);
    order(&world, "start", &id).await;
    let name = id.to_string();
    assert_eq!(runs(&world, &setup).await, [(name.clone(), 1, None, "installing\n".into())]);
    let writes = world.writes();
    world.drift().await;
    assert_eq!(world.writes(), writes, "no news is not written");
    world.host.script_says(&id, "installing\nno such package\n", Some(100));
    world.drift().await;
    let first = (name.clone(), 1, Some(100), "installing\nno such package\n".to_owned());
    assert_eq!(runs(&world, &setup).await, std::slice::from_ref(&first));
    world.host.script_says(&id, "later words", Some(0));
    world.drift().await;
    assert_eq!(
        runs(&world, &setup).await,
        std::slice::from_ref(&first),
        "a run that has ended is not looked at again"
    );

    world.host.script_says(&id, "", None);
    order(&world, "restart", &id).await;
    world.host.script_says(&id, "bye\n", Some(0));
    order(&world, "stop", &id).await;
    let second = (name.clone(), 2, Some(0), "bye\n".to_owned());
    assert_eq!(runs(&world, &setup).await, [first.clone(), second], "its end was seen when it went off");
    let raw = world.number("SELECT COUNT(*) AS n FROM startup_script_runs WHERE output IS NOT NULL").await;
    assert_eq!(raw, 2);

    let other = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    assert_eq!(runs(&world, &setup).await.len(), 3);
    let of = async |id: &str| {
        let list =
            world.ok(&format!("GET /v1/startup-scripts/{setup}/runs?machineId={id}"), Value::Null).await;
        list["items"].as_array().unwrap().len()
    };
    assert_eq!((of(&name).await, of(other.as_str()).await), (2, 1));
    world.ok(&format!("DELETE /v1/machines/{id}"), Value::Null).await;
    world.settle().await;
    assert_eq!(runs(&world, &setup).await.len(), 1, "runs go with their machine");
}

#[tokio::test]
async fn what_a_script_printed_outlives_a_restart_of_its_host() {
    let world = World::new().await;
    let (once, each) = (script(&world, "one", true).await, script(&world, "two", false).await);
    let id = world.create(json!({"startOnCreate": false, "startupScriptId": once})).await;
    world.settle().await;
    world.host.script_says(&id, "installed\n", Some(0));
    order(&world, "start", &id).await;
    let installed = (id.to_string(), 1, Some(0), "installed\n".to_owned());
    assert_eq!(runs(&world, &once).await, std::slice::from_ref(&installed));
    let lost = async || {
        world.host.reboot_host();
        world.drift().await;
        world.settle().await;
        assert_eq!(world.machine(&id).await.state, deckle_api::machines::MachineState::Ready);
    };
    lost().await;
    assert_eq!(served(&world, &id), None, "it has run");
    assert_eq!(runs(&world, &once).await, std::slice::from_ref(&installed));
    // The same boot carries another script: both are told.
    assign(&world, &each, &id).await;
    world.host.script_says(&id, "hello\n", Some(3));
    lost().await;
    assert_eq!(served(&world, &id).as_deref(), Some("echo two"));
    assert_eq!(runs(&world, &once).await, [installed]);
    assert_eq!(runs(&world, &each).await, [(id.to_string(), 1, Some(3), "hello\n".into())]);
    // What was not seen to run is told no longer once the boot carries something else.
    let third = script(&world, "three", false).await;
    assign(&world, &third, &id).await;
    world.host.fail_always(Some((Call::ReadScriptRun, Fault::Final)));
    lost().await;
    assert_eq!(runs(&world, &third).await.len(), 1);
    assign(&world, &each, &id).await;
    lost().await;
    assert_eq!((runs(&world, &third).await.len(), runs(&world, &each).await.len()), (0, 2));
}

#[tokio::test]
async fn the_last_runs_are_kept_and_the_end_of_what_they_printed() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startOnCreate": false, "startupScriptId": setup})).await;
    world.settle().await;
    let long = format!("{}the end", "ü".repeat(64 * 1024));
    world.host.script_says(&id, &long, Some(0));
    for _ in 0..13 {
        order(&world, "start", &id).await;
        order(&world, "stop", &id).await;
    }
    let kept = runs(&world, &setup).await;
    assert_eq!(kept.iter().map(|run| run.1).collect::<Vec<_>>(), (4..=13).collect::<Vec<_>>());
    for (.., output) in &kept {
        assert!(
            output.ends_with("üthe end") && (65_534..=65_536).contains(&output.len()),
            "{}",
            output.len()
        );
    }
    let first = world.ok(&format!("GET /v1/startup-scripts/{setup}/runs?limit=4"), Value::Null).await;
    let next = first["nextPage"].as_str().unwrap();
    let path = format!("GET /v1/startup-scripts/{setup}/runs?limit=4&after={next}");
    let boots = |list: &Value| {
        list["items"].as_array().unwrap().iter().map(|run| run["boot"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let second = world.ok(&path, Value::Null).await;
    assert_eq!((boots(&first), boots(&second)), (vec![13, 12, 11, 10], vec![9, 8, 7, 6]));
}

#[tokio::test]
async fn a_member_reads_the_runs_on_machines_that_it_has_access_to() {
    let world = World::new().await;
    let key = world.new_member("ada@example.com", Role::Member).await;
    let ada = world.call_as(&key, "GET /v1/auth/session", Value::Null).await.body["user"]["id"].clone();
    let setup = script(&world, "one", false).await;
    let mine = world.create(json!({"startupScriptId": setup, "accessorIds": [ada]})).await;
    let other = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    let read = async |query: String| {
        let path = format!("GET /v1/startup-scripts/{setup}/runs{query}");
        world.call_as(&key, &path, Value::Null).await.status
    };
    assert_eq!(read(format!("?machineId={mine}")).await, 200);
    assert_eq!(read(format!("?machineId={other}")).await, 403);
    assert_eq!(read(String::new()).await, 403);
}

#[tokio::test]
async fn a_run_that_cannot_be_read_keeps_no_machine_from_its_end() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    world.host.fail_always(Some((Call::ReadScriptRun, Fault::Final)));
    let id = world.create(json!({"startupScriptId": setup})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
    assert_eq!(runs(&world, &setup).await, [(id.to_string(), 1, None, "(none)".into())]);
    world.host.fail_always(None);
    world.drift().await;
    assert_eq!(runs(&world, &setup).await, [(id.to_string(), 1, Some(0), String::new())]);
}

#[tokio::test]
async fn a_short_run_is_told_before_drift_is_looked_for() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startOnCreate": false, "startupScriptId": setup})).await;
    world.settle().await;
    world.host.script_says(&id, "working\n", None);
    order(&world, "start", &id).await;
    world.live_seconds(3).await;
    world.host.script_says(&id, "working\ndone\n", Some(0));
    world.live_seconds(2).await;
    assert_eq!(runs(&world, &setup).await, [(id.to_string(), 1, Some(0), "working\ndone\n".into())]);
    let looks = || world.host.calls().into_iter().find(|(call, _)| *call == Call::ReadScriptRun).unwrap().1;
    let before = looks();
    world.live_seconds(100).await;
    assert_eq!(looks(), before, "its end is known");
}

#[tokio::test]
async fn a_run_is_waited_for_a_day() {
    let world = World::new().await;
    let setup = script(&world, "one", false).await;
    let id = world.create(json!({"startOnCreate": false, "startupScriptId": setup})).await;
    world.settle().await;
    world.host.script_says(&id, "", None);
    order(&world, "start", &id).await;
    let looks = || world.host.calls().into_iter().find(|(call, _)| *call == Call::ReadScriptRun).unwrap().1;
    world.pass_seconds(86_000);
    let before = looks();
    world.drift().await;
    assert!(looks() > before);
    world.pass_seconds(86_400);
    world.drift().await;
    let after = looks();
    world.drift().await;
    assert_eq!(looks(), after);
}

#[tokio::test]
async fn a_server_that_ends_at_any_moment_tells_one_run_and_serves_once() {
    for nth in (0..).step_by(sweep_step()) {
        let mut world = World::new().await;
        let setup = script(&world, "one", true).await;
        let id = world.create(json!({"startupScriptId": setup})).await;
        let killed = world.kill_at(nth).await;
        world.settle().await;
        let first = (id.to_string(), 1, Some(0), String::new());
        assert_eq!(runs(&world, &setup).await, [first], "killed at {nth}");
        order(&world, "restart", &id).await;
        assert_eq!(served(&world, &id), None, "killed at {nth}");
        if !killed {
            break;
        }
    }
}
