//! Every error, from every layer, is exactly a code and a message.

use deckle_control::http::BODY_BYTES_MAX;
use serde_json::{Value, json};

use crate::world::{Reply, World, machine};

/// That it is an error of the contract, with that status and code; its message.
pub fn told(reply: &Reply, status: u16, code: &str) -> String {
    assert_eq!((reply.error().0, reply.error().1), (status, code), "{}", reply.body);
    let keys: Vec<_> = reply.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "message"]);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert!(reply.headers.contains_key("x-request-id"));
    reply.error().2.to_owned()
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_told() {
    let world = World::new().await;
    let bearer = |key: &str| format!("Bearer {key}");
    let wrong = [
        None,
        Some(String::new()),
        Some(bearer("")),
        Some(bearer("x")),
        Some(bearer(&"0".repeat(64))),
        Some(format!("Basic {}", world.key)),
        Some(world.key.clone()),
    ];
    for header in wrong {
        let headers: Vec<_> = header.iter().map(|value| ("authorization", value.clone())).collect();
        let reply = world.send("GET /v1/machines", &headers, "").await;
        let message = told(&reply, 401, "UNAUTHORIZED");
        assert_eq!(message, "send a valid API key in the header `Authorization: Bearer KEY`");
        let session = world.send("GET /v1/auth/session", &headers, "").await;
        assert_eq!((session.status, &session.body), (200, &Value::Null), "{header:?}");
        assert_eq!(world.send("GET /v1/health", &headers, "").await.status, 200);
        assert_eq!(world.send("GET /v1/os-templates", &headers, "").await.status, 200);
    }
    for right in [bearer(&world.key), format!("bearer  {}", world.key)] {
        let session = world.send("GET /v1/auth/session", &[("authorization", right)], "").await;
        assert_eq!(session.body["user"]["email"], "owner@example.com");
        assert_eq!(session.body["team"]["id"], json!(world.team.id));
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_as_json() {
    let world = World::new().await;
    for line in [
        "GET /",
        "GET /v1",
        "GET /v1/nothing",
        "POST /v2/machines",
        "GET /v1/machines/ps1/nothing",
        "GET /admin/teams",
    ] {
        let message = told(&world.call(line, Value::Null).await, 404, "NOT_FOUND");
        assert!(message.contains(line.split_once(' ').unwrap().1.trim_end_matches('/')), "{message}");
    }
    for (line, allowed) in [
        ("PUT /v1/machines", "GET,HEAD,POST"),
        ("DELETE /v1/machines", "GET,HEAD,POST"),
        ("POST /v1/machines/ps1/start", "PATCH"),
        ("POST /v1/health", "GET,HEAD"),
    ] {
        let reply = world.call(line, json!({})).await;
        let (method, path) = line.split_once(' ').unwrap();
        let message = told(&reply, 405, "METHOD_NOT_SUPPORTED");
        assert_eq!(message, format!("{method} is not a method of {path}"));
        assert_eq!(reply.headers["allow"], allowed, "{line}");
    }
}

#[tokio::test]
async fn text_that_cannot_be_an_id_names_nothing() {
    let world = World::new().await;
    for id in ["x", "PS123", "n123", "ps", "ps-1", "ps1%2F..%2F", "%00", "ps12345678901234567890", "%ff"] {
        for line in [
            format!("GET /v1/machines/{id}"),
            format!("PATCH /v1/machines/{id}/stop"),
            format!("DELETE /v1/machines/{id}"),
        ] {
            told(&world.call(&line, Value::Null).await, 404, "NOT_FOUND");
        }
    }
    let message = told(&world.call("GET /v1/machines/n123", Value::Null).await, 404, "NOT_FOUND");
    assert!(message.contains("expected the id of a machine: `ps`"), "{message}");
    for line in
        ["DELETE /admin/teams/x/members/u1", "DELETE /admin/teams/te1/members/x", "DELETE /admin/keys/x"]
    {
        told(&world.admin(line, Value::Null).await, 404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_or_too_large_is_refused() {
    let world = World::new().await;
    let key = [("authorization", format!("Bearer {}", world.key))];
    for body in ["{", "[", "{\"name\": }", "hello", "{} {}", "\u{0}", "{\"name\": \"\\ud800\"}"] {
        let message = told(&world.send("POST /v1/machines", &key, body).await, 400, "PARSE_ERROR");
        assert!(message.starts_with("the body is not JSON: "), "{message}");
    }
    for line in [
        "POST /v1/machines",
        "POST /v1/startup-scripts",
        "PATCH /v1/machines/ps1/start",
        "DELETE /v1/machines/ps1",
    ] {
        let large = format!("{{\"name\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX));
        let message = told(&world.send(line, &key, large.clone()).await, 413, "PAYLOAD_TOO_LARGE");
        assert_eq!(message, "the body is larger than 1048576 bytes");
        let once = [key[0].clone(), ("idempotency-key", "once".to_owned())];
        told(&world.send(line, &once, large).await, 413, "PAYLOAD_TOO_LARGE");
    }
    let edge = format!("{{{}}}", " ".repeat(BODY_BYTES_MAX - 2));
    told(&world.send("POST /v1/machines", &key, edge).await, 400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_wrong_field_is_named_with_what_was_expected() {
    let world = World::new().await;
    for (changes, expected) in [
        (json!({"name": null}), "name: is required"),
        (json!({"templateId": null}), "templateId: is required"),
        (json!({"name": 7}), "name: invalid type: integer `7`, expected a string"),
        (json!({"diskSize": "50"}), "diskSize: invalid type: string \"50\", expected a number"),
        (
            json!({"startOnCreate": "yes"}),
            "startOnCreate: invalid type: string \"yes\", expected true or false",
        ),
        (
            json!({"publicIpType": "floating"}),
            "publicIpType: unknown variant `floating`, expected one of `static`, `dynamic`, `none`",
        ),
        (json!({"accessorIds": "u1"}), "accessorIds: invalid type: string \"u1\", expected a list"),
        (
            json!({"networkId": "ps123"}),
            "networkId: expected the id of a private network: `n` and 1 to 16 lower-case letters or digits",
        ),
    ] {
        let reply = world.call("POST /v1/machines", machine(changes)).await;
        assert_eq!(told(&reply, 400, "BAD_REQUEST"), expected);
    }
    for body in [json!([]), json!("x"), json!(7)] {
        let message = told(&world.call("POST /v1/machines", body).await, 400, "BAD_REQUEST");
        assert!(message.ends_with("expected an object"), "{message}");
    }
    for (query, expected) in [
        ("limit=0", "limit: invalid value: string \"0\", expected a whole number from 1 to 120"),
        ("order=up", "order: unknown variant `up`, expected `asc` or `desc`"),
        ("orderBy=ram", "orderBy: unknown variant `ram`, expected one of `dtCreated`, `name`, `state`"),
        ("machineType=%00", "machineType: expected text without a zero character"),
        ("name=a%00b", "name: expected text without a zero character"),
    ] {
        let reply = world.call(&format!("GET /v1/machines?{query}"), Value::Null).await;
        assert_eq!(told(&reply, 400, "BAD_REQUEST"), expected);
    }
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let world = World::new().await;
    let id = |reply: &Reply| reply.headers["x-request-id"].to_str().unwrap().to_owned();
    let first = world.call("GET /v1/health", Value::Null).await;
    let second = world.call("GET /v1/nothing", Value::Null).await;
    assert_eq!(id(&first).len(), 16);
    assert_ne!(id(&first), id(&second));
    let given = world.send("GET /v1/machines", &[("x-request-id", "mine".to_owned())], "").await;
    assert_eq!((given.status, id(&given).as_str()), (401, "mine"));
    let long = world.send("GET /v1/health", &[("x-request-id", "x".repeat(500))], "").await;
    assert_eq!(id(&long).len(), 16);
}
