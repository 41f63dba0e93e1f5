//! Dashboards' sessions: a cookie that stands for a key, in the second dialect only.

use serde_json::{Value, json};

use super::{NETWORKS, lab, make, problem, text};
use crate::world::{Reply, World};

const LASTS_S: i64 = 12 * 3600;

/// A session of a key: its id and its cookie's value.
async fn begin(world: &World, key: &str) -> (String, String) {
    let reply = world.call_as(key, "POST /v1/sessions", json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let keys: Vec<_> = reply.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "dtCreated", "dtExpires"], "the secret is in the cookie only");
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    let (pair, rest) = cookie.split_once(';').unwrap();
    assert_eq!(rest, " HttpOnly; SameSite=Strict; Path=/api/v2; Max-Age=43200");
    let secret = pair.strip_prefix("hostup_session=").unwrap();
    assert!(secret.len() == 64 && !reply.body.to_string().contains(secret));
    (text(&reply.body, "id").to_owned(), secret.to_owned())
}

async fn with_cookie(world: &World, line: &str, cookie: &str, body: Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    world.send(line, &[("cookie", cookie.to_owned())], body).await
}

#[tokio::test]
async fn a_cookie_stands_for_its_key_until_it_ends() {
    let world = World::new().await;
    let (_, secret) = begin(&world, &world.key).await;
    make(&world, lab()).await;
    let line = format!("GET {NETWORKS}");
    for cookie in [
        format!("hostup_session={secret}"),
        format!("theme=dark; hostup_session={secret}; x=y"),
        format!("a;hostup_session={secret}"),
    ] {
        let reply = with_cookie(&world, &line, &cookie, Value::Null).await;
        assert_eq!((reply.status, reply.body["data"].as_array().map(Vec::len)), (200, Some(1)), "{cookie}");
    }
    let cookie = format!("hostup_session={secret}");
    let made = with_cookie(&world, &format!("POST {NETWORKS}"), &cookie, json!({"name": "den"})).await;
    assert_eq!(made.status, 201);
    world.pass_seconds(LASTS_S - 60);
    assert_eq!(with_cookie(&world, &line, &cookie, Value::Null).await.status, 200);
    world.pass_seconds(61);
    problem(&with_cookie(&world, &line, &cookie, Value::Null).await, 401, "unauthorized");
    assert_eq!(world.ok("GET /v1/sessions", Value::Null).await["items"], json!([]));
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM sessions").await, 1);
    begin(&world, &world.key).await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM sessions").await, 1, "what has ended is swept out");
}

#[tokio::test]
async fn a_cookie_that_is_not_one_opens_nothing() {
    let world = World::new().await;
    let (_, secret) = begin(&world, &world.key).await;
    let line = format!("GET {NETWORKS}");
    for cookie in [
        String::new(),
        secret.clone(),
        "hostup_session".to_owned(),
        "hostup_session=".to_owned(),
        "hostup_session=x".to_owned(),
        format!("hostup_session={}", "0".repeat(64)),
        format!("hostup_session={}", secret.to_uppercase()),
        format!("hostup_session={}", &secret[1..]),
        format!("hostup_session={secret}0"),
        format!("hostup_session={}", world.key),
        format!("Hostup_Session={secret}"),
        format!("session={secret}"),
    ] {
        problem(&with_cookie(&world, &line, &cookie, Value::Null).await, 401, "unauthorized");
    }
    // A wrong key is not made good by a right cookie, and a cookie is no key.
    for header in ["Bearer x".to_owned(), "Basic x".to_owned(), String::new(), format!("Bearer {secret}")] {
        let headers = [("authorization", header), ("cookie", format!("hostup_session={secret}"))];
        problem(&world.send(&line, &headers, "").await, 401, "unauthorized");
    }
    for line in ["GET /v1/machines", "POST /v1/sessions", "GET /v1/sessions"] {
        let reply = with_cookie(&world, line, &format!("hostup_session={secret}"), Value::Null).await;
        assert_eq!(reply.error().1, "UNAUTHORIZED", "{line}: the v1 API takes no cookies");
    }
    let cookie = format!("hostup_session={secret}");
    let session = with_cookie(&world, "GET /v1/auth/session", &cookie, Value::Null).await;
    assert_eq!(session.body, Value::Null);
}

