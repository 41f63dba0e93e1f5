//! Machines and their events: lists, orders, and the wait for an end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::canned::{Answer, Canned, Script, error, ok};
use crate::objects::{event, event_detail, machine, ordered, page, page_before, template};
use crate::world::World;

const GET_EVENT: &str = "GET /v1/machine-events/ev4k2m9x0a";
const GET_DETAIL: &str = "GET /v1/machine-events/ev4k2m9x0a/detail";
const GET_MACHINE: &str = "GET /v1/machines/ps8rgduy2k";

/// Runs commands against a script, which they must follow to its end.
fn tell(story: &'static str, script: Script, lines: &[&str]) -> Vec<Value> {
    let server = Canned::start(script);
    let mut world = World::at(story, &server.url, "secret");
    for line in lines {
        world.run(line);
    }
    let bodies = server.asked().into_iter().map(|asked| asked.body);
    bodies.map(|body| serde_json::from_str(&body).unwrap_or_default()).collect()
}

#[test]
fn lists_walk_their_pages() {
    let first = || page_before("cursor&1", &[machine("ps8rgduy2k", "first", "ready")]);
    let last = || page(&[machine("ps1", "a longer name", "off")]);
    tell(
        "lists",
        vec![
            ("GET /v1/machines?orderBy=name&name=a%2Bb&limit=1&order=asc", ok(first())),
            ("GET /v1/machines?limit=120", ok(first())),
            ("GET /v1/machines?after=cursor%261&limit=120", ok(last())),
            ("GET /v1/machines?limit=1", ok(first())),
            ("GET /v1/machines?after=cursor%261&limit=1", ok(last())),
            ("GET /v1/machines?region=ny2", ok(last())),
            ("GET /v1/machines?limit=120", ok(first())),
            ("GET /v1/machines?after=cursor%261&limit=120", ok(first())),
            (
                "GET /v1/machine-events?machineId=ps8rgduy2k",
                ok(page(&[event("stop", "error", Some("no power"))])),
            ),
        ],
        &[
            "machine list --name a+b --order-by name --limit 1 --order asc",
            "machine list --all",
            "machine list --all --limit 1 -o json",
            "machine list -o json --region ny2",
            "machine list --all",
            "machine-event list --machine-id ps8rgduy2k",
        ],
    );
}

#[test]
fn an_order_is_waited_for() {
    tell(
        "orders",
        vec![
            ("PATCH /v1/machines/ps8rgduy2k/start", ok(ordered("start", "starting"))),
            (GET_EVENT, ok(event("start", "new", None))),
            (GET_DETAIL, ok(event_detail("takes room on the host", None))),
            (GET_EVENT, ok(event("start", "in progress", None))),
            (GET_DETAIL, ok(event_detail("starts the virtual machine", Some(("no space is left", 1))))),
            (GET_EVENT, ok(event("start", "in progress", None))),
            (GET_DETAIL, ok(event_detail("starts the virtual machine", Some(("no space is left", 2))))),
            (GET_EVENT, ok(event("start", "in progress", None))),
            (GET_DETAIL, ok(event_detail("waits for the guest's agent", None))),
            (GET_EVENT, ok(event("start", "done", None))),
            (GET_MACHINE, ok(machine("ps8rgduy2k", "first", "ready"))),
            ("PATCH /v1/machines/ps8rgduy2k/stop", ok(ordered("stop", "stopping"))),
            (GET_EVENT, ok(event("stop", "done", None))),
            (GET_MACHINE, ok(machine("ps8rgduy2k", "first", "off"))),
            ("PATCH /v1/machines/ps8rgduy2k/restart", ok(ordered("restart", "restarting"))),
            ("DELETE /v1/machines/ps8rgduy2k", ok(ordered("deactivate", "stopping"))),
            (GET_EVENT, ok(event("deactivate", "done", None))),
            (GET_MACHINE, error(404, "NOT_FOUND", "there is no machine ps8rgduy2k")),
        ],
        &[
            "machine start ps8rgduy2k",
            "machine stop ps8rgduy2k -o json",
            "machine restart ps8rgduy2k --no-wait",
            "machine delete ps8rgduy2k --yes",
        ],
    );
}

