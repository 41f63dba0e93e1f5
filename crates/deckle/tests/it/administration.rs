//! The operator's commands, over the socket in the state folder.

use std::fs;

use serde_json::{Value, json};

use crate::canned::{Answer, Canned, error, ok};
use crate::objects::template;
use crate::world::World;

fn team() -> Value {
    json!({
        "id": "te6hh34n60", "name": "Lab", "namespace": "lab", "dtCreated": "2026-11-21T10:00:00.000Z",
        "members": [{"userId": "ur7p0nb7n0", "email": "a@lab.example", "role": "owner"}],
        "limits": [], "caps": []
    })
}

fn limited() -> Value {
    let mut team = team();
    team["limits"] = json!([
        {"noun": "gpus/A4000", "most": 2, "inUse": 0}, {"noun": "machines", "most": 5, "inUse": 7}
    ]);
    team
}

fn capped() -> Value {
    let mut team = team();
    team["caps"] = json!([
        {"amount": "99.50", "spent": "12.345678901"},
        {"email": "b@lab.example", "amount": "0.00", "spent": "0.00"}
    ]);
    team
}

fn key(text: Option<&str>) -> Value {
    let mut key = json!({
        "id": "k1", "name": "ci", "teamId": "te6hh34n60", "userId": "ur7p0nb7n0", "scopes": [],
        "dtCreated": "2026-11-21T10:00:00.000Z"
    });
    if let Some(text) = text {
        key["key"] = json!(text);
    }
    key
}