#[tokio::test]
async fn a_cookie_can_do_what_its_key_can_and_ends_with_it() {
    let world = World::new().await;
    let reader = world.new_key(&world.team, "owner@example.com", json!(["read:network"])).await;
    let (id, secret) = begin(&world, &reader).await;
    let cookie = format!("hostup_session={secret}");
    let (read, write) = (format!("GET {NETWORKS}"), format!("POST {NETWORKS}"));
    assert_eq!(with_cookie(&world, &read, &cookie, Value::Null).await.status, 200);
    problem(&with_cookie(&world, &write, &cookie, lab()).await, 403, "forbidden");

    // Another key, even of the same user, neither sees nor ends it.
    assert_eq!(world.ok("GET /v1/sessions", Value::Null).await["items"], json!([]));
    let reply = world.call(&format!("DELETE /v1/sessions/{id}"), Value::Null).await;
    assert_eq!(reply.error(), (404, "NOT_FOUND", format!("there is no session {id}").as_str()));

    let listed = world.call_as(&reader, "GET /v1/sessions", Value::Null).await;
    assert_eq!(listed.body["items"][0]["id"], json!(id));
    let ended = world.call_as(&reader, &format!("DELETE /v1/sessions/{id}"), Value::Null).await;
    assert_eq!((ended.status, &ended.body["id"]), (200, &json!(id)));
    problem(&with_cookie(&world, &read, &cookie, Value::Null).await, 401, "unauthorized");

    let (_, secret) = begin(&world, &reader).await;
    let keys = world.admin("GET /admin/keys", Value::Null).await;
    let keys = keys.body.as_array().unwrap().clone();
    let key = keys.iter().find(|key| key["scopes"] == json!(["read:network"])).unwrap();
    let gone = world.admin(&format!("DELETE /admin/keys/{}", text(key, "id")), Value::Null).await;
    assert_eq!(gone.status, 200, "{}", gone.body);
    let cookie = format!("hostup_session={secret}");
    problem(&with_cookie(&world, &read, &cookie, Value::Null).await, 401, "unauthorized");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM sessions").await, 0);
}

#[tokio::test]
async fn a_key_has_at_most_100_sessions_in_pages() {
    let world = World::new().await;
    let (first, _) = begin(&world, &world.key).await;
    for _ in 1..100 {
        begin(&world, &world.key).await;
    }
    let refused = world.call("POST /v1/sessions", json!({})).await;
    assert_eq!((refused.error().0, refused.error().1), (412, "PRECONDITION_FAILED"));
    assert!(refused.error().2.contains("end one of them") && !refused.headers.contains_key("set-cookie"));
    let page = world.ok("GET /v1/sessions?limit=120&order=asc", Value::Null).await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["items"][0]["id"]), (100, &json!(first)));
    let page = world.ok("GET /v1/sessions?limit=60", Value::Null).await;
    let next = text(&page, "nextPage");
    let rest = world.ok(&format!("GET /v1/sessions?limit=60&after={next}"), Value::Null).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 40);
    world.ok(&format!("DELETE /v1/sessions/{first}"), Value::Null).await;
    begin(&world, &world.key).await;
}

#[tokio::test]
async fn a_session_lives_through_a_restart_and_its_secret_is_not_kept() {
    let mut world = World::new().await;
    let (_, secret) = begin(&world, &world.key).await;
    world.restart_server().await;
    let cookie = format!("hostup_session={secret}");
    let reply = with_cookie(&world, &format!("GET {NETWORKS}"), &cookie, Value::Null).await;
    assert_eq!(reply.status, 200);
    let kept = format!("SELECT COUNT(*) AS n FROM sessions WHERE hash = '{secret}'");
    assert_eq!(world.number(&kept).await, 0);
    let hashed = blake3::hash(secret.as_bytes()).to_hex();
    assert_eq!(world.number(&format!("SELECT COUNT(*) AS n FROM sessions WHERE hash = '{hashed}'")).await, 1);
}

#[tokio::test]
async fn a_cookie_is_for_tls_only_where_there_is_tls() {
    let tls = deckle_control::config::Tls { certificate: "c.pem".into(), key: "k.pem".into() };
    let config = deckle_control::config::Config { tls: Some(tls), ..Default::default() };
    let world = World::with(config, None).await;
    let reply = world.call("POST /v1/sessions", json!({})).await;
    assert!(reply.headers["set-cookie"].to_str().unwrap().ends_with("; Max-Age=43200; Secure"));
}
