//! The limits of keys, in both dialects.

use deckle_control::config::Config;
use serde_json::{Value, json};

use super::{NETWORKS, problem};
use crate::world::{Reply, World};

async fn limited(requests_s: u32, burst: u32) -> World {
    let mut config = Config::default();
    (config.limits.requests_s, config.limits.requests_burst) = (Some(requests_s), burst);
    World::with(config, None).await
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn standing(reply: &Reply) -> (&str, &str) {
    (header(reply, "x-ratelimit-limit"), header(reply, "x-ratelimit-remaining"))
}

#[tokio::test]
async fn the_second_dialect_tells_how_a_key_stands_and_refuses_what_is_too_much() {
    let world = limited(2, 4).await;
    let line = format!("GET {NETWORKS}");
    for remaining in ["3", "2", "1", "0"] {
        let reply = world.call(&line, Value::Null).await;
        assert_eq!((reply.status, standing(&reply)), (200, ("4", remaining)));
        let reset = header(&reply, "x-ratelimit-reset");
        let moment: deckle_api::Timestamp = reset.parse().unwrap();
        assert_eq!(moment.to_string(), reset, "an ISO time");
    }
    let reply = world.call(&line, Value::Null).await;
    assert!(problem(&reply, 429, "rate_limit_exceeded").contains("2 requests a second; try again in 1 s"));
    assert_eq!(reply.body["title"], "Too many requests");
    assert_eq!((standing(&reply), header(&reply, "retry-after")), (("4", "0"), "1"));
    for line in [format!("POST {NETWORKS}"), format!("GET {NETWORKS}/x"), "GET /api/v2/nothing".to_owned()] {
        let reply = world.call(&line, Value::Null).await;
        problem(&reply, 429, "rate_limit_exceeded");
        assert_eq!(standing(&reply), ("4", "0"), "{line}");
    }
    world.pass_seconds(1);
    let passed = world.call(&line, Value::Null).await;
    assert_eq!((passed.status, standing(&passed)), (200, ("4", "1")));
    world.pass_seconds(60);
    let rested = world.call(&format!("GET {NETWORKS}?limit=0"), Value::Null).await;
    assert_eq!((rested.status, standing(&rested)), (400, ("4", "3")), "refusals tell it too");
    let unknown = world.send(&line, &[], "").await;
    assert_eq!((unknown.status, standing(&unknown)), (401, ("", "")));
}

#[tokio::test]
async fn the_v1_api_refuses_in_its_own_shape() {
    let world = limited(1, 2).await;
    for _ in 0..2 {
        world.ok("GET /v1/machines", Value::Null).await;
    }
    let before = world.writes();
    for line in ["GET /v1/machines", "POST /v1/private-networks", "GET /v1/health", "GET /v1/nothing"] {
        let reply = world.call(line, json!({})).await;
        let message = "the key may make 1 requests a second; try again in 1 s";
        assert_eq!(reply.error(), (429, "TOO_MANY_REQUESTS", message), "{line}");
        let keys: Vec<_> = reply.body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["code", "message"]);
        assert_eq!(header(&reply, "retry-after"), "1");
    }
    assert_eq!(world.writes(), before);
    assert_eq!(world.send("GET /v1/health", &[], "").await.status, 200, "without a key nothing is counted");
    world.pass_seconds(1);
    world.ok("GET /v1/machines", Value::Null).await;
}

#[tokio::test]
async fn each_key_has_a_bucket_of_its_own_for_both_dialects() {
    let world = limited(1, 2).await;
    let other = world.new_key(&world.team, "owner@example.com", json!([])).await;
    world.ok("GET /v1/machines", Value::Null).await;
    world.ok(&format!("GET {NETWORKS}"), Value::Null).await;
    assert_eq!(world.call("GET /v1/machines", Value::Null).await.status, 429);
    assert_eq!(world.call_as(&other, "GET /v1/machines", Value::Null).await.status, 200);
    for _ in 0..10 {
        assert_eq!(
            world.admin("GET /admin/teams", Value::Null).await.status,
            200,
            "an operator has no limit"
        );
    }
}

#[tokio::test]
async fn a_kept_answer_counts_as_a_request() {
    let world = limited(1, 2).await;
    let headers =
        [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "once".to_owned())];
    let body = json!({"name": "lab", "region": "ny2"}).to_string();
    for status in [200, 200, 429] {
        assert_eq!(world.send("POST /v1/private-networks", &headers, body.clone()).await.status, status);
    }
}

#[tokio::test]
async fn zero_switches_the_limits_off() {
    let world = limited(0, 1).await;
    for _ in 0..50 {
        let reply = world.call(&format!("GET {NETWORKS}"), Value::Null).await;
        assert_eq!((reply.status, standing(&reply)), (200, ("", "")));
    }
}