#[test]
fn what_is_waited_for_can_be_looked_up() {
    let waits = |error: Option<(&str, u64)>| {
        let mut detail = event_detail("makes the network whole", error);
        for field in ["eventId", "state", "dtFinished"] {
            detail.as_object_mut().unwrap().remove(field);
        }
        detail["isReady"] = false.into();
        detail
    };
    let failed = || Some(("no space is left", 3));
    tell(
        "details",
        vec![
            (GET_DETAIL, ok(event_detail("starts the virtual machine", failed()))),
            (GET_DETAIL, ok(event_detail("waits for the guest's agent", None))),
            ("GET /v1/machines/ps8rgduy2k/detail", ok(waits(None))),
            ("GET /v1/private-networks/nwhoe4oxk2/detail", ok(waits(failed()))),
            ("GET /v1/shared-drives/sd1/detail", error(404, "NOT_FOUND", "there is no shared drive sd1")),
        ],
        &[
            "machine-event detail ev4k2m9x0a",
            "machine-event detail ev4k2m9x0a -o json",
            "machine detail ps8rgduy2k",
            "private-network detail nwhoe4oxk2",
            "shared-drive detail sd1",
        ],
    );
}

#[test]
fn an_order_that_fails_fails_the_command() {
    tell(
        "failed_orders",
        vec![
            ("PATCH /v1/machines/ps8rgduy2k/start", ok(ordered("start", "starting"))),
            (GET_EVENT, ok(event("start", "error", Some("no GPU of the type A100 is free")))),
            ("PATCH /v1/machines/ps8rgduy2k/start", ok(ordered("start", "starting"))),
            (GET_EVENT, ok(event("start", "cancelled", None))),
            (GET_EVENT, ok(event("start", "in progress", None))),
            (GET_EVENT, ok(event("start", "in progress", None))),
            (GET_DETAIL, ok(event_detail("waits for the guest's agent", None))),
            (GET_EVENT, ok(event("start", "done", None))),
        ],
        &["machine start ps8rgduy2k", "machine start ps8rgduy2k -o json", "machine-event wait ev4k2m9x0a"],
    );
}

#[test]
fn a_server_that_restarts_is_waited_for() {
    let mut script = vec![("PATCH /v1/machines/ps8rgduy2k/start", ok(ordered("start", "starting")))];
    script.extend((0..5).map(|_| (GET_EVENT, Answer::HangUp)));
    script.push((GET_EVENT, ok(event("start", "done", None))));
    script.push((GET_MACHINE, ok(machine("ps8rgduy2k", "first", "ready"))));
    tell("restarted_server", script, &["machine start ps8rgduy2k"]);
}

#[test]
fn nothing_is_deleted_unasked() {
    tell("unasked", vec![], &["machine delete ps8rgduy2k", "private-network delete nwhoe4oxk2"]);
}

