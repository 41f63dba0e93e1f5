//! Requests that are safe to send again.

use serde_json::{Value, json};

use crate::world::{Reply, World, machine};

async fn post(world: &World, api_key: &str, key: &str, path: &str, body: &Value) -> Reply {
    let headers = [("authorization", format!("Bearer {api_key}")), ("idempotency-key", key.to_owned())];
    world.send(&format!("POST /v1/{path}"), &headers, body.to_string()).await
}

async fn machines(world: &World) -> usize {
    world.ok("GET /v1/machines", Value::Null).await["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_first_answer_is_given_again_for_a_day() {
    let mut world = World::new().await;
    let body = machine(json!({}));
    let key = world.key.clone();
    let first = post(&world, &key, "a", "machines", &body).await;
    assert_eq!(first.status, 200);
    world.settle().await;
    assert_eq!(post(&world, &key, "a", "machines", &body).await.body, first.body);
    world.restart_server().await;
    assert_eq!(post(&world, &key, "a", "machines/", &body).await.body, first.body);
    world.pass_seconds(23 * 3600);
    assert_eq!(post(&world, &key, "a", "machines", &body).await.body, first.body);
    assert_eq!(machines(&world).await, 1);
    world.pass_seconds(2 * 3600);
    let later = post(&world, &key, "a", "machines", &body).await;
    assert_ne!(later.body["data"]["id"], first.body["data"]["id"]);
    assert_eq!(machines(&world).await, 2);
}

#[tokio::test]
async fn another_body_is_a_conflict() {
    let world = World::new().await;
    post(&world, &world.key, "a", "machines", &machine(json!({}))).await;
    let before = world.dump().await;
    let reply = post(&world, &world.key, "a", "machines", &machine(json!({"name": "other"}))).await;
    assert_eq!((reply.error().0, reply.error().1), (409, "CONFLICT"));
    assert!(reply.error().2.contains("`a` was sent with another body"), "{}", reply.body);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn what_failed_may_be_tried_again_with_the_same_key() {
    let world = World::new().await;
    for wrong in [machine(json!({"region": "mars"})), machine(json!({"templateId": "t0"})), json!([])] {
        assert!(post(&world, &world.key, "a", "machines", &wrong).await.status >= 400);
    }
    assert_eq!(post(&world, &world.key, "a", "machines", &machine(json!({}))).await.status, 200);
    assert_eq!(machines(&world).await, 1);
}

#[tokio::test]
async fn a_key_belongs_to_an_api_key_and_a_path() {
    let world = World::new().await;
    let second = world.new_key(&world.team, "owner@example.com", json!([])).await;
    let body = machine(json!({}));
    post(&world, &world.key, "a", "machines", &body).await;
    post(&world, &second, "a", "machines", &body).await;
    assert_eq!(machines(&world).await, 2);
    let network = json!({"name": "lab", "region": "ny2"});
    assert_eq!(post(&world, &world.key, "a", "private-networks", &network).await.status, 200);
    let nobody = post(&world, &"0".repeat(64), "a", "machines", &body).await;
    assert_eq!(nobody.status, 401);
}

#[tokio::test]
async fn two_at_once_make_one() {
    let world = World::new().await;
    let body = machine(json!({}));
    let post = || post(&world, &world.key, "a", "machines", &body);
    let replies: [Reply; 4] = tokio::join!(post(), post(), post(), post()).into();
    let made: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert!(!made.is_empty());
    assert!(made.iter().all(|reply| reply.body == made[0].body));
    assert!(replies.iter().all(|reply| [200, 409].contains(&reply.status)));
    assert_eq!(machines(&world).await, 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::new().await;
    for key in [String::new(), "x".repeat(256)] {
        let reply = post(&world, &world.key, &key, "machines", &machine(json!({}))).await;
        assert_eq!((reply.status, &reply.error().2[..16]), (400, "Idempotency-Key:"));
    }
    assert_eq!(machines(&world).await, 0);
    let get = [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "a".to_owned())];
    assert_eq!(world.send("GET /v1/machines", &get, "").await.status, 200);
}
