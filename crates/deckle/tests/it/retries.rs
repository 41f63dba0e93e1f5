//! What happens when a server refuses, hangs up, or is not there.

use serde_json::json;

use crate::canned::{Answer, Canned, error, json, ok};
use crate::objects::{machine, ordered, page};
use crate::world::World;

const CREATE_NETWORK: &str = "private-network create --name lab";

fn network() -> serde_json::Value {
    json!({
        "id": "nwhoe4oxk2", "name": "lab", "region": "ny2", "network": "10.64.21.0",
        "netmask": "255.255.255.0", "dtCreated": "2026-11-21T10:00:00.000Z"
    })
}

#[test]
fn an_error_of_the_api_is_told_with_its_code() {
    let stranger = json!({"message": "tea only", "code": "TEAPOT", "issues": [{"message": "no coffee"}]});
    let server = Canned::start(vec![
        ("GET /v1/machines/ps1", error(404, "NOT_FOUND", "there is no machine ps1")),
        ("GET /v1/machines", error(401, "UNAUTHORIZED", "the key is not known")),
        ("GET /v1/machines", json(418, stranger)),
        ("GET /v1/machines", Answer::Whole(502, vec![], b"<html>bad gateway</html>".to_vec())),
        ("GET /v1/machines", Answer::Whole(200, vec![], b"<html>welcome</html>".to_vec())),
    ]);
    let mut world = World::at("errors", &server.url, "secret");
    world.run("machine get ps1");
    world.run("machine list");
    world.run("machine list");
    world.run("machine list");
    world.run("machine list -o json");
    server.asked();
}

#[test]
fn without_a_server_it_says_what_to_start() {
    let mut world = World::at("no_server", "http://127.0.0.1:1", "secret");
    world.run("machine list");
    world.run("admin team list");
}

#[test]
fn a_lost_create_is_sent_again_with_the_same_key() {
    let server = Canned::start(vec![
        ("POST /v1/private-networks", Answer::HangUp),
        ("POST /v1/private-networks", error(409, "CONFLICT", "the first request is still running")),
        ("POST /v1/private-networks", Answer::BrokenOff { announced: 400, body: b"{".to_vec() }),
        ("POST /v1/private-networks", ok(network())),
    ]);
    World::at("lost_create", &server.url, "secret").run(CREATE_NETWORK);
    let asked = server.asked();
    let key = &asked[0].headers["idempotency-key"];
    assert_eq!(key.len(), 32);
    assert!(asked.iter().all(|again| again.headers["idempotency-key"] == *key));
    assert!(asked.iter().all(|again| again.body == r#"{"name":"lab","region":"ny2"}"#));
}

#[test]
fn two_creates_have_two_keys() {
    let create = || ("POST /v1/private-networks", ok(network()));
    let server = Canned::start(vec![create(), create()]);
    let world = World::at("two_creates", &server.url, "secret");
    assert!(world.command(CREATE_NETWORK).status().unwrap().success());
    assert!(world.command(CREATE_NETWORK).status().unwrap().success());
    let asked = server.asked();
    assert_ne!(asked[0].headers["idempotency-key"], asked[1].headers["idempotency-key"]);
}

#[test]
fn a_conflict_on_the_first_try_is_told_at_once() {
    let server = Canned::start(vec![("POST /v1/private-networks", error(409, "CONFLICT", "it is there"))]);
    World::at("conflict", &server.url, "secret").run(CREATE_NETWORK);
    server.asked();
}

#[test]
fn a_create_is_sent_five_times_at_most() {
    let lost = || ("POST /v1/private-networks", Answer::HangUp);
    let server = Canned::start(vec![lost(), lost(), lost(), lost(), lost()]);
    World::at("lost_for_good", &server.url, "secret").run(CREATE_NETWORK);
    server.asked();
}

#[test]
fn a_lost_order_without_a_key_is_not_sent_again() {
    let server = Canned::start(vec![("PATCH /v1/machines/ps8rgduy2k/restart", Answer::HangUp)]);
    World::at("lost_order", &server.url, "secret").run("machine restart ps8rgduy2k");
    assert!(!server.asked()[0].headers.contains_key("idempotency-key"));
}

#[test]
fn a_lost_look_is_taken_again() {
    let list = page(&[machine("ps8rgduy2k", "first", "ready")]);
    let server = Canned::start(vec![("GET /v1/machines", Answer::HangUp), ("GET /v1/machines", ok(list))]);
    World::at("lost_look", &server.url, "secret").run("machine list");
    server.asked();
}

#[test]
fn too_many_requests_are_asked_again_later() {
    let busy = br#"{"code":"TOO_MANY_REQUESTS","message":"slower"}"#.to_vec();
    let path = "PATCH /v1/machines/ps8rgduy2k/start";
    let server = Canned::start(vec![
        (path, Answer::Whole(429, vec![("retry-after", "0".to_owned())], busy)),
        (path, ok(ordered("start", "starting"))),
    ]);
    World::at("too_many", &server.url, "secret").run("machine start ps8rgduy2k --no-wait");
    server.asked();
}