#[test]
fn a_create_fills_in_what_is_left_out() {
    let templates = || page(&[template("t0nspur5a2", "debian-12"), template("tkni3aa4b7", "other")]);
    let script = vec![
        ("GET /v1/os-templates?limit=120", ok(templates())),
        ("POST /v1/machines", ok(ordered("create", "provisioning"))),
        ("GET /v1/os-templates?limit=120", ok(templates())),
        ("GET /v1/custom-templates?limit=120", ok(page(&[]))),
        ("POST /v1/machines", ok(ordered("create", "provisioning"))),
        ("GET /v1/os-templates?limit=120", ok(templates())),
        ("GET /v1/custom-templates?limit=120", ok(page(&[]))),
    ];
    let bodies = tell(
        "create",
        script,
        &[
            "machine create --name first --template debian-12 --no-wait",
            "machine create --name second --template tcustom1 --machine-type A100 --disk-size 100 \
             --region ams1 --public-ip-type dynamic --network-id nwhoe4oxk2 --startup-script-id sc1 \
             --accessor-ids u1,u2 --no-start --auto-shutdown-enabled --auto-shutdown-timeout 24 \
             --auto-snapshot-enabled --auto-snapshot-frequency weekly --auto-snapshot-save-count 3 \
             --restore-point-enabled --restore-point-frequency shutdown --no-wait",
            "machine create --name third --template Nothing",
        ]
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .each_ref()
        .map(String::as_str),
    );
    let first = json!({
        "name": "first", "machineType": "C4", "templateId": "t0nspur5a2", "diskSize": 10, "region": "ny2"
    });
    assert_eq!(bodies[1], first);
    let second = json!({
        "name": "second", "machineType": "A100", "templateId": "tcustom1", "networkId": "nwhoe4oxk2",
        "diskSize": 100, "region": "ams1", "publicIpType": "dynamic", "autoSnapshotEnabled": true,
        "autoSnapshotFrequency": "weekly", "autoSnapshotSaveCount": 3.0, "autoShutdownEnabled": true,
        "autoShutdownTimeout": 24.0, "restorePointEnabled": true, "restorePointFrequency": "shutdown",
        "startupScriptId": "sc1", "startOnCreate": false, "accessorIds": ["u1", "u2"]
    });
    assert_eq!(bodies[4], second);
}

#[test]
fn an_interrupt_ends_the_wait_and_not_the_work() {
    let mut script = vec![("PATCH /v1/machines/ps8rgduy2k/start", ok(ordered("start", "starting")))];
    let mut detail = event_detail("waits for the guest's agent", None);
    detail["since"] = Value::Null;
    for _ in 0..100 {
        script.push((GET_EVENT, ok(event("start", "in progress", None))));
        script.push((GET_DETAIL, ok(detail.clone())));
    }
    let server = Canned::start(script);
    let mut world = World::at("interrupt", &server.url, "secret");
    let mut command = world.command("machine start ps8rgduy2k");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // Once the event is looked at, the interrupt is listened for.
    let first = lines.next().unwrap().unwrap();
    server.wait_for(GET_EVENT);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<_> = std::iter::once(Ok(first)).chain(lines).map(Result::unwrap).collect();
    let mut output = child.wait_with_output().unwrap();
    output.stderr = (rest.join("\n") + "\n").into();
    world.compare("machine start ps8rgduy2k", &output);
}

#[test]
fn an_order_of_a_snapshot_is_waited_for_too() {
    let snapshot =
        || json!({"id": "sl1", "name": "good", "machineId": "ps8rgduy2k", "isAutoSnapshot": false});
    let ordered = |name: &str| ok(json!({"event": event(name, "new", None), "data": snapshot()}));
    let bodies = tell(
        "snapshots",
        vec![
            ("POST /v1/snapshots", ordered("snapshot-create")),
            (GET_EVENT, ok(event("snapshot-create", "in progress", None))),
            (GET_DETAIL, ok(event_detail("takes a snapshot", None))),
            (GET_EVENT, ok(event("snapshot-create", "error", Some("the disk is full")))),
            ("POST /v1/snapshots/sl1/restore", ordered("snapshot-restore")),
            ("POST /v1/snapshots/sl1/restore", ordered("snapshot-restore")),
            (GET_EVENT, ok(event("snapshot-restore", "done", None))),
            ("GET /v1/snapshots/sl1", ok(snapshot())),
            ("GET /v1/snapshots?orderBy=name&machineId=ps8rgduy2k&limit=120", ok(page(&[snapshot()]))),
        ],
        &[
            "snapshot create --name good --machine-id ps8rgduy2k",
            "snapshot restore sl1 --yes --snapshot-before --no-wait",
            "snapshot restore sl1 --yes -o json",
            "snapshot list --machine-id ps8rgduy2k --order-by name --all",
        ],
    );
    assert_eq!(bodies[0], json!({"name": "good", "machineId": "ps8rgduy2k"}));
    assert_eq!((&bodies[4], &bodies[5]), (&json!({"createSnapshotBeforeRestore": true}), &json!({})));
}
