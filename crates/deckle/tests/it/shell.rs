//! What reaches into the shell around: ssh, keys, consoles, scripts, help.

use std::fs;

use serde_json::json;

use crate::canned::{Canned, error, ok};
use crate::objects::machine;
use crate::world::World;

const GET_MACHINE: &str = "GET /v1/machines/ps8rgduy2k";

fn public(state: &str) -> serde_json::Value {
    let mut shown = machine("ps8rgduy2k", "first", state);
    shown["publicIp"] = json!("203.0.113.7");
    shown
}

#[test]
fn ssh_is_the_hosts_own() {
    let mut nameless = machine("ps8rgduy2k", "first", "provisioning");
    nameless["privateIp"] = json!(null);
    let server = Canned::start(vec![
        (GET_MACHINE, ok(public("ready"))),
        (GET_MACHINE, ok(machine("ps8rgduy2k", "first", "starting"))),
        (GET_MACHINE, ok(public("ready"))),
        (GET_MACHINE, ok(machine("ps8rgduy2k", "first", "ready"))),
        (GET_MACHINE, ok(nameless)),
        (GET_MACHINE, ok(public("off"))),
    ]);
    let mut world = World::at("ssh", &server.url, "secret");
    world.program("ssh", "#!/bin/sh\nfor word; do echo \"$word\"; done\nexit 7\n");
    world.run("machine ssh ps8rgduy2k -- -v uname -a");
    world.run("machine ssh ps8rgduy2k --wait");
    world.run("machine ssh ps8rgduy2k");
    world.run("machine ssh ps8rgduy2k");
    world.run("machine ssh ps8rgduy2k");
    server.asked();
}

#[test]
fn a_console_is_followed_from_where_it_was_left() {
    let piece =
        |from: u64, text: &str| ok(json!({"from": from, "next": from + text.len() as u64, "text": text}));
    let server = Canned::start(vec![
        ("GET /v1/machines/ps8rgduy2k/console-log?bytes=6", piece(10, "login:")),
        ("GET /v1/machines/ps8rgduy2k/console-log", piece(0, "booting\n")),
        ("GET /v1/machines/ps8rgduy2k/console-log", piece(0, "boot")),
        ("GET /v1/machines/ps8rgduy2k/console-log?from=4", piece(4, "ing\n")),
        ("GET /v1/machines/ps8rgduy2k/console-log?from=8", piece(8, "")),
        ("GET /v1/machines/ps8rgduy2k/console-log?from=8", piece(8, "login:\n")),
        (
            "GET /v1/machines/ps8rgduy2k/console-log?from=15",
            error(404, "NOT_FOUND", "there is no machine ps8rgduy2k"),
        ),
    ]);
    let mut world = World::at("console", &server.url, "secret");
    world.run("machine console ps8rgduy2k --bytes 6");
    world.run("machine console ps8rgduy2k -o json");
    world.run("machine console ps8rgduy2k -f");
    server.asked();
}

#[test]
fn a_desktop_comes_with_a_line_to_paste() {
    const GET_DESKTOP: &str = "GET /v1/machines/ps8rgduy2k/desktop";
    let at =
        |hostname: &str| ok(json!({"vnc": {"hostname": hostname, "port": 5903, "password": "Ab12Cd34"}}));
    let server = Canned::start(vec![
        (GET_DESKTOP, at("127.0.0.1")),
        (GET_DESKTOP, at("2001:db8::7")),
        (GET_DESKTOP, at("127.0.0.1")),
        (GET_DESKTOP, ok(json!({}))),
        (GET_DESKTOP, ok(json!({}))),
        (GET_DESKTOP, error(412, "PRECONDITION_FAILED", "ps8rgduy2k is off: start it")),
    ]);
    let mut world = World::at("desktop", &server.url, "secret");
    world.run("machine desktop ps8rgduy2k");
    world.run("machine desktop ps8rgduy2k");
    world.run("machine desktop ps8rgduy2k -o json");
    world.run("machine desktop ps8rgduy2k");
    world.run("machine desktop ps8rgduy2k -o json");
    world.run("machine desktop ps8rgduy2k");
    server.asked();
}

#[test]
fn a_private_key_stays_here() {
    let key = json!({
        "id": "sk1", "name": "me@desk", "publicKey": "ssh-ed25519 AAAA me@desk",
        "dtCreated": "2026-11-21T10:00:00.000Z"
    });
    let server = Canned::start(vec![("POST /v1/ssh-keys", ok(key))]);
    let mut world = World::at("ssh_keys", &server.url, "secret");
    world.run("ssh-key add");
    let folder = world.home().join(".ssh");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("id_rsa.pub"), "ssh-rsa AAAA old").unwrap();
    fs::write(folder.join("id_ed25519.pub"), "ssh-ed25519 AAAA me@desk\n").unwrap();
    fs::write(folder.join("id_ed25519"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    world.run("ssh-key add --file .ssh/id_ed25519");
    world.run("ssh-key add");
    let asked = server.asked();
    assert_eq!(asked[0].body, r#"{"name":"me@desk","publicKey":"ssh-ed25519 AAAA me@desk"}"#);
}

#[test]
fn a_script_is_read_from_its_file() {
    let script = json!({
        "id": "sc1", "name": "hello", "description": null, "isEnabled": true, "isRunOnce": true,
        "assignedMachineIds": [], "dtCreated": "2026-11-21T10:00:00.000Z", "dtDeleted": null
    });
    let server = Canned::start(vec![("POST /v1/startup-scripts", ok(script))]);
    let mut world = World::at("startup_scripts", &server.url, "secret");
    fs::write(world.home().join("hello.sh"), "echo hello\n").unwrap();
    world.run("startup-script create --name hello --script-file hello.sh --run-once");
    world.run("startup-script create --name hello --script-file missing.sh");
    let asked = server.asked();
    assert_eq!(asked[0].body, r#"{"name":"hello","script":"echo hello\n","isRunOnce":true}"#);
}

#[test]
fn help_is_a_table_of_contents() {
    let mut world = World::nowhere("help");
    for line in ["machine -h", "machine-event -h", "admin -h", "admin template -h", "machine get nothing"] {
        world.run(line);
    }
    for shell in ["bash", "zsh", "fish"] {
        let output = world.command(&format!("completions {shell}")).output().unwrap();
        assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("console"));
    }
}
