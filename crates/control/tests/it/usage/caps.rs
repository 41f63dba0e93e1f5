//! What may be spent in a month before creates and starts are refused.

use deckle_api::admin::Role;
use serde_json::{Value, json};

use super::{BEGIN, seconds, usage};
use crate::broken_host::order;
use crate::world::{Reply, World, machine};

async fn cap(world: &World, email: Option<&str>, amount: Value) -> Value {
    let mut body = json!({"amount": amount});
    if let Some(email) = email {
        body["email"] = json!(email);
    }
    let reply = world.admin(&format!("POST /admin/teams/{}/cap", world.team.id), body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body["caps"].clone()
}

fn refused(reply: &Reply, told: &str) {
    assert_eq!((reply.error().0, reply.error().1), (412, "PRECONDITION_FAILED"), "{}", reply.body);
    assert!(reply.error().2.starts_with(told), "{}", reply.body);
}

#[tokio::test]
async fn a_team_at_its_cap_creates_and_starts_nothing_until_the_month_is_over() {
    let world = World::new().await;
    let on = world.create(json!({})).await;
    let off = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    assert_eq!(cap(&world, None, json!("0.09")).await[0]["amount"], "0.09");
    let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
    world.pass_seconds(3600);
    // A C2 at 0.009 an hour, and twice 50 GB at 0.07 a month.
    let caps = cap(&world, None, json!("0.09")).await;
    assert_eq!(caps, json!([{"amount": "0.09", "spent": usage(&world, BEGIN).await["amount"]}]));
    world.ok(&format!("PATCH /v1/machines/{off}/start"), Value::Null).await;
    world.settle().await;
    order(&world, "stop", &off).await;
    world.settle().await;
    world.pass_seconds(5 * 3600);
    let before = world.dump().await;
    let spent = usage(&world, BEGIN).await["amount"].as_str().unwrap().to_owned();
    let told = format!(
        "spend cap: the team has spent {spent} this month and may spend 0.09; what runs goes on, and creates and \
         starts are possible again from 2023-12-01T00:00:00.000Z on, or once the operator of this server raises"
    );
    let drive = json!({"name": "data", "size": 2, "region": "ny2", "networkId": network["id"]});
    for (line, body) in [
        ("POST /v1/machines".to_owned(), machine(json!({}))),
        ("POST /v1/machines".to_owned(), machine(json!({"startOnCreate": false}))),
        (format!("PATCH /v1/machines/{off}/start"), Value::Null),
        ("POST /v1/public-ips".to_owned(), json!({"region": "ny2"})),
        ("POST /v1/shared-drives".to_owned(), drive),
    ] {
        refused(&world.call(&line, body).await, &told);
    }
    let larger = json!({"diskSize": 60});
    refused(&world.call(&format!("PUT /v1/machines/{off}"), larger).await, &told);
    let reply = world.call(&format!("PUT /v1/machines/{off}"), json!({"publicIpType": "static"})).await;
    refused(&reply, "publicIpType: spend cap: the team");
    assert_eq!(world.dump().await, before, "bad luck changes nothing");
    // What runs goes on, and is restarted.
    order(&world, "restart", &on).await;
    world.settle().await;
    assert_eq!(world.state(&on).await, ("ready".into(), "restart done".into()));
    // The month ends: 2023-12-01T00:00:00Z.
    world.pass_seconds(1_701_388_799 - super::now(&world).whole_seconds());
    refused(
        &world.call(&format!("PATCH /v1/machines/{off}/start"), Value::Null).await,
        "spend cap: the team",
    );
    world.pass_seconds(1);
    world.ok(&format!("PATCH /v1/machines/{off}/start"), Value::Null).await;
    world.create(json!({})).await;
}

#[tokio::test]
async fn a_cap_is_one_users_where_it_names_one() {
    let world = World::new().await;
    let admin = world.new_member("admin@example.com", Role::Admin).await;
    let ordered = world.call_as(&admin, "POST /v1/machines", machine(json!({}))).await.body;
    let theirs = ordered["data"]["id"].as_str().unwrap().parse().unwrap();
    world.create(json!({})).await;
    world.settle().await;
    let caps = cap(&world, Some("Admin@Example.com"), json!("0.01")).await;
    assert_eq!(caps[0]["email"], "admin@example.com");
    world.pass_seconds(3600);
    order(&world, "stop", &theirs).await;
    world.settle().await;
    let told = "spend cap: admin@example.com has spent 0.0137";
    refused(&world.call_as(&admin, "POST /v1/machines", machine(json!({}))).await, told);
    // Whoever starts it, it is their machine that costs.
    refused(&world.call(&format!("PATCH /v1/machines/{theirs}/start"), Value::Null).await, told);
    world.create(json!({})).await;
    let caps = cap(&world, Some("admin@example.com"), Value::Null).await;
    assert_eq!(caps, json!([]));
    world.ok(&format!("PATCH /v1/machines/{theirs}/start"), Value::Null).await;
    // Both may hold; the team's is told first.
    cap(&world, Some("admin@example.com"), json!("0")).await;
    let caps = cap(&world, None, json!("0.000000001")).await;
    assert_eq!((caps[0].get("email"), &caps[1]["email"]), (None, &json!("admin@example.com")));
    refused(&world.call_as(&admin, "POST /v1/machines", machine(json!({}))).await, "spend cap: ");
    // Another team of the same users has no cap.
    let team = world.new_team("Other Mill").await;
    let key = world.new_key(&team, "owner@example.com", json!([])).await;
    assert_eq!(world.call_as(&key, "POST /v1/machines", machine(json!({}))).await.status, 200);
}

#[tokio::test]
async fn creates_that_come_together_at_the_cap_are_all_refused_or_all_made() {
    for (amount, status) in [("0.01", 412), ("0.02", 200)] {
        let world = World::new().await;
        world.create(json!({})).await;
        world.settle().await;
        cap(&world, None, json!(amount)).await;
        // 0.009 for the machine, 0.0048 for its disk.
        world.pass_seconds(3600);
        let (line, body) = ("POST /v1/machines", machine(json!({})));
        let (one, other, third) = tokio::join!(
            world.call(line, body.clone()),
            world.call(line, body.clone()),
            world.call(line, body)
        );
        assert_eq!([one.status, other.status, third.status], [status; 3], "{amount}");
        world.settle().await;
        assert_eq!(seconds(&world, BEGIN).await[0], 3600);
    }
}

#[tokio::test]
async fn what_was_spent_is_what_the_usage_of_the_month_says() {
    let world = World::new().await;
    for _ in 0..3 {
        let id = world.create(json!({"machineType": "A4000", "publicIpType": "dynamic"})).await;
        world.settle().await;
        world.pass_seconds(10 * 86_400 + 1234);
        order(&world, "stop", &id).await;
        world.settle().await;
        let caps = cap(&world, None, json!("1000")).await;
        assert_eq!(caps[0]["spent"], usage(&world, "").await["amount"]);
    }
}

#[tokio::test]
async fn a_cap_that_is_set_wrongly_is_named_and_changes_nothing() {
    let world = World::new().await;
    let line = format!("POST /admin/teams/{}/cap", world.team.id);
    for (body, status, told) in [
        (json!({"amount": "much"}), 400, "amount: expected a decimal number"),
        (json!({"amount": "-1"}), 400, "amount: expected"),
        (json!({"amount": "0.1234567891"}), 400, "amount: expected"),
        (json!({"amount": "1000000000.1"}), 400, "amount: expected"),
        (json!({"amount": 5}), 400, "amount: "),
        (json!({}), 400, "amount: "),
        (json!({"amount": "5", "user": "u1"}), 400, "user: "),
        (json!({"amount": "5", "email": "nobody"}), 400, "email: "),
        (
            json!({"amount": "5", "email": "nobody@example.com"}),
            404,
            "email: nobody@example.com is not in the team",
        ),
    ] {
        let reply = world.admin(&line, body.clone()).await;
        assert!(reply.status == status && reply.error().2.starts_with(told), "{body}: {}", reply.body);
    }
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM spend_caps").await, 0);
    assert_eq!(world.admin("POST /admin/teams/te1/cap", json!({"amount": "5"})).await.status, 404);
}
