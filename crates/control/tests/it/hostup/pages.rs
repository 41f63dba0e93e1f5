//! Pages of the second dialect: each row once, whatever happens meanwhile.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{NETWORKS, items, make, problem, text};
use crate::world::World;

/// A page: its rows' names, and the cursor of the next one.
async fn page(world: &World, query: &str, cursor: Option<&str>) -> (Vec<String>, Option<String>) {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let page = world.ok(&format!("GET {NETWORKS}?{query}{cursor}"), Value::Null).await;
    let next = page["nextCursor"].as_str().map(str::to_owned);
    assert_eq!(page["hasMore"], json!(next.is_some()));
    (page["data"].as_array().unwrap().iter().map(|row| text(row, "name").to_owned()).collect(), next)
}

#[tokio::test]
async fn a_walk_shows_each_network_once_while_networks_come_and_go() {
    let world = World::new().await;
    let mut made = Vec::new();
    for number in 0..10 {
        made.push(make(&world, json!({"name": format!("n{number}")})).await);
    }
    let (first, next) = page(&world, "limit=3", None).await;
    assert_eq!(first, ["n9", "n8", "n7"]);
    for gone in [9, 7, 6] {
        let id = text(&made[gone], "id");
        assert_eq!(world.call(&format!("DELETE {NETWORKS}/{id}"), Value::Null).await.status, 204);
    }
    make(&world, json!({"name": "the newest"})).await;
    let (second, next) = page(&world, "limit=3", next.as_deref()).await;
    assert_eq!(second, ["n5", "n4", "n3"]);
    let (third, next) = page(&world, "limit=100", next.as_deref()).await;
    assert_eq!((third, next), (["n2", "n1", "n0"].map(str::to_owned).into(), None));
}

