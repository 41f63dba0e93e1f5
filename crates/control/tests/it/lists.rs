//! Lists: page by page, each row once, whatever happens meanwhile.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Reply, World};

/// A page of a list.
async fn page(world: &World, path: &str, after: Option<&str>) -> (Vec<Value>, Option<String>) {
    let after = after.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
    let body = world.ok(&format!("GET /v1/{path}{after}"), Value::Null).await;
    let next = body.get("nextPage").map(|next| next.as_str().unwrap().to_owned());
    assert_eq!(body["hasMore"], json!(next.is_some()), "{path}");
    (body["items"].as_array().unwrap().clone(), next)
}

/// Every row of a list, by walking its pages.
async fn walk(world: &World, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let (items, next) = page(world, path, after.as_deref()).await;
        rows.extend(items);
        match next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}

fn texts(rows: &[Value], field: &str) -> Vec<String> {
    rows.iter().map(|row| row[field].as_str().unwrap().to_owned()).collect()
}

async fn script(world: &World, name: &str) -> String {
    let made = world.ok("POST /v1/startup-scripts", json!({"name": name, "script": "true"})).await;
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_walk_shows_each_row_once_while_rows_come_and_go() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..12 {
        ids.push(world.create(json!({"name": format!("m{n:02}"), "startOnCreate": false})).await.to_string());
    }
    world.settle().await;
    let (first, next) = page(&world, "machines?limit=4&orderBy=name&order=asc", None).await;
    assert_eq!(texts(&first, "name"), ["m00", "m01", "m02", "m03"]);
    for id in [&ids[1], &ids[3], &ids[4]] {
        world.ok(&format!("DELETE /v1/machines/{id}"), Value::Null).await;
    }
    world.create(json!({"name": "a new first one", "startOnCreate": false})).await;
    world.create(json!({"name": "m05b", "startOnCreate": false})).await;
    world.settle().await;
    let (second, next) = page(&world, "machines?limit=4&orderBy=name&order=asc", next.as_deref()).await;
    assert_eq!(texts(&second, "name"), ["m05", "m05b", "m06", "m07"]);
    let (third, next) = page(&world, "machines?limit=4&orderBy=name&order=asc", next.as_deref()).await;
    assert_eq!((texts(&third, "name"), next), (["m08", "m09", "m10", "m11"].map(str::to_owned).into(), None));
}

#[tokio::test]
async fn lists_are_ordered_by_each_key_and_ties_by_id() {
    let world = World::new().await;
    for (name, start) in [("b", true), ("a", false), ("c", true), ("b", false), ("B", true)] {
        world.create(json!({"name": name, "startOnCreate": start})).await;
    }
    world.settle().await;
    for (key, field) in [("name", "name"), ("state", "state"), ("dtCreated", "dtCreated")] {
        let up = walk(&world, &format!("machines?limit=2&orderBy={key}&order=asc")).await;
        let mut sorted = up.clone();
        sorted.sort_by_key(|row| (row[field].to_string(), row["id"].to_string()));
        if key != "dtCreated" {
            assert_eq!(texts(&up, "id"), texts(&sorted, "id"), "{key}");
        }
        assert_eq!(up.len(), 5);
        let mut down = walk(&world, &format!("machines?limit=2&orderBy={key}")).await;
        down.reverse();
        assert_eq!(texts(&up, "id"), texts(&down, "id"), "{key}");
    }
}

#[tokio::test]
async fn filters_go_together_with_every_order() {
    let world = World::new().await;
    for (region, kind) in [("ny2", "C2"), ("ca1", "C2"), ("ny2", "C1"), ("ny2", "C2"), ("ams1", "C3")] {
        world
            .create(json!({"region": region, "machineType": kind, "name": format!("{region} {kind}")}))
            .await;
    }
    world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ca1"})).await;
    let count = async |query: &str| {
        let mut counts = BTreeSet::new();
        for order in ["", "&orderBy=name", "&orderBy=state&order=asc"] {
            counts.insert(walk(&world, &format!("machines?limit=1{query}{order}")).await.len());
        }
        assert_eq!(counts.len(), 1, "{query}");
        counts.pop_first().unwrap()
    };
    assert_eq!(count("&region=ny2").await, 3);
    assert_eq!(count("&region=East%20Coast%20(NY2)&machineType=c2").await, 2);
    assert_eq!(count("&region=ny2&machineType=C2&agentType=LinuxHeadless&name=NY2").await, 2);
    assert_eq!(count("&agentType=WindowsDesktop").await, 0);
    assert_eq!(count("&machineType=C99").await, 0);
    assert_eq!(count("&region=mars").await, 0);
    assert_eq!(walk(&world, "private-networks?region=CA1&orderBy=name").await.len(), 1);
    assert_eq!(walk(&world, "private-networks?region=ny2").await.len(), 0);
}

