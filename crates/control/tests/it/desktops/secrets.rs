//! A desktop's password: told to who asks, and nowhere else.

use serde_json::Value;

use super::{ask, desk, order, password, studio};
use crate::world::{World, machine};
use serde_json::json;

#[tokio::test]
async fn a_password_lies_nowhere_in_clear() {
    let world = studio().await;
    let headers = [
        ("authorization", format!("Bearer {}", world.key)),
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", "once".to_owned()),
    ];
    let wanted = machine(json!({"templateId": "tdesk", "name": "easel"})).to_string();
    let made = world.send("POST /v1/machines", &headers, wanted.clone()).await;
    world.settle().await;
    let id = serde_json::from_value(made.body["data"]["id"].clone()).unwrap();
    let first = password(&world, &id).await;
    let again = world.send("POST /v1/machines", &headers, wanted).await;
    assert_eq!(again.body["data"]["id"], made.body["data"]["id"]);
    order(&world, "restart", &id).await;
    world.settle().await;
    let second = password(&world, &id).await;
    assert!(world.lies_in_clear("easel").await, "the search finds what is there");
    let told = everything(&world).await + &again.body.to_string();
    assert!(told.contains("easel"), "{told}");
    for password in [&first, &second] {
        assert!(!world.lies_in_clear(password).await);
        assert!(!told.contains(password.as_str()), "{told}");
        assert!(!format!("{:?}", world.host.booted(&id)).contains(password.as_str()));
    }
}

/// All that is told of a machine but its desktop.
async fn everything(world: &World) -> String {
    let mut told = String::new();
    for path in ["machines", "machine-events", "os-templates"] {
        told += &world.ok(&format!("GET /v1/{path}"), Value::Null).await.to_string();
    }
    told
}

/// A password is sealed for its machine and its boot: another's does not open.
#[tokio::test]
async fn a_password_that_does_not_open_is_told_so_and_the_next_boot_has_another() {
    let world = studio().await;
    let (one, other) = (desk(&world).await, desk(&world).await);
    let before = password(&world, &one).await;
    let swap = format!(
        "UPDATE machines SET desktop_password = (SELECT desktop_password FROM machines WHERE id = '{other}') \
         WHERE id = '{one}'"
    );
    world.run(&swap).await;
    let reply = ask(&world, &one).await;
    assert_eq!((reply.status, reply.error().1), (412, "PRECONDITION_FAILED"));
    let told = "does not open: it was sealed under another key, or changed; restart";
    assert!(reply.error().2.contains(told), "{}", reply.body);
    world.drift().await;
    assert_eq!(world.state(&one).await.0, "ready", "the machine is none the worse");
    order(&world, "restart", &one).await;
    world.settle().await;
    assert_ne!(password(&world, &one).await, before);
    password(&world, &other).await;
}

#[tokio::test]
async fn a_password_of_another_boot_is_not_told() {
    let world = studio().await;
    let id = desk(&world).await;
    let before = password(&world, &id).await;
    // As a database that was restored from a copy says it.
    world.run(&format!("UPDATE machines SET desktop_boot = 7 WHERE id = '{id}'")).await;
    let told = format!("the password of the desktop of {id} is not known; restart {id} to get a new one");
    assert_eq!(ask(&world, &id).await.error(), (412, "PRECONDITION_FAILED", told.as_str()));
    world.drift().await;
    assert_eq!(ask(&world, &id).await.error().2, told);
    assert_eq!(
        world.number("SELECT COUNT(*) AS n FROM machines WHERE desktop_password IS NOT NULL").await,
        0
    );
    order(&world, "restart", &id).await;
    world.settle().await;
    assert_ne!(password(&world, &id).await, before);
}