#[tokio::test]
async fn rows_of_one_moment_are_ordered_by_id() {
    let world = World::new().await;
    for number in 0..7 {
        make(&world, json!({"name": format!("n{number}")})).await;
    }
    world.run("UPDATE private_networks SET dt_created = 1700000000000000").await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let (rows, next) = page(&world, "limit=2", after.as_deref()).await;
        seen.extend(rows);
        after = next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|number| format!("n{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_has_at_most_100_rows_and_20_when_nothing_is_said() {
    let world = World::new().await;
    for number in 0..102 {
        make(&world, json!({"name": format!("n{number}")})).await;
    }
    for (query, rows) in [
        ("", 20),
        ("limit=1", 1),
        ("limit=100", 100),
        ("limit=101", 100),
        ("limit=1000", 100),
        ("cursor=", 20),
    ] {
        assert_eq!(items(&world, query).await.len(), rows, "{query}");
    }
    for limit in ["0", "-1", "1.5", "", "x", "1e1", "%00", "+7"] {
        let reply = world.call(&format!("GET {NETWORKS}?limit={limit}"), Value::Null).await;
        assert!(problem(&reply, 400, "invalid_request").starts_with("limit: expected"), "{limit}");
        assert_eq!(reply.body["errors"][0]["pointer"], "/limit");
    }
}

#[tokio::test]
async fn a_page_is_read_in_as_many_queries_whatever_is_on_it() {
    let world = World::new().await;
    super::set_quota(&world, 20).await;
    let reads = async |rows: usize| {
        let before = world.reads();
        assert_eq!(items(&world, "limit=20").await.len(), rows);
        world.reads() - before
    };
    make(&world, json!({"name": "n0", "region": "ny2"})).await;
    let one = reads(1).await;
    for number in 1..20 {
        let name = format!("n{number}x");
        make(&world, json!({"name": name, "region": "ny2"})).await;
        let network = super::v1_id(&world, &name).await;
        world.create(json!({"networkId": network, "startOnCreate": false})).await;
    }
    assert_eq!(reads(20).await, one);
    let counted = items(&world, "limit=19").await;
    assert!(counted.iter().all(|row| row["attachedVpsCount"] == 1), "{counted:?}");
}

#[tokio::test]
async fn a_region_is_compared_exactly() {
    let world = World::new().await;
    for region in ["ny2", "ca1", "ny2"] {
        make(&world, json!({"name": region, "region": region})).await;
    }
    for (region, rows) in [
        ("ny2", 2),
        ("ca1", 1),
        ("ams1", 0),
        ("mars", 0),
        ("", 0),
        ("NY2", 0),
        ("East%20(ny2)", 0),
        ("ny2%20", 0),
    ] {
        assert_eq!(items(&world, &format!("region={region}")).await.len(), rows, "{region}");
    }
    assert_eq!(items(&world, "unknown=1&unknown=2").await.len(), 3);
    let zero = world.call(&format!("GET {NETWORKS}?region=a%00"), Value::Null).await;
    assert_eq!(zero.body["errors"][0]["pointer"], "/region");
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_team_and_region() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        make(&world, json!({"name": name, "region": "ny2"})).await;
        world.ok("POST /v1/startup-scripts", json!({"name": name, "script": "true"})).await;
    }
    let (_, plain) = page(&world, "limit=1", None).await;
    let (_, of_region) = page(&world, "limit=1&region=ny2", None).await;
    let (plain, of_region) = (plain.unwrap(), of_region.unwrap());
    let other_list = world.ok("GET /v1/startup-scripts?limit=1", Value::Null).await;
    let same_rows = world.ok("GET /v1/private-networks?limit=1", Value::Null).await;
    let swapped = format!("{}{}{}", &plain[4..8], &plain[..4], &plain[8..]);
    let refused = async |query: String| {
        let reply = world.call(&format!("GET {NETWORKS}?{query}"), Value::Null).await;
        problem(&reply, 400, "invalid_cursor");
        assert_eq!(reply.body["title"], "Validation failed");
    };
    let wrong = [
        "x",
        "eyJvZmZzZXQiOjIwfQ",
        &plain[1..],
        &plain[..plain.len() - 1],
        &swapped,
        &plain.to_uppercase(),
        text(&other_list, "nextPage"),
        text(&same_rows, "nextPage"),
        &of_region,
        &"A".repeat(9000),
    ];
    for cursor in wrong {
        refused(format!("limit=1&cursor={cursor}")).await;
    }
    refused(format!("region=ca1&cursor={of_region}")).await;
    refused(format!("region=ny2&cursor={plain}")).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let reply = world.call_as(&key, &format!("GET {NETWORKS}?cursor={plain}"), Value::Null).await;
    problem(&reply, 400, "invalid_cursor");
    assert_eq!(page(&world, "limit=2", Some(&plain)).await.0, ["b", "a"], "another limit is no other list");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    #[test]
    fn pages_are_the_sorted_rows_cut(
        steps in prop::collection::vec((0u8..4, 0usize..16), 1..24),
        limit in 1usize..5,
        region in prop::option::of(0usize..2),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            // The model: what is there, the oldest first.
            let mut model: Vec<(String, String, &str)> = Vec::new();
            for (number, (kind, place)) in steps.into_iter().enumerate() {
                if kind == 0 && !model.is_empty() {
                    let (_, id, _) = model.remove(place % model.len());
                    let reply = world.call(&format!("DELETE {NETWORKS}/{id}"), Value::Null).await;
                    assert_eq!(reply.status, 204);
                    continue;
                }
                let region = ["ny2", "ca1"][place % 2];
                let name = format!("n{number}");
                let made = make(&world, json!({"name": name, "region": region})).await;
                model.push((name, text(&made, "id").to_owned(), region));
            }
            let region = region.map(|region| ["ny2", "ca1"][region]);
            let expected: Vec<String> = model
                .iter()
                .rev()
                .filter(|(_, _, there)| region.is_none_or(|region| region == *there))
                .map(|(name, _, _)| name.clone())
                .collect();
            let filter = region.map(|region| format!("&region={region}")).unwrap_or_default();
            let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let (rows, next) = page(&world, &format!("limit={limit}{filter}"), after.as_deref()).await;
                assert!(rows.len() == limit || next.is_none());
                seen.extend(rows);
                pages += 1;
                after = next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected);
            assert_eq!(pages, expected.len().div_ceil(limit).max(1));
        });
    }
}
