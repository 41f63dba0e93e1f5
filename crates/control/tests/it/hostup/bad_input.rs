//! Bad input in the second dialect: a problem that says where, and the world as it was.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use deckle_api::admin::Role;
use deckle_control::config::Config;
use deckle_control::http::{BODY_BYTES_MAX, Door, shell};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{NETWORKS, lab, make, problem, text};
use crate::world::World;

#[tokio::test]
async fn a_wrong_body_is_told_by_pointer_and_changes_nothing() {
    let world = World::new().await;
    let before = world.dump().await;
    let line = format!("POST {NETWORKS}");
    for (body, pointer, code) in [
        (json!({}), "/name", "missing_required"),
        (json!({"name": ""}), "/name", "invalid_value"),
        (json!({"name": "  "}), "/name", "invalid_value"),
        (json!({"name": "a\nb"}), "/name", "invalid_value"),
        (json!({"name": "a\u{0}b"}), "/name", "invalid_value"),
        (json!({"name": "x".repeat(101)}), "/name", "invalid_value"),
        (json!({"name": 7}), "/name", "invalid_value"),
        (json!({"name": null}), "/name", "invalid_value"),
        (json!({"name": "x", "region": "mars"}), "/region", "invalid_value"),
        (json!({"name": "x", "region": ""}), "/region", "invalid_value"),
        (json!({"name": "x", "region": null}), "/region", "invalid_value"),
        (json!({"name": "x", "description": 7}), "/description", "invalid_value"),
        (json!({"name": "x", "parentCidr": null}), "/parentCidr", "invalid_value"),
        (json!({"name": "x", "vlanTag": 7}), "/vlanTag", "unknown_field"),
        (json!({"name": "x", "migrateMachines": true}), "/migrateMachines", "unknown_field"),
        (json!([]), "/name", "missing_required"),
        (json!("x"), "", "invalid_value"),
    ] {
        let reply = world.call(&line, body.clone()).await;
        problem(&reply, 400, "invalid_request");
        let errors = reply.body["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1);
        let found = (text(&errors[0], "pointer"), text(&errors[0], "code"));
        if body.is_array() {
            assert!(["", "/name"].contains(&found.0), "{body}: {found:?}");
        } else {
            assert_eq!(found, (pointer, code), "{body}");
        }
    }
    let key = [("authorization", format!("Bearer {}", world.key))];
    for body in ["{", "hello", "{} {}", "{\"name\": \"\\ud800\"}"] {
        let reply = world.send(&line, &key, body).await;
        assert!(problem(&reply, 400, "invalid_request").starts_with("the body is not JSON"), "{body}");
    }
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    problem(&world.send(&line, &key, large).await, 413, "payload_too_large");
    assert_eq!(world.dump().await, before);
    for name in ["ä".repeat(100), "Büro 7 🦀".to_owned(), "'; DROP TABLE machines; --".to_owned()] {
        assert_eq!(make(&world, json!({"name": name, "description": null})).await["name"], json!(name));
    }
}

#[tokio::test]
async fn a_parameter_is_given_once() {
    let world = World::new().await;
    for (query, pointer) in
        [("limit=1&limit=1", "/limit"), ("region=ny2&region=ca1", "/region"), ("cursor=&cursor=", "/cursor")]
    {
        let reply = world.call(&format!("GET {NETWORKS}?{query}"), Value::Null).await;
        problem(&reply, 400, "invalid_request");
        assert_eq!(reply.body["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn text_that_is_no_id_names_nothing() {
    let world = World::new().await;
    let made = make(&world, lab()).await;
    let id = text(&made, "id");
    let v1 = super::v1_id(&world, "lab").await;
    let digits = &id["pnet_".len()..];
    let mut other_moment = id.to_owned();
    other_moment.replace_range(14..15, if &id[14..15] == "0" { "1" } else { "0" });
    let mut other_number = id.to_owned();
    other_number.replace_range(30.., if id.ends_with('0') { "1" } else { "0" });
    let before = world.dump().await;
    for wrong in [
        "x",
        &v1,
        digits,
        &format!("vps_{digits}"),
        &format!("subnet_{digits}"),
        &format!("pnet_{}", digits.to_uppercase()),
        &format!("PNET_{digits}"),
        &format!("pnet_{digits}0"),
        &id[..30],
        &format!("pnet_8{}", &digits[1..]),
        &format!("pnet_{}u", &digits[1..]),
        "pnet_7zzzzzzzzzzzzzzzzzzzzzzzzz",
        "pnet_00000000000000000000000000",
        &other_moment,
        &other_number,
        "%00",
        "pnet_%00",
        "pnet_%C3%A9",
    ] {
        for method in ["GET", "DELETE"] {
            let reply = world.call(&format!("{method} {NETWORKS}/{wrong}"), Value::Null).await;
            problem(&reply, 404, "private_network_not_found");
        }
    }
    assert_eq!(world.call(&format!("GET {NETWORKS}/%ff"), Value::Null).await.status, 404);
    assert_eq!(world.dump().await, before);
    assert_eq!(world.ok(&format!("GET {NETWORKS}/{id}"), Value::Null).await["name"], "lab");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let world = World::new().await;
    for path in ["/api/v2", "/api/v2/", "/api/v2/nothing", "/api/v2/private-networks/x/y", "/api/v2/machines"]
    {
        for key in [&world.key, "wrong"] {
            let reply = world.call_as(key, &format!("GET {path}"), Value::Null).await;
            assert!(problem(&reply, 404, "not_found").contains("/api/v2/openapi.json lists them"), "{path}");
        }
    }
    let id = format!("{NETWORKS}/pnet_00000000000000000000000000");
    for (line, allowed) in [
        (format!("PUT {NETWORKS}"), "GET,HEAD,POST"),
        (format!("DELETE {NETWORKS}"), "GET,HEAD,POST"),
        (format!("PATCH {id}"), "GET,HEAD,DELETE"),
        (format!("POST {id}"), "GET,HEAD,DELETE"),
    ] {
        let reply = world.call(&line, json!({})).await;
        problem(&reply, 405, "method_not_allowed");
        assert_eq!(reply.headers["allow"], allowed, "{line}");
    }
    let slash = world.call(&format!("GET {NETWORKS}/"), Value::Null).await;
    assert_eq!(slash.status, 200);
    // What is not of the second dialect keeps its own shape.
    for path in ["/api", "/api/v1/private-networks", "/api/v20"] {
        assert_eq!(world.call(&format!("GET {path}"), Value::Null).await.error().1, "NOT_FOUND");
    }
}

#[tokio::test]
async fn who_asks_is_asked_before_what() {
    let world = World::new().await;
    let wrong = ["", "Bearer", "Bearer x", "Basic x", "Bearer 0000"];
    for header in wrong {
        let headers = [("authorization", header.to_owned())];
        for line in [
            format!("GET {NETWORKS}?limit=x"),
            format!("POST {NETWORKS}"),
            format!("DELETE {NETWORKS}/x"),
            format!("GET {NETWORKS}/x"),
        ] {
            problem(&world.send(&line, &headers, "{").await, 401, "unauthorized");
        }
    }
    let scoped = async |scopes: Value| world.new_key(&world.team, "owner@example.com", scopes).await;
    for (scopes, read, write) in [
        (json!(["read:network"]), true, false),
        (json!(["write:network"]), false, true),
        (json!(["read:all"]), true, false),
        (json!(["write:all"]), false, true),
        (json!(["read:vm", "write:vm"]), false, false),
        (json!([]), true, true),
    ] {
        let key = scoped(scopes.clone()).await;
        for (line, may, passed) in [
            (format!("GET {NETWORKS}?limit=0"), read, "invalid_request"),
            (format!("GET {NETWORKS}/x"), read, "private_network_not_found"),
            (format!("POST {NETWORKS}"), write, "invalid_request"),
            (format!("DELETE {NETWORKS}/x"), write, "private_network_not_found"),
        ] {
            let reply = world.call_as(&key, &line, json!({})).await;
            let code = text(&reply.body, "code");
            assert_eq!(code, if may { passed } else { "forbidden" }, "{scopes}: {line}");
        }
    }
    let member = world.new_member("member@example.com", Role::Member).await;
    let made = make(&world, lab()).await;
    let path = format!("{NETWORKS}/{}", text(&made, "id"));
    assert_eq!(world.call_as(&member, &format!("GET {path}"), Value::Null).await.status, 200);
    for (line, body) in [(format!("POST {NETWORKS}"), lab()), (format!("DELETE {path}"), Value::Null)] {
        let reply = world.call_as(&member, &line, body).await;
        assert!(problem(&reply, 403, "forbidden").contains("administrators"));
    }
}

#[tokio::test]
async fn our_own_faults_and_late_answers_are_problems_too() {
    let world = World::new().await;
    make(&world, lab()).await;
    world.run("UPDATE private_networks SET parent_cidr = 'no range'").await;
    let reply = world.call(&format!("GET {NETWORKS}"), Value::Null).await;
    assert_eq!(problem(&reply, 500, "internal_error"), "internal error; the server's log says more");
    assert_eq!(reply.body["title"], "Internal server error");

    let mut config = Config::default();
    config.limits.request_s = 0;
    let world = World::with(config, None).await;
    // Who writes waits for its turn.
    let other_writer = world.app.store.begin().await.unwrap();
    let reply = world.call(&format!("POST {NETWORKS}"), lab()).await;
    drop(other_writer);
    assert_eq!(problem(&reply, 408, "request_timeout"), "the answer took longer than 0 seconds");
}

#[tokio::test]
async fn a_handler_that_panics_answers_a_problem() {
    async fn broken() -> &'static str {
        panic!("a handler of a test that panics");
    }
    let world = World::new().await;
    let routes = Router::new().route("/api/v2/broken", get(broken)).route("/v1/broken", get(broken));
    let routes = shell(routes, world.app.clone(), Door::Api, 5);
    for (path, kind) in [("/api/v2/broken", "application/problem+json"), ("/v1/broken", "application/json")] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = routes.clone().oneshot(request).await.unwrap();
        let told = (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap());
        assert_eq!(told, (500, kind), "{path}");
        let body = axum::body::to_bytes(response.into_body(), BODY_BYTES_MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("the server's log says more") && !body.contains("panics"), "{body}");
    }
}
