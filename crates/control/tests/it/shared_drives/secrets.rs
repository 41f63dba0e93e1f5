//! A drive's password: safe to paste, sealed at rest.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{lab, path};
use crate::world::World;

#[tokio::test]
async fn a_password_lies_nowhere_in_clear() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let headers =
        [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "once".to_owned())];
    let rotated = world.send(&format!("POST {}/rotate-password", path(&drive)), &headers, "").await.body;
    world.settle().await;
    let name = drive["username"].as_str().unwrap();
    assert!(world.lies_in_clear(name).await, "the search finds what is there");
    for drive in [&drive, &rotated] {
        let password = drive["password"].as_str().unwrap();
        assert!(
            password.len() >= 24 && password.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{password}"
        );
        assert!(!world.lies_in_clear(password).await);
    }
}

#[tokio::test]
async fn every_drive_has_a_password_of_its_own() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let body = json!({"name": "data", "size": 1, "region": "ny2", "networkId": drive["networkId"]});
        let made = world.ok("POST /v1/shared-drives", body).await;
        assert!(seen.insert(made["password"].as_str().unwrap().to_owned()));
    }
    let listed = world.ok("GET /v1/shared-drives?limit=120", Value::Null).await;
    let listed: BTreeSet<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drive| drive["password"].as_str().unwrap().to_owned())
        .collect();
    assert!(seen.is_subset(&listed));
}
