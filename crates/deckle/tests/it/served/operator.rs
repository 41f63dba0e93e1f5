//! What an operator does, and what members and other teams then see.

use serde_json::Value;

use crate::server::{SERVE, Server};
use crate::world::World;

#[test]
fn a_member_looks_and_an_administrator_acts() {
    let (mut world, _server) = super::world("served_members");
    let [machine] = world.make("machine create --name first --template t0nspur5", ["ps"]);
    let [team, _owner] = world.make("admin team list", ["te", "u"]);
    let set = format!("admin member set {team} --email m@lab.example --role");
    let [member] = world.make(&format!("{set} member"), ["u"]);
    let key = make_key(&mut world, &team, "m@lab.example");
    world.set("DECKLE_API_KEY", &key);
    world.run(&format!("machine get {machine}"));
    world.run("machine create --name x --template t0nspur5");
    world.run(&format!("machine delete {machine} --yes"));
    world.run("private-network create --name lab");
    world.run(&format!("{set} admin"));
    world.run(&format!("machine stop {machine}"));
    world.run(&format!("admin member remove {team} {member}"));
    world.run(&format!("admin member remove {team} {member} --yes"));
    world.run("machine list");
    world.run("session get");
}

#[test]
fn a_member_uses_what_it_has_access_to() {
    let (mut world, _server) = super::world("served_accessors");
    let [machine] = world.make("machine create --name first --template t0nspur5", ["ps"]);
    let [team, owner] = world.make("admin team list", ["te", "u"]);
    let [member] = world.make(&format!("admin member set {team} --email m@lab.example --role member"), ["u"]);
    let key = make_key(&mut world, &team, "m@lab.example");
    let as_member = |world: &mut World, line: &str| {
        world.set("DECKLE_API_KEY", &key);
        world.run(line);
        world.unset("DECKLE_API_KEY");
    };
    let add = format!("machine accessor add {machine} {member}");
    as_member(&mut world, &format!("machine stop {machine}"));
    as_member(&mut world, &add);
    world.run(&add);
    world.run(&format!("machine accessor list {machine}"));
    as_member(&mut world, &format!("machine stop {machine}"));
    as_member(&mut world, &format!("machine start {machine}"));
    world.run(&format!("machine accessor remove {machine} {member}"));
    world.run(&format!("machine accessor remove {machine} {member} --yes"));
    world.run(&format!("machine accessor remove {machine} {owner} --yes"));
    as_member(&mut world, &format!("machine console {machine}"));
    world.run(&format!("machine accessor add {machine} u0"));
}

#[test]
fn teams_do_not_see_each_other() {
    let (mut world, _server) = super::world("served_teams");
    let [machine, event] =
        world.make("machine create --name first --template t0nspur5 -o json", ["ps", "ev"]);
    let [network] = world.make("private-network create --name lab", ["n"]);
    let [team, _] = world.make("admin team create --name Other --owner-email o@other.example", ["te", "u"]);
    world.run("admin team create --name Other --owner-email nobody");
    let key = make_key(&mut world, &team, "o@other.example");
    world.set("DECKLE_API_KEY", &key);
    world.run("machine list");
    world.run(&format!("machine get {machine}"));
    world.run(&format!("machine stop {machine}"));
    world.run(&format!("machine delete {machine} --yes"));
    world.run(&format!("machine-event wait {event}"));
    world.run(&format!("machine create --name x --template t0nspur5 --network-id {network}"));
    world.run(&format!("private-network delete {network} --yes"));
}

#[test]
fn a_limit_is_told_to_whoever_meets_it() {
    let (mut world, _server) = super::world("served_limits");
    let [team, _owner] = world.make("admin team list", ["te", "u"]);
    world.run(&format!("admin team limit {team} private-networks=1"));
    world.make("private-network create --name lab", ["n"]);
    world.run("private-network create --name den");
    world.run("admin team list");
    world.run(&format!("admin team limit {team} networks=1"));
    world.run(&format!("admin team limit {team} private-networks=none"));
    world.make("private-network create --name den", ["n"]);
}

#[test]
fn a_cap_is_told_to_whoever_meets_it() {
    let (mut world, _server) = super::world("served_caps");
    let [team, _owner] = world.make("admin team list", ["te", "u"]);
    world.run(&format!("admin team cap {team} 0"));
    world.run("machine create --name first --template t0nspur5");
    world.run(&format!("admin team cap {team} none"));
    world.run(&format!("admin team cap {team} 5 --email nobody@lab.example"));
    world.make("machine create --name first --template t0nspur5", ["ps"]);
    world.run("usage --from 2001-01-01T00:00:00Z --to 2001-02-01T00:00:00Z");
    world.run("usage --from yesterday");
    world.run("usage --from 2001-01-01T00:00:00Z");
}

