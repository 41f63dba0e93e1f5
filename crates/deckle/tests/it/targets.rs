//! Which server a command talks to, and that a key goes nowhere else.

use std::fs;

use serde_json::Value;

use crate::canned::{Canned, error, ok};
use crate::objects::page;
use crate::world::World;

const LIST: &str = "GET /v1/machines";

/// The key that a server is sent in a world.
fn key_sent(prepare: impl FnOnce(&mut World, &str), line: &str) -> Option<String> {
    let server = Canned::start(vec![(LIST, ok(page(&[])))]);
    let mut world = World::nowhere("targets");
    prepare(&mut world, &server.url);
    let output = world.command(&line.replace("SERVER", &server.url)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.asked().remove(0).headers.remove("authorization")
}

#[test]
fn the_nearest_word_counts() {
    let paperspace = |world: &mut World, url: &str| {
        world.set("PAPERSPACE_API_URL", &format!("{url}/v1/"));
        world.set("PAPERSPACE_API_KEY", "paperspace");
    };
    let own = |world: &mut World, url: &str| {
        world.set("PAPERSPACE_API_URL", "https://api.example.org/v1");
        world.set("PAPERSPACE_API_KEY", "paperspace");
        world.set("DECKLE_URL", url);
        world.set("DECKLE_API_KEY", "own");
    };
    let flags = |world: &mut World, _: &str| {
        world.set("DECKLE_URL", "http://127.0.0.1:1");
        world.set("DECKLE_API_KEY", "own");
    };
    assert_eq!(key_sent(paperspace, "machine list").as_deref(), Some("Bearer paperspace"));
    assert_eq!(key_sent(own, "machine list").as_deref(), Some("Bearer own"));
    let line = "machine list --url SERVER --api-key flag";
    assert_eq!(key_sent(flags, line).as_deref(), Some("Bearer flag"));
}

#[test]
fn a_key_goes_only_where_it_was_meant_for() {
    let strange = |world: &mut World, url: &str| {
        world.set("DECKLE_URL", url);
        world.set("PAPERSPACE_API_KEY", "paperspace");
    };
    assert_eq!(key_sent(strange, "machine list"), None);
    let here = |world: &mut World, url: &str| {
        world.set("DECKLE_URL", url);
        fs::write(world.state().join("owner.key"), "owner\n").unwrap();
    };
    assert_eq!(key_sent(here, "machine list").as_deref(), Some("Bearer owner"));
}

#[test]
fn what_is_wrong_with_an_address_is_said() {
    let server = Canned::start(vec![
        (LIST, error(401, "UNAUTHORIZED", "no key was sent")),
        ("GET /v1/auth/session", ok(Value::Null)),
    ]);
    let mut world = World::nowhere("wrong_targets");
    world.stands_for("SERVER", &server.url);
    world.run(&format!("machine list --url {}", server.url));
    world.run(&format!("session get --url {}", server.url));
    world.run("machine list --url gpu.example.org");
    world.set("PAPERSPACE_API_URL", "https://gpu.example.org");
    world.run("machine list");
    server.asked();
}
