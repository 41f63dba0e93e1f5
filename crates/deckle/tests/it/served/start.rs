//! The start of a server: its first key, its state folder, its end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::owner_key;
use crate::server::{SERVE, Server};
use crate::world::World;

#[test]
fn a_first_start_makes_a_key_and_tells_it_once() {
    let mut world = World::nowhere("served_start");
    let first = Server::start(&world, SERVE);
    let key = owner_key(&world);
    world.stands_for("KEY", &key);
    world.go_to(&first.url);
    world.compare(SERVE, &first.said());
    let mode = |file: &str| {
        let facts = fs::metadata(world.state().join(file)).unwrap();
        facts.permissions().mode() & 0o777
    };
    assert_eq!(["", "owner.key", "seal.key", "admin.sock"].map(mode), [0o711, 0o600, 0o600, 0o600]);
    let [_user, _team] = world.make("session get", ["u", "te"]);
    world.run(SERVE);
    assert!(first.end().success());

    let second = Server::start(&world, SERVE);
    world.go_to(&second.url);
    world.compare(SERVE, &second.said());
    assert_eq!(owner_key(&world), key);
    world.run("session get");
}

#[test]
fn machines_go_on_while_no_server_runs() {
    let (mut world, first) = super::world("served_again");
    world.make("machine create --name first --template t0nspur5", ["ps"]);
    assert!(first.end().success());
    let second = Server::start(&world, SERVE);
    world.go_to(&second.url);
    world.run("machine list");
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let mut world = World::nowhere("served_wrongly");
    for (file, text) in [
        ("unknown.toml", "[tls]\nkeys = 'tls.key'\n"),
        ("empty.toml", "regions = []\n"),
        ("keyless.toml", "[tls]\ncertificate = '/etc/deckle/tls.pem'\n"),
    ] {
        fs::write(world.home().join(file), text).unwrap();
        world.run(&format!("serve --engine emulator --listen 127.0.0.1:0 --config {file}"));
    }
    world.run("serve --engine emulator --listen 127.0.0.1:0 --config missing.toml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    world.stands_for("TAKEN", &taken);
    world.run(&format!("serve --engine emulator --listen {taken}"));
    assert!(!world.state().join("owner.key").exists());
}
