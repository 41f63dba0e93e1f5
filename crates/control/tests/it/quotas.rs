//! What a team may have at most.

use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::{Reply, World, machine};

async fn limit(world: &World, limits: Value) -> Value {
    let reply =
        world.admin(&format!("POST /admin/teams/{}/limits", world.team.id), json!({"limits": limits})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body["limits"].clone()
}

fn told(reply: &Reply) -> &str {
    assert_eq!(reply.error().1, "PRECONDITION_FAILED", "{}", reply.body);
    reply.error().2
}

#[tokio::test]
async fn each_noun_has_its_limit_and_its_error() {
    let world = World::new().await;
    let cases = [
        ("machines", "machines", machine(json!({"startOnCreate": false}))),
        ("private-networks", "private-networks", json!({"name": "lab", "region": "ny2"})),
        ("public-ips", "public-ips", json!({"region": "ny2"})),
        ("gpus/A4000", "machines", machine(json!({"machineType": "A4000", "startOnCreate": false}))),
    ];
    for (noun, path, body) in cases {
        assert_eq!(limit(&world, json!({noun: 2})).await, json!([{"noun": noun, "most": 2, "inUse": 0}]));
        for _ in 0..2 {
            world.ok(&format!("POST /v1/{path}"), body.clone()).await;
        }
        world.settle().await;
        let before = world.number("SELECT COUNT(*) AS n FROM machines").await;
        let reply = world.call(&format!("POST /v1/{path}"), body.clone()).await;
        let expected = format!("{noun}: limit 2, in use 2; delete one, or ask the operator for more");
        assert_eq!(told(&reply), expected);
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM machines").await, before);
        assert_eq!(limit(&world, json!({noun: 1})).await[0], json!({"noun": noun, "most": 1, "inUse": 2}));
        assert_eq!(limit(&world, json!({noun: null})).await, json!([]));
        world.ok(&format!("POST /v1/{path}"), body).await;
        world.settle().await;
        let machines = world.ok("GET /v1/machines", Value::Null).await;
        for made in machines["items"].as_array().unwrap() {
            order(&world, "delete", &made["id"].as_str().unwrap().parse().unwrap()).await;
        }
        world.settle().await;
    }
}

#[tokio::test]
async fn drives_are_limited_by_number_and_by_size_as_they_are_made_and_grow() {
    let world = World::new().await;
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    let line = "POST /v1/shared-drives";
    let drive =
        |size: u64| json!({"name": "files", "size": size, "region": "ny2", "networkId": network["id"]});
    assert_eq!(
        limit(&world, json!({"shared-drives": 2})).await,
        json!([{"noun": "shared-drives", "most": 2, "inUse": 0}])
    );
    let first = world.ok(line, drive(1)).await;
    let second = world.ok(line, drive(1)).await;
    let full = "shared-drives: limit 2, in use 2; delete one, or ask the operator for more";
    assert_eq!(told(&world.call(line, drive(1)).await), full);
    world.ok(&format!("DELETE /v1/shared-drives/{}", second["id"].as_str().unwrap()), Value::Null).await;
    world.ok(line, drive(2)).await;
    assert_eq!(told(&world.call(line, drive(1)).await), full);

    let gb = json!({"shared-drives": null, "shared-drives-gb": 10});
    assert_eq!(limit(&world, gb).await, json!([{"noun": "shared-drives-gb", "most": 10, "inUse": 3}]));
    let before = world.dump().await;
    let left = "delete one, or ask the operator for more";
    let told_of = |asked: &str| format!("shared-drives-gb: limit 10, {asked}; {left}");
    assert_eq!(told(&world.call(line, drive(8)).await), told_of("in use 3, 8 more asked for"));
    let resize = format!("POST /v1/shared-drives/{}/resize", first["id"].as_str().unwrap());
    let reply = world.call(&resize, json!({"size": 9})).await;
    assert_eq!(told(&reply), told_of("in use 3, 8 more asked for"));
    assert_eq!(world.dump().await, before);
    world.ok(&resize, json!({"size": 4})).await;
    world.ok(line, drive(4)).await;
    assert_eq!(told(&world.call(line, drive(1)).await), told_of("in use 10"));
    assert_eq!(told(&world.call(&resize, json!({"size": 5})).await), told_of("in use 10"));
    world.ok(&resize, json!({"size": 4})).await;
}

#[tokio::test]
async fn gpus_are_counted_by_model_and_machines_count_while_they_exist() {
    let world = World::new().await;
    let of = |kind: &str| machine(json!({"machineType": kind, "startOnCreate": false}));
    limit(&world, json!({"gpus/a4000": 3})).await;
    world.ok("POST /v1/machines", of("A4000x2")).await;
    let reply = world.call("POST /v1/machines", of("A4000x2")).await;
    assert!(told(&reply).starts_with("gpus/A4000: limit 3, in use 2, 2 more asked for"), "{}", reply.body);
    let one = world.ok("POST /v1/machines", of("A4000")).await;
    world.ok("POST /v1/machines", of("A6000")).await;
    world.settle().await;
    order(&world, "delete", &one["data"]["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(told(&world.call("POST /v1/machines", of("A4000")).await).matches("in use 3").count(), 1);
    world.settle().await;
    world.ok("POST /v1/machines", of("A4000")).await;
}

#[tokio::test]
async fn an_address_of_a_machine_counts_as_any_other() {
    let world = World::new().await;
    limit(&world, json!({"public-ips": 1})).await;
    let id = world.create(json!({"publicIpType": "static"})).await;
    let other = world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    let before = world.dump().await;
    let full = "public-ips: limit 1, in use 1; delete one, or ask the operator for more";
    let reply = world.call("POST /v1/machines", machine(json!({"publicIpType": "static"}))).await;
    assert_eq!(told(&reply), format!("publicIpType: {full}"));
    let reply = world.call(&format!("PUT /v1/machines/{other}"), json!({"publicIpType": "static"})).await;
    assert_eq!(told(&reply), format!("publicIpType: {full}"));
    assert_eq!(told(&world.call("POST /v1/public-ips", json!({"region": "ca1"})).await), full);
    assert_eq!(world.dump().await, before);
    world.ok(&format!("PUT /v1/machines/{id}"), json!({"publicIpType": "static"})).await;
}

#[tokio::test]
async fn of_two_requests_at_the_limit_exactly_one_wins() {
    for (noun, path, mut body) in [
        ("machines", "machines", machine(json!({"startOnCreate": false}))),
        ("private-networks", "private-networks", json!({"name": "lab", "region": "ny2"})),
        ("public-ips", "public-ips", json!({"region": "ny2"})),
        ("shared-drives", "shared-drives", json!({"name": "files", "region": "ny2", "size": 1})),
        ("shared-drives-gb", "shared-drives", json!({"name": "files", "region": "ny2", "size": 1})),
    ] {
        let world = World::new().await;
        if path == "shared-drives" {
            let network = json!({"name": "lab", "region": "ny2"});
            body["networkId"] = world.ok("POST /v1/private-networks", network).await["id"].clone();
        }
        limit(&world, json!({noun: 1})).await;
        let line = format!("POST /v1/{path}");
        let (one, other, third) = tokio::join!(
            world.call(&line, body.clone()),
            world.call(&line, body.clone()),
            world.call(&line, body)
        );
        let mut statuses = [one.status, other.status, third.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412], "{noun}");
    }
}

#[tokio::test]
async fn a_limit_is_one_teams_and_shows_in_its_session() {
    let world = World::new().await;
    let most = async |key: &str| {
        let session = world.call_as(key, "GET /v1/auth/session", Value::Null).await;
        session.body["team"]["maxMachines"].clone()
    };
    assert_eq!(most(&world.key).await, json!(1_000_000));
    limit(&world, json!({"machines": 0, "shared-drives": 3, "shared-drives-gb": 100})).await;
    assert_eq!(most(&world.key).await, json!(0));
    assert_eq!(
        told(&world.call("POST /v1/machines", machine(json!({}))).await).matches("limit 0").count(),
        1
    );
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    assert_eq!(most(&key).await, json!(1_000_000));
    assert_eq!(world.call_as(&key, "POST /v1/machines", machine(json!({}))).await.status, 200);
    let teams = world.admin("GET /admin/teams", Value::Null).await.body;
    let limits: Vec<_> =
        teams.as_array().unwrap().iter().map(|team| team["limits"].as_array().unwrap().len()).collect();
    assert_eq!(limits, [3, 0]);
}

#[tokio::test]
async fn what_an_operator_limits_wrongly_is_named_and_changes_nothing() {
    let world = World::new().await;
    let line = format!("POST /admin/teams/{}/limits", world.team.id);
    for (limits, field) in [
        (json!({"public-ips": 1, "machine": 1}), "limits.machine: expected machines, private-networks"),
        (json!({"gpus/none": 1}), "limits.gpus/none: expected"),
        (json!({"gpus": 1}), "limits.gpus: expected"),
        (json!({"machines": -1}), "limits.machines: "),
        (json!({"machines": 1.5}), "limits.machines: "),
        (json!({"machines": "many"}), "limits.machines: "),
        (json!({"machines": u64::MAX}), "limits.machines: expected a smaller number"),
    ] {
        let reply = world.admin(&line, json!({"limits": limits})).await;
        assert!(reply.status == 400 && reply.error().2.starts_with(field), "{}", reply.body);
    }
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM quotas").await, 0);
    let reply = world.admin("POST /admin/teams/te1/limits", json!({"limits": {}})).await;
    assert_eq!(reply.status, 404);
}