#[test]
fn an_operator_looks_after_teams_and_keys() {
    let mut world = World::nowhere("admin");
    let server = Canned::on_socket(
        &world.state().join("admin.sock"),
        vec![
            ("POST /admin/teams", ok(team())),
            ("GET /admin/teams", ok(json!([team()]))),
            ("POST /admin/teams/te6hh34n60/limits", ok(limited())),
            ("POST /admin/teams/te6hh34n60/cap", ok(capped())),
            ("POST /admin/teams/te6hh34n60/cap", ok(team())),
            (
                "POST /admin/teams/te6hh34n60/cap",
                error(400, "BAD_REQUEST", "amount: expected a decimal number"),
            ),
            (
                "POST /admin/teams/te6hh34n60/members",
                ok(json!({"userId": "u3z4be2600", "email": "b@lab.example", "role": "admin"})),
            ),
            ("DELETE /admin/teams/te6hh34n60/members/u3z4be2600", ok(json!({}))),
            ("POST /admin/keys", ok(key(Some("0123456789abcdef")))),
            ("GET /admin/keys", ok(json!([key(None)]))),
            ("DELETE /admin/keys/k1", error(404, "NOT_FOUND", "there is no API key k1")),
            ("GET /admin/leaks", ok(json!([{"kind": "link", "name": "dk-1", "of": "ps8rgduy2k"}]))),
        ],
    );
    for line in [
        "admin team create --name Lab --owner-email a@lab.example",
        "admin team list",
        "admin team limit te6hh34n60 machines=5 gpus/A4000=2 public-ips=none",
        "admin team limit te6hh34n60 machines",
        "admin team limit te6hh34n60 machines=-1",
        "admin team cap te6hh34n60 0 --email b@lab.example",
        "admin team cap te6hh34n60 none",
        "admin team cap te6hh34n60 much",
        "admin member set te6hh34n60 --email b@lab.example --role admin",
        "admin member set te6hh34n60 --email b@lab.example --role owner",
        "admin member remove te6hh34n60 u3z4be2600 --yes",
        "admin key create --team te6hh34n60 --email a@lab.example --name ci",
        "admin key list",
        "admin key delete k1 --yes",
        "admin leak list",
    ] {
        world.run(line);
    }
    let asked = server.asked();
    let plain = |name: &str| asked.iter().all(|asked| !asked.headers.contains_key(name));
    assert!(plain("authorization") && plain("idempotency-key"));
    assert_eq!(asked[0].body, r#"{"name":"Lab","ownerEmail":"a@lab.example"}"#);
    assert_eq!(asked[2].body, r#"{"limits":{"gpus/A4000":2,"machines":5,"public-ips":null}}"#);
    assert_eq!(asked[3].body, r#"{"email":"b@lab.example","amount":"0"}"#);
    assert_eq!(asked[4].body, r#"{"amount":null}"#);
    assert_eq!(asked[6].body, r#"{"email":"b@lab.example","role":"admin"}"#);
}

#[test]
fn an_operator_looks_after_gpus() {
    let mut world = World::nowhere("gpus");
    let gpu = |address: &str, state: &str, more: Value| {
        let mut gpu = json!({"address": address, "model": "A100", "memoryBytes": 42_949_672_960_u64,
            "numaNode": 1, "state": state});
        gpu.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gpu
    };
    let used = gpu("0000:41:00.0", "used", json!({"machineId": "ps8rgduy2k", "teamId": "te6hh34n60"}));
    let unknown = json!({"address": "0000:42:00.0", "model": "10de:29bb", "state": "free"});
    let failed = gpu("0000:c1:00.0", "quarantined", json!({"reason": "it does not reset"}));
    let stays = "0000:c1:00.0 stays quarantined: reset the GPU 0000:c1:00.0: it does not reset";
    let release = "POST /admin/gpus/0000:c1:00.0/release";
    let server = Canned::on_socket(
        &world.state().join("admin.sock"),
        vec![
            ("GET /admin/gpus", ok(json!([used, unknown, failed]))),
            (release, error(412, "PRECONDITION_FAILED", stays)),
            (release, ok(failed)),
            (release, ok(gpu("0000:c1:00.0", "free", json!({})))),
            (release, ok(gpu("0000:c1:00.0", "forgotten", json!({})))),
        ],
    );
    world.run("admin gpu list");
    for address in ["0000:c1:00.0", "0000:c1:00.0", "c1:00.0", "0000:C1:00.0"] {
        world.run(&format!("admin gpu release {address}"));
    }
    world.run("admin gpu release first");
    server.asked();
}

#[test]
fn a_lost_order_of_the_operator_is_not_sent_again() {
    let mut world = World::nowhere("admin_lost");
    let script = vec![("POST /admin/teams", Answer::HangUp)];
    let server = Canned::on_socket(&world.state().join("admin.sock"), script);
    world.run("admin team create --name Lab --owner-email a@lab.example");
    server.asked();
}

#[test]
fn an_image_is_named_as_the_server_sees_it() {
    let mut world = World::nowhere("import");
    let taken_in =
        json!({"template": template("tnew", "mine"), "hasAgent": false, "sizeBytes": 10_737_418_240_u64});
    let server =
        Canned::on_socket(&world.state().join("admin.sock"), vec![("POST /admin/templates", ok(taken_in))]);
    fs::write(world.home().join("mine.qcow2"), "image").unwrap();
    world.run("admin template import mine.qcow2 --name mine --id tnew --no-agent");
    world.run("admin template import missing.qcow2 --name mine");
    let body: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    let file = fs::canonicalize(world.home().join("mine.qcow2")).unwrap();
    assert_eq!(body, json!({"file": file, "name": "mine", "id": "tnew", "hasAgent": false}));
}

#[test]
fn an_operator_takes_copies_out_and_in() {
    let mut world = World::nowhere("transfers");
    let transfer = |act: &str, state: &str, more: Value| {
        let mut transfer = json!({"id": "tr1", "act": act, "machineId": "ps8rgduy2k", "file": "/backup/disk",
            "state": state, "dtCreated": "2026-11-21T10:00:00.000Z"});
        transfer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        transfer
    };
    let halfway = json!({"doneBytes": 5_368_709_120_u64, "totalBytes": 10_737_418_240_u64});
    let (begun, running) =
        (|act| ok(transfer(act, "waiting", json!({}))), transfer("export", "running", halfway));
    let failed = json!({"error": "import /backup/disk as the disk of ps8rgduy2k: it is encrypted"});
    let open = "the event ev1 (start) of ps8rgduy2k is still new; wait until it ends";
    let restarting = || ("GET /admin/transfers/tr1", Answer::HangUp);
    let server = Canned::on_socket(
        &world.state().join("admin.sock"),
        vec![
            ("POST /admin/exports", begun("export")),
            ("GET /admin/transfers/tr1", ok(running.clone())),
            restarting(),
            restarting(),
            restarting(),
            restarting(),
            restarting(),
            ("GET /admin/transfers/tr1", ok(transfer("export", "done", json!({})))),
            ("POST /admin/exports", begun("export")),
            ("GET /admin/transfers", ok(json!([running]))),
            ("POST /admin/exports", begun("export")),
            ("GET /admin/transfers/tr1", error(404, "NOT_FOUND", "there is no transfer tr1")),
            ("POST /admin/imports", error(409, "CONFLICT", open)),
            ("POST /admin/imports", begun("import")),
            ("GET /admin/transfers/tr1", ok(transfer("import", "error", failed))),
        ],
    );
    for line in [
        "admin export machine ps8rgduy2k /backup/disk",
        "admin export machine ps8rgduy2k /backup/disk --force --no-wait",
        "admin transfer list",
        "admin export shared-drive sd1 drive -o json",
        "admin export machine sd1 /backup/disk",
        "admin import machine ps8rgduy2k /backup/disk",
        "admin import machine ps8rgduy2k /backup/disk --yes",
        "admin import machine ps8rgduy2k /backup/disk -y",
    ] {
        world.run(line);
    }
    let bodies: Vec<Value> = server
        .asked()
        .iter()
        .filter(|it| !it.body.is_empty())
        .map(|it| serde_json::from_str(&it.body).unwrap())
        .collect();
    let home = fs::canonicalize(world.home()).unwrap();
    let disk = json!({"machineId": "ps8rgduy2k", "file": "/backup/disk"});
    let expected = [
        disk.clone(),
        json!({"machineId": "ps8rgduy2k", "file": "/backup/disk", "replace": true}),
        json!({"sharedDriveId": "sd1", "file": home.join("drive")}),
        disk.clone(),
        disk,
    ];
    assert_eq!(bodies, expected);
}
