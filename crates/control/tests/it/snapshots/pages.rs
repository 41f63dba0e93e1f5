//! Lists of snapshots, a page at a time.

use deckle_api::admin::Role;
use serde_json::{Value, json};

use super::taken;
use crate::world::World;

/// The names on all pages of a list, two at a time.
async fn pages(world: &World, query: &str) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let page = world.ok(&format!("GET /v1/snapshots?limit=2&{query}{after}"), Value::Null).await;
        let items = page["items"].as_array().unwrap().iter();
        names.extend(items.map(|item| item["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextPage"].as_str() else { return names };
        after = format!("&after={next}");
    }
}

#[tokio::test]
async fn they_come_by_age_and_by_name_of_all_machines_or_of_one() {
    let world = World::new().await;
    let (one, two) = (world.create(json!({})).await, world.create(json!({})).await);
    world.settle().await;
    for (machine, name) in [(&one, "b"), (&two, "d"), (&one, "a"), (&two, "c"), (&one, "e")] {
        taken(&world, machine, name).await;
    }
    assert_eq!(pages(&world, "").await.concat(), "ecadb");
    assert_eq!(pages(&world, "order=asc").await.concat(), "bdace");
    assert_eq!(pages(&world, "orderBy=name&order=asc").await.concat(), "abcde");
    assert_eq!(pages(&world, "orderBy=name").await.concat(), "edcba");
    assert_eq!(pages(&world, &format!("order=asc&machineId={one}")).await.concat(), "bae");
    assert_eq!(pages(&world, &format!("orderBy=name&machineId={two}")).await.concat(), "dc");
    assert_eq!(pages(&world, "machineId=ps1").await.concat(), "");
    if world.on_sqlite() {
        let plans = world.plans(&["snapshots", "LIMIT"]).await;
        assert!(plans.iter().all(|plan| !plan.contains("TEMP B-TREE")), "{plans:?}");
        assert!(plans.iter().any(|plan| plan.contains("snapshots_of_team_machine ")), "{plans:?}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    for name in ["a", "b"] {
        taken(&world, &id, name).await;
    }
    let page = world.ok("GET /v1/snapshots?limit=1", Value::Null).await;
    let next = page["nextPage"].as_str().unwrap();
    for query in [
        format!("limit=1&order=asc&after={next}"),
        format!("limit=1&machineId={id}&after={next}"),
        "after=x".to_owned(),
        "limit=0".to_owned(),
        "limit=121".to_owned(),
        "orderBy=machineId".to_owned(),
    ] {
        let reply = world.call(&format!("GET /v1/snapshots?{query}"), Value::Null).await;
        assert_eq!((reply.status, reply.error().1), (400, "BAD_REQUEST"), "{query}");
    }
}

#[tokio::test]
async fn members_see_what_administrators_order() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let good = taken(&world, &id, "good").await;
    let member = world.new_member("member@example.com", Role::Member).await;
    let list = world.call_as(&member, "GET /v1/snapshots", Value::Null).await;
    assert_eq!(list.body["items"][0]["id"], json!(good));
    let before = world.dump().await;
    let path = format!("/v1/snapshots/{good}");
    for (line, body, act) in [
        ("POST /v1/snapshots".to_owned(), json!({"name": "x", "machineId": id}), "create snapshots"),
        (format!("PUT {path}"), json!({"name": "x"}), "change snapshots"),
        (format!("POST {path}/restore"), json!({}), "restore snapshots"),
        (format!("DELETE {path}"), Value::Null, "delete snapshots"),
    ] {
        let reply = world.call_as(&member, &line, body.clone()).await;
        let (status, code, why) = reply.error();
        assert!((status, code) == (403, "FORBIDDEN") && why.contains(act), "{line}: {why}");
    }
    assert_eq!(world.dump().await, before);
    let admin = world.new_member("admin@example.com", Role::Admin).await;
    assert_eq!(world.call_as(&admin, &format!("POST {path}/restore"), json!({})).await.status, 200);
}