#[tokio::test]
async fn a_name_is_found_by_any_part_in_any_case() {
    let world = World::new().await;
    for name in ["Build box", "BUILDER", "Ölmühle", "100%", "a_b", "axb"] {
        script(&world, name).await;
    }
    let found = async |part: &str| {
        texts(&walk(&world, &format!("startup-scripts?limit=1&order=asc&name={part}")).await, "name")
    };
    assert_eq!(found("build").await, ["Build box", "BUILDER"]);
    assert_eq!(found("D%20b").await, ["Build box"]);
    assert_eq!(found("%C3%96LM%C3%9C").await, ["Ölmühle"]);
    assert_eq!(found("%25").await, ["100%"]);
    assert_eq!(found("_").await, ["a_b"]);
    assert_eq!(found("nothing").await, Vec::<String>::new());
    assert_eq!(found("").await.len(), 6);
    assert_eq!(walk(&world, "os-templates?name=UBUNTU").await.len(), 1);
    assert_eq!(walk(&world, "os-templates?name=windows").await.len(), 0);
}

#[tokio::test]
async fn a_cursor_that_is_not_this_lists_is_refused() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        script(&world, name).await;
        world.ok("POST /v1/private-networks", json!({"name": name, "region": "ny2"})).await;
    }
    let (_, cursor) = page(&world, "startup-scripts?limit=1", None).await;
    let cursor = cursor.unwrap();
    let (_, networks) = page(&world, "private-networks?limit=1", None).await;
    let refused = |reply: Reply, what: &str| {
        assert_eq!((reply.status, &reply.error().2[..7]), (400, "after: "), "{what}");
    };
    let swapped = format!("{}{}", &cursor[4..8], &cursor[..4]) + &cursor[8..];
    for wrong in
        ["", "x", &cursor[1..], &cursor[..cursor.len() - 1], &swapped, &networks.unwrap(), &"A".repeat(5000)]
    {
        refused(
            world.call(&format!("GET /v1/startup-scripts?limit=1&after={wrong}"), Value::Null).await,
            wrong,
        );
    }
    for changed in ["order=asc", "orderBy=name", "name=a"] {
        refused(
            world.call(&format!("GET /v1/startup-scripts?{changed}&after={cursor}"), Value::Null).await,
            changed,
        );
    }
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    refused(
        world.call_as(&key, &format!("GET /v1/startup-scripts?after={cursor}"), Value::Null).await,
        "team",
    );
    assert_eq!(
        world.ok(&format!("GET /v1/startup-scripts?limit=120&after={cursor}"), Value::Null).await["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_limit_is_a_number_from_1_to_120() {
    let world = World::new().await;
    for _ in 0..26 {
        script(&world, "one of many").await;
    }
    for (limit, rows) in [("", 25), ("limit=1", 1), ("limit=26", 26), ("limit=120", 26)] {
        assert_eq!(page(&world, &format!("startup-scripts?{limit}"), None).await.0.len(), rows, "{limit}");
    }
    for limit in ["0", "121", "x", "-1", "1.5", "", "1e1"] {
        let reply = world.call(&format!("GET /v1/startup-scripts?limit={limit}"), Value::Null).await;
        assert_eq!((reply.status, reply.error().1), (400, "BAD_REQUEST"), "{limit}");
        assert!(reply.error().2.contains("a whole number from 1 to 120"), "{}", reply.body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn pages_are_the_sorted_rows_cut(
        names in prop::collection::vec("[abAB ]{0,2}x", 0..14),
        limit in 1usize..6,
        part in prop::option::of("[abx]"),
        ascending: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let mut model = Vec::new();
            for name in &names {
                model.push((name.clone(), script(&world, name).await));
            }
            model.retain(|(name, _)| part.as_ref().is_none_or(|part| name.to_lowercase().contains(part)));
            model.sort();
            let mut query = format!("startup-scripts?limit={limit}&orderBy=name&order=asc");
            if !ascending {
                model.reverse();
                query = query.replace("asc", "desc");
            }
            query.extend(part.iter().map(|part| format!("&name={part}")));
            let ids: Vec<_> = model.into_iter().map(|(_, id)| id).collect();
            assert_eq!(texts(&walk(&world, &query).await, "id"), ids);
        });
    }
}
