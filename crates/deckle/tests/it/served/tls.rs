//! A server with a certificate, and a client that trusts it or does not.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::owner_key;
use crate::server::{SERVE, Server};
use crate::world::World;

#[test]
fn a_certificate_is_trusted_by_those_who_are_told_to() {
    let mut world = World::nowhere("served_tls");
    certify(world.home(), "first");
    settings(world.home(), "first");
    let line = format!("{SERVE} --config deckle.toml");
    let server = Server::start(&world, &line);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    let _silent = TcpStream::connect(server.url.trim_start_matches("https://")).unwrap();
    world.stands_for("KEY", &owner_key(&world));
    world.go_to(&server.url);
    world.compare(&line, &server.said());
    world.run("os-template list");
    world.set("SSL_CERT_FILE", "first.pem");
    world.run("os-template list");
    world.make("machine create --name first --template t0nspur5", ["ps"]);
}

#[test]
fn a_renewed_certificate_is_read_at_a_hangup() {
    let mut world = World::nowhere("served_tls_renewed");
    for name in ["first", "second"] {
        certify(world.home(), name);
    }
    settings(world.home(), "first");
    let server = Server::start(&world, &format!("{SERVE} --config deckle.toml"));
    world.go_to(&server.url);
    for file in ["pem", "key"] {
        let in_home = |name: &str| world.home().join(name).with_extension(file);
        fs::copy(in_home("second"), in_home("first")).unwrap();
    }
    world.set("SSL_CERT_FILE", "second.pem");
    let end = Instant::now() + Duration::from_secs(10);
    server.signal("HUP");
    while !world.command("os-template list").output().unwrap().status.success() {
        assert!(Instant::now() < end, "the certificate was not read again");
    }
}

#[test]
fn a_certificate_that_is_none_is_told_before_anything_is_served() {
    let mut world = World::nowhere("served_tls_wrongly");
    certify(world.home(), "first");
    certify(world.home(), "second");
    let line = "serve --engine emulator --listen 127.0.0.1:0 --config deckle.toml";
    settings(world.home(), "missing");
    world.run(line);
    settings(world.home(), "first");
    fs::copy(world.home().join("second.key"), world.home().join("first.key")).unwrap();
    world.run(line);
    fs::write(world.home().join("first.pem"), "none").unwrap();
    world.run(line);
}

fn settings(home: &Path, name: &str) {
    let text = format!("[tls]\ncertificate = '{name}.pem'\nkey = '{name}.key'\n");
    fs::write(home.join("deckle.toml"), text).unwrap();
}

/// A certificate of its own authority for loopback.
fn certify(home: &Path, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-subj", &format!("/CN={name}"), "-days", "2"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-out", &format!("{name}.pem"), "-keyout", &format!("{name}.key")]);
    assert!(openssl.current_dir(home).output().expect("openssl is installed").status.success());
}
