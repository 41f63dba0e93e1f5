//! What machines are made of and in: networks, scripts, keys, types, templates.

use std::fs;

#[test]
fn a_network_is_left_before_it_goes() {
    let (mut world, _server) = super::world("served_network");
    let [network] = world.make("private-network create --name lab", ["n"]);
    world.run("private-network list");
    world.run(&format!("private-network get {network} -o json"));
    world.run(&format!("machine create --name x --template t0nspur5 --region ca1 --network-id {network}"));
    let [id] = world.make(
        &format!(
            "machine create --name in --template t0nspur5 --network-id {network} --public-ip-type dynamic"
        ),
        ["ps"],
    );
    world.run(&format!("private-network delete {network} --yes"));
    world.run(&format!("machine delete {id} --yes"));
    world.run(&format!("private-network delete {network}"));
    world.run(&format!("private-network delete {network} --yes"));
    world.run(&format!("private-network get {network}"));
    world.run("private-network list");
}

#[test]
fn a_script_and_a_key_go_with_a_machine() {
    let (mut world, _server) = super::world("served_script");
    fs::write(world.home().join("hello.sh"), "#!/bin/sh\necho hello\n").unwrap();
    let [script] = world.make("startup-script create --name hello --script-file hello.sh --run-once", ["sc"]);
    world.run("startup-script list");
    let create = format!("machine create --name x --template t0nspur5 --startup-script-id {script}");
    world.make(&create, ["ps"]);
    world.run(&format!("startup-script get {script} -o json"));
    world.run("startup-script get sc0");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@desk\n";
    fs::write(world.home().join("id.pub"), key).unwrap();
    fs::write(world.home().join("bad.pub"), "ssh-ed25519 AAAA me@desk\n").unwrap();
    let [key] = world.make("ssh-key add --file id.pub", ["sk"]);
    world.run("ssh-key add --file bad.pub");
    world.run("ssh-key list");
    world.run(&format!("ssh-key delete {key} --yes"));
    world.run(&format!("ssh-key delete {key} --yes"));
    world.run("ssh-key list -o json");
}

#[test]
fn a_script_is_changed_given_and_taken() {
    let (mut world, _server) = super::world("served_scripts");
    fs::write(world.home().join("a.sh"), "echo a\n").unwrap();
    fs::write(world.home().join("b.sh"), "echo b\n").unwrap();
    let [script] = world.make("startup-script create --name a --script-file a.sh", ["sc"]);
    let [id] = world.make("machine create --name x --template t0nspur5 --no-start", ["ps"]);
    world.run(&format!("startup-script output {script} {id}"));
    world.run(&format!("startup-script assign {script} {id}"));
    world.run(&format!("machine start {id}"));
    world.run(&format!("startup-script runs {script}"));
    world.run(&format!("startup-script output {script} {id}"));
    let runs = world.command(&format!("startup-script runs {script} --machine-id {id} -o json")).output();
    let runs: serde_json::Value = serde_json::from_slice(&runs.unwrap().stdout).unwrap();
    assert_eq!((&runs["items"][0]["boot"], &runs["items"][0]["exitStatus"]), (&1.into(), &0.into()));
    world.run(&format!(
        "startup-script update {script} --name b --script-file b.sh --run-once true --enabled false"
    ));
    world.run(&format!("startup-script update {script} --enabled true"));
    world.run(&format!("startup-script unassign {script} {id}"));
    world.run(&format!("startup-script delete {script}"));
    world.run(&format!("startup-script delete {script} --yes"));
    world.run(&format!("startup-script runs {script}"));
}

#[test]
fn a_template_is_made_of_a_machine_and_used() {
    let (mut world, _server) = super::world("served_custom_templates");
    let [parent] = world.make("machine create --name x --template t0nspur5 --disk-size 60", ["ps"]);
    world.run(&format!("custom-template create --name golden --machine-id {parent}"));
    world.run(&format!("machine stop {parent}"));
    let [id] = world.make(&format!("custom-template create --name golden --machine-id {parent}"), ["t"]);
    world.run("custom-template list --name GOLD --order-by name");
    world.run(&format!("custom-template list --machine-id {parent} -o json"));
    world.run(&format!("custom-template rename {id} gilded"));
    world.make("machine create --name y --template gilded --no-start", ["ps"]);
    world.run("machine create --name y --template golden --no-start");
    world.run(&format!("custom-template delete {id}"));
    world.run(&format!("custom-template delete {id} --yes"));
    world.run(&format!("custom-template get {id}"));
}

#[test]
fn what_there_is_can_be_looked_up() {
    let (mut world, _server) = super::world("served_choices");
    world.run("os-template list");
    world.run("os-template list --name 20.04 -o json");
    world.run("machine-type list");
    world.run("machine-type availability C4 --region ny2");
    world.run("machine-type availability A100 --region ca1");
    world.run("machine-type availability C99 --region ny2");
    world.run("machine-type availability C4 --region mars");
}
