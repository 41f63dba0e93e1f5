//! Networks, addresses, drives and firewall rules, as they are typed.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::World;

/// Answers with a command's JSON, which goes into no transcript.
fn json(world: &World, line: &str) -> Value {
    let output = world.command(line).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until all events of a team have ended.
fn events_ended(world: &World) {
    let begun = Instant::now();
    loop {
        let events = json(world, "machine-event list --all -o json");
        let open = |event: &Value| event["state"] == "new" || event["state"] == "in progress";
        if !events.as_array().unwrap().iter().any(open) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{events}");
    }
}

/// Has a drive's password stand in transcripts as one.
fn learn_password(world: &mut World, drive: &str) {
    let drive = json(world, &format!("shared-drive get {drive} -o json"));
    world.stands_for("PASSWORD", drive["password"].as_str().unwrap());
}

#[test]
fn machines_move_into_a_network_and_on_to_another() {
    let (mut world, _server) = super::world("served_moves");
    let [id] = world.make("machine create --name first --template t0nspur5", ["ps"]);
    let [lab] = world.make("private-network create --name lab --migrate-machines", ["n"]);
    events_ended(&world);
    world.run(&format!("machine get {id}"));
    world.run(&format!("private-network update {lab} --name studio"));
    let [second] = world.make("private-network create --name second", ["n"]);
    world.run(&format!("machine update {id} --network-id {second}"));
    world.run(&format!("machine update {id} --network-id {second} --name moved"));
    world.run(&format!("machine update {id} --network-id n0"));
    world.run(&format!("machine update {id}"));
    let events = json(&world, &format!("machine-event list --machine-id {id} -o json"));
    for event in events["items"].as_array().unwrap() {
        world.learn("ev", event["id"].as_str().unwrap());
    }
    world.run(&format!("machine-event list --machine-id {id}"));
    world.run(&format!("private-network protect {lab}"));
    world.run(&format!("private-network delete {lab} --yes"));
    world.run(&format!("private-network unprotect {lab}"));
    world.run(&format!("private-network delete {lab} --yes"));
    world.run(&format!("machine protect {id}"));
    world.run(&format!("machine delete {id} --yes"));
    world.run(&format!("machine unprotect {id}"));
    world.run(&format!("machine delete {id} --yes"));
}

#[test]
fn an_address_is_claimed_moved_and_released() {
    let (mut world, _server) = super::world("served_addresses");
    world.run("public-ip claim");
    let [one] = world.make("machine create --name one --template t0nspur5 --public-ip-type static", ["ps"]);
    let [two] = world.make("machine create --name two --template t0nspur5", ["ps"]);
    world.run("public-ip list");
    let claimed = json(&world, "public-ip list --order asc -o json");
    let ip = claimed["items"][0]["ip"].as_str().unwrap().to_owned();
    world.run(&format!("public-ip assign {ip} {two}"));
    world.run(&format!("public-ip assign {ip} {one}"));
    world.run("public-ip list --region ny2 -o json");
    world.run(&format!("machine get {two}"));
    world.run(&format!("machine update {one} --public-ip-type none"));
    world.run(&format!("public-ip unassign {ip}"));
    world.run(&format!("public-ip protect {ip}"));
    world.run(&format!("public-ip release {ip} --yes"));
    world.run(&format!("public-ip unprotect {ip}"));
    world.run(&format!("public-ip release {ip}"));
    world.run(&format!("public-ip release {ip} --yes"));
    world.run(&format!("public-ip release {ip} --yes"));
    world.run("public-ip release 203.0.113 --yes");
    world.run("public-ip claim --region mars");
    world.run("public-ip list");
}

#[test]
fn a_drive_is_shared_grown_and_deleted() {
    let (mut world, _server) = super::world("served_drives");
    let [network] = world.make("private-network create --name lab", ["n"]);
    for size in ["0", "0.5", "1000000000"] {
        world.run(&format!("shared-drive create --name data --size {size} --network-id {network}"));
    }
    world.run(&format!("shared-drive create --name data --size 50 --network-id {network} --region ca1"));
    world.run("shared-drive create --name data --size 50 --network-id n0");
    let create = format!("shared-drive create --name data --size 50 --network-id {network} -o json");
    let made = json(&world, &create);
    let id = made["id"].as_str().unwrap().to_owned();
    world.learn("sd", &id);
    learn_password(&mut world, &id);
    world.run("shared-drive list");
    world.run(&format!("shared-drive get {id}"));
    world.run(&format!("shared-drive mount-command {id} --at /srv/data"));
    world.run(&format!("shared-drive update {id} --name films"));
    world.run(&format!("shared-drive resize {id} --size 100"));
    world.run(&format!("shared-drive resize {id} --size 50"));
    json(&world, &format!("shared-drive rotate-password {id} --yes -o json"));
    learn_password(&mut world, &id);
    world.run(&format!("shared-drive get {id} -o json"));
    world.run(&format!("private-network delete {network} --yes"));
    world.run(&format!("shared-drive protect {id}"));
    world.run(&format!("shared-drive delete {id} --yes"));
    world.run(&format!("shared-drive unprotect {id}"));
    world.run(&format!("shared-drive delete {id}"));
    world.run(&format!("shared-drive delete {id} --yes"));
    world.run(&format!("shared-drive get {id}"));
    world.run("shared-drive list");
}

#[test]
fn a_firewall_rule_is_for_a_network_or_for_a_machine() {
    let (mut world, _server) = super::world("served_firewall");
    let [network] = world.make("private-network create --name lab", ["n"]);
    let [id] =
        world.make(&format!("machine create --name web --template t0nspur5 --network-id {network}"), ["ps"]);
    let [ssh] = world.make(
        &format!("firewall-rule create --network-id {network} --direction inbound --protocol tcp --ports 22"),
        ["fw"],
    );
    world.make(
        &format!(
            "firewall-rule create --machine-id {id} --direction inbound --protocol tcp --ports 8000-8999 \
             --cidr 198.51.100.0/24 --description web"
        ),
        ["fw"],
    );
    world.run("firewall-rule list");
    world.run(&format!("firewall-rule list --machine-id {id} -o json"));
    world.run(&format!("firewall-rule get {ssh}"));
    for flags in [
        "--direction inbound",
        "--network-id n0 --direction inbound",
        "--network-id NETWORK --direction inbound --ports 22",
        "--network-id NETWORK --direction inbound --protocol tcp --ports 9-1",
        "--network-id NETWORK --direction inbound --protocol tcp --ports 0",
        "--network-id NETWORK --direction inbound --protocol tcp --ports 22",
        "--network-id NETWORK --direction inbound --cidr 10.0.0.1/8",
        "--network-id NETWORK --direction sideways",
    ] {
        world.run(&format!("firewall-rule create {}", flags.replace("NETWORK", &network)));
    }
    world.run(&format!("firewall-rule delete {ssh}"));
    world.run(&format!("firewall-rule delete {ssh} --yes"));
    world.run(&format!("firewall-rule get {ssh}"));
}