#[test]
fn a_key_is_shown_once_and_ends_when_it_is_deleted() {
    let (mut world, _server) = super::world("served_keys");
    let [team, owner] = world.make("admin team list", ["te", "u"]);
    let create = format!("admin key create --team {team} --email owner@deckle.local --name");
    let made = world.command(&format!("{create} reader --scopes read:all -o json")).output().unwrap();
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["userId"], owner.as_str());
    let id = made["id"].as_str().unwrap();
    world.learn("k", id);
    world.make("admin key list", ["k"]);
    world.run(&format!("{create} x --scopes read:everything"));
    world.set("DECKLE_API_KEY", made["key"].as_str().unwrap());
    world.run("machine list");
    world.run("machine create --name x --template t0nspur5");
    world.run(&format!("admin key delete {id} --yes"));
    world.run("machine list");
    world.run(&format!("admin key delete {id} --yes"));
}

#[test]
fn templates_and_leaks_are_the_operators() {
    let (mut world, _server) = super::world("served_templates");
    world.run("admin template list");
    world.run("admin template delete t04azgph --yes");
    world.run("admin template delete t04azgph --yes");
    world.run("os-template list");
    world.run("admin leak list");
    world.run("doctor --leaks");
}

#[test]
fn gpus_are_pretended_as_they_are_configured() {
    let mut world = World::nowhere("served_gpus");
    let gpus = "[[emulator.gpus]]\nmodel = \"A100\"\nmemory_gib = 40\ncount = 2\nnuma_nodes = 2\n";
    std::fs::write(world.home().join("deckle.toml"), gpus).unwrap();
    let server = Server::start(&world, &format!("{SERVE} --config deckle.toml"));
    world.go_to(&server.url);
    let key = super::owner_key(&world);
    world.set("DECKLE_API_KEY", &key);
    let [_team, _owner] = world.make("admin team list", ["te", "u"]);
    let create = "machine create --name trainer --template t0nspur5 --machine-type A100";
    let [_machine] = world.make(create, ["ps"]);
    world.run("admin gpu list");
    world.run("admin gpu release 0000:01:00.0");
    world.run("admin gpu release 0000:07:00.0");
}

/// What it finds is up to the host; how it is said is not.
#[test]
fn a_doctor_says_what_mends_each_thing() {
    let (world, _server) = super::world("served_doctor");
    let shown = world.command("doctor").output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    let is_line = |line: &str| {
        ["[good] ", "[weak] ", "[BAD ] ", "       cure: "].iter().any(|begin| line.starts_with(begin))
    };
    assert!(text.lines().count() > 5 && text.lines().all(is_line), "{text}");
    assert_eq!(shown.status.success(), !text.contains("[BAD ]"), "{text}");
    let json = world.command("doctor -o json").output().unwrap();
    let checks: Value = serde_json::from_slice(&json.stdout).unwrap();
    let keys: Vec<_> = checks[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "verdict", "found", "cure"]);
}

/// Makes a key of a member, and answers its text.
fn make_key(world: &mut World, team: &str, email: &str) -> String {
    let line = format!("admin key create --team {team} --email {email} --name story");
    let output = world.command(&line).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let fact = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.split_whitespace().last()).unwrap().to_owned()
    };
    world.learn("k", &fact("id"));
    world.stands_for("KEY", &fact("key"));
    world.compare(&line, &output);
    fact("key")
}

#[test]
fn a_disk_travels_as_a_file() {
    let (mut world, _server) = super::world("served_transfers");
    let [one] = world.make("machine create --name one --template t0nspur5", ["ps"]);
    let [other] = world.make("machine create --name other --template t0nspur5 --no-start", ["ps"]);
    world.make(&format!("admin export machine {one} disk"), ["tr"]);
    world.run(&format!("admin export machine {one} disk"));
    world.make(&format!("admin export machine {one} disk --force"), ["tr"]);
    world.run(&format!("admin import machine {one} disk --yes"));
    world.run(&format!("admin import machine {other} disk"));
    world.make(&format!("admin import machine {other} disk --yes"), ["tr"]);
    world.run(&format!("admin import machine {other} missing --yes"));
    world.run("admin export shared-drive sd0 drive");
    world.run(&format!("machine start {other}"));
}
