//! The /21s that networks own: given ones, and those of the pool.

use deckle_control::config::Config;
use serde_json::{Value, json};

use super::{NETWORKS, make, problem, text};
use crate::world::World;

async fn given(world: &World, range: &str) -> crate::world::Reply {
    world.call(&format!("POST {NETWORKS}"), json!({"name": "given", "parentCidr": range})).await
}

#[tokio::test]
async fn a_given_range_is_a_private_canonical_21() {
    let mut config = Config::default();
    config.linux.uplinks = "10.96.0.0/16".parse().unwrap();
    let world = World::with(config, None).await;
    let before = world.dump().await;
    for (range, told) in [
        ("", "expected an IPv4 range"),
        ("x", "expected an IPv4 range"),
        ("10.42.0.0", "expected an IPv4 range"),
        ("10.42.0.0/", "expected an IPv4 range"),
        ("10.42.0.0/33", "expected an IPv4 range"),
        ("010.42.0.0/21", "expected an IPv4 range"),
        (" 10.42.0.0/21", "expected an IPv4 range"),
        ("fd00::/21", "expected an IPv4 range"),
        ("10.42.0.0/24", "its length is /21"),
        ("10.42.0.0/20", "its length is /21"),
        ("10.0.0.0/8", "its length is /21"),
        ("0.0.0.0/0", "its length is /21"),
        ("10.42.1.0/21", "expected the first address of the /21: 10.42.0.0/21"),
        ("10.42.0.1/21", "expected the first address of the /21: 10.42.0.0/21"),
        ("8.8.8.0/21", "expected a private range"),
        ("172.15.248.0/21", "expected a private range"),
        ("172.32.0.0/21", "expected a private range"),
        ("192.167.248.0/21", "expected a private range"),
        ("100.64.0.0/21", "expected a private range"),
        ("127.0.0.0/21", "expected a private range"),
        ("169.254.0.0/21", "expected a private range"),
        ("224.0.0.0/21", "expected a private range"),
        ("10.96.8.0/21", "the server keeps 10.96.0.0/16 for itself"),
    ] {
        let reply = given(&world, range).await;
        let detail = problem(&reply, 400, "invalid_request");
        assert!(detail.starts_with("parentCidr: ") && detail.contains(told), "{range}: {detail}");
        assert_eq!(reply.body["errors"][0]["pointer"], "/parentCidr");
    }
    assert_eq!(world.dump().await, before);
    for range in ["10.0.0.0/21", "10.255.248.0/21", "172.16.0.0/21", "172.31.248.0/21", "192.168.248.0/21"] {
        let reply = given(&world, range).await;
        assert_eq!((reply.status, &reply.body["parentCidr"]), (201, &json!(range)), "{}", reply.body);
        let subnet = &reply.body["subnets"][0];
        assert_eq!(text(subnet, "subnetCidr"), range.replace("/21", "/24"));
    }
    world.settle().await;
    assert!(world.host.dump().contains("192.168.248.0/24"), "{}", world.host.dump());
}

#[tokio::test]
async fn two_networks_of_a_team_never_overlap() {
    let world = World::new().await;
    let pooled = make(&world, json!({"name": "pooled"})).await;
    assert_eq!(pooled["parentCidr"], "10.64.0.0/21");
    let first = make(&world, json!({"name": "x", "parentCidr": "10.42.0.0/21"})).await;
    let before = world.dump().await;
    for range in ["10.42.0.0/21", "10.64.0.0/21"] {
        let told = problem(&given(&world, range).await, 409, "private_network_overlap").to_owned();
        assert!(told.contains(&format!("another network of the team has {range}")), "{told}");
    }
    assert_eq!(world.dump().await, before);
    let id = text(&first, "id");
    assert_eq!(world.call(&format!("DELETE {NETWORKS}/{id}"), Value::Null).await.status, 204);
    assert_eq!(given(&world, "10.42.0.0/21").await.status, 201, "a deleted network's range is free again");
}

#[tokio::test]
async fn a_given_range_takes_no_slot_of_the_pool_and_is_passed_over() {
    let config = Config { private_pool: "10.64.0.0/18".parse().unwrap(), ..Config::default() };
    let world = World::with(config, None).await;
    let range = |number: usize| format!("10.64.{}.0/21", number * 8);
    for number in [0, 1, 3] {
        assert_eq!(given(&world, &range(number)).await.status, 201);
    }
    let slots = "SELECT COUNT(*) AS n FROM network_slots WHERE network_id IS NOT NULL";
    assert_eq!(world.number(slots).await, 0);
    let next = async || {
        let made = world.ok("POST /v1/private-networks", json!({"name": "x", "region": "ny2"})).await;
        format!("{}/21", text(&made, "network"))
    };
    assert_eq!(next().await, range(2));
    for number in 4..8 {
        assert_eq!(next().await, range(number));
    }
    let full = world.call(&format!("POST {NETWORKS}"), json!({"name": "one more"})).await;
    assert!(problem(&full, 409, "conflict").contains("of the pool 10.64.0.0/18 are in use"));

    // Another team has the pool's first ranges: nobody of its own has them.
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let body = json!({"name": "x", "region": "ny2"});
    let theirs = world.call_as(&key, "POST /v1/private-networks", body).await;
    assert_eq!(text(&theirs.body, "network"), "10.64.0.0");
}

#[tokio::test]
async fn the_pool_is_looked_through_past_many_given_ranges() {
    let world = World::new().await;
    for number in 0..40 {
        let range =
            format!("10.64.{}.0/21", number * 8 % 256).replace("10.64", &format!("10.{}", 64 + number / 32));
        assert_eq!(given(&world, &range).await.status, 201, "{range}");
    }
    let made = world.ok("POST /v1/private-networks", json!({"name": "x", "region": "ny2"})).await;
    assert_eq!(text(&made, "network"), "10.65.64.0");
}
