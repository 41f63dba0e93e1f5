//! Who may ask for which usage, and how.

use deckle_api::admin::Role;
use deckle_control::clock::Clock;
use deckle_control::config::Config;
use serde_json::{Value, json};

use super::{BEGIN, items, seconds, usage};
use crate::broken_host::order;
use crate::world::{World, machine};

#[tokio::test]
async fn without_a_window_it_is_this_calendar_month_until_now() {
    let world = World::new().await;
    world.create(json!({})).await;
    world.settle().await;
    world.pass_seconds(3600);
    let told = usage(&world, "").await;
    assert_eq!(told["from"], "2023-11-01T00:00:00.000Z");
    assert_eq!(told["to"].as_str().unwrap()[..19], *"2023-11-14T23:13:20");
    assert_eq!(seconds(&world, "").await[0], 3600);
    // 2023-12-01T00:00:00Z is 1701388800.
    world.pass_seconds(1_701_388_800 - 1_700_003_600 + 60);
    assert_eq!(usage(&world, "").await["from"], "2023-12-01T00:00:00.000Z");
    assert_eq!(seconds(&world, "").await[0], 60);
    let before = seconds(&world, "from=2023-11-01T00:00:00Z&to=2023-12-01T00:00:00Z").await;
    assert_eq!(before[0], 1_701_388_800 - 1_700_000_000);
    assert_eq!(seconds(&world, "to=2024-01-01T00:00:00Z").await[0], 60, "what is to come is not counted");
    assert_eq!(seconds(&world, "from=2023-12-05T00:00:00Z&to=2024-01-01T00:00:00Z").await, [0; 4]);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let world = World::new().await;
    for (query, told) in [
        ("from=yesterday", "from: expected a moment in ISO 8601"),
        ("to=2023-13-01T00:00:00Z", "to: "),
        ("to=1700000000", "to: "),
        ("from=2023-11-14T00:00:00", "from: "),
        (
            "from=2023-11-15T00:00:00Z&to=2023-11-14T00:00:00Z",
            "from: expected a moment that is not after `to`",
        ),
        ("from=2023-11-15T00:00:00Z", "from: expected a moment that is not after `to`"),
        ("from=2022-01-01T00:00:00Z", "from: expected a window of at most 400 days"),
        ("from=-009999-01-02T01:59:59Z&to=9999-12-30T22:00:00Z", "from: expected a window"),
        ("machineId=n1", "machineId: expected the id of a machine"),
        ("userId=me", "userId: "),
        ("limit=0", "limit: "),
        ("limit=121", "limit: "),
        ("after=x", "after: "),
    ] {
        let reply = world.call(&format!("GET /v1/usage?{query}"), Value::Null).await;
        assert_eq!((reply.error().0, reply.error().1), (400, "BAD_REQUEST"), "{query}: {}", reply.body);
        assert!(reply.error().2.starts_with(told), "{query}: {}", reply.body);
    }
    assert_eq!(seconds(&world, "from=2023-11-14T00:00:00Z&to=2023-11-14T00:00:00Z").await, [0; 4]);
}

#[tokio::test]
async fn a_team_sees_its_own_and_a_member_what_it_has_made() {
    let world = World::new().await;
    let admin = world.new_member("admin@example.com", Role::Admin).await;
    let first = world.create(json!({})).await;
    let theirs = world.call_as(&admin, "POST /v1/machines", machine(json!({}))).await.body;
    let (theirs, user) = (theirs["data"]["id"].clone(), user_of(&world, &admin).await);
    world.settle().await;
    world.pass_seconds(100);
    assert_eq!(seconds(&world, BEGIN).await[..2], [200, 200]);
    let of = |told: &Value| {
        let ids: Vec<_> = told["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        (told["totals"][0]["seconds"].clone(), ids)
    };
    let asked = usage(&world, &format!("{BEGIN}&userId={user}")).await;
    assert_eq!(of(&asked), (json!(100), vec![theirs.clone(), theirs.clone()]));
    let asked = usage(&world, &format!("{BEGIN}&machineId={first}")).await;
    assert_eq!(of(&asked), (json!(100), vec![json!(first), json!(first)]));
    let asked = usage(&world, &format!("{BEGIN}&machineId={first}&userId={user}")).await;
    assert_eq!(of(&asked), (json!(0), vec![]));
    // The administrator is one no longer: it sees what it has made, and is told so of the rest.
    world
        .admin(
            &format!("POST /admin/teams/{}/members", world.team.id),
            json!({"email": "admin@example.com", "role": "member"}),
        )
        .await;
    let line = format!("GET /v1/usage?{BEGIN}");
    let own = world.call_as(&admin, &line, Value::Null).await;
    assert_eq!(of(&own.body), (json!(100), vec![theirs.clone(), theirs.clone()]));
    let same = world.call_as(&admin, &format!("{line}&userId={user}"), Value::Null).await;
    assert_eq!(of(&same.body), of(&own.body));
    let other = world.call_as(&admin, &format!("{line}&machineId={first}"), Value::Null).await;
    assert_eq!(of(&other.body), (json!(0), vec![]));
    let owner = user_of(&world, &world.key).await;
    let reply = world.call_as(&admin, &format!("{line}&userId={owner}"), Value::Null).await;
    assert_eq!((reply.error().0, reply.error().1), (403, "FORBIDDEN"));
    assert!(reply.error().2.contains("ask one of them"), "{}", reply.body);
    // Another team sees nothing of it, whatever it names.
    let team = world.new_team("Other Mill").await;
    let stranger = world.new_key(&team, "owner@example.com", json!([])).await;
    for query in [String::new(), format!("&machineId={first}"), format!("&userId={owner}")] {
        let reply = world.call_as(&stranger, &format!("{line}{query}"), Value::Null).await;
        assert_eq!((reply.status, of(&reply.body)), (200, (json!(0), vec![])), "{query}");
    }
}

async fn user_of(world: &World, key: &str) -> String {
    let session = world.call_as(key, "GET /v1/auth/session", Value::Null).await;
    session.body["user"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_deleted_machine_stays_in_the_usage_of_its_time() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.pass_seconds(60);
    order(&world, "delete", &id).await;
    world.settle().await;
    assert_eq!(world.call(&format!("GET /v1/machines/{id}"), Value::Null).await.status, 404);
    let told = items(&world, &format!("{BEGIN}&machineId={id}")).await;
    assert!(told.len() == 2 && told.iter().all(|item| item.1 == id.as_str() && item.3 >= 60), "{told:?}");
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended() {
    let world = World::new().await;
    for _ in 0..4 {
        world.create(json!({})).await;
    }
    world.settle().await;
    world.pass_seconds(60);
    let all = usage(&world, &format!("{BEGIN}&limit=120")).await;
    assert_eq!((all["items"].as_array().unwrap().len(), &all["hasMore"]), (8, &json!(false)));
    let (mut walked, mut after) = (Vec::new(), String::new());
    for page in 0.. {
        let told = usage(&world, &format!("{BEGIN}&limit=3{after}")).await;
        assert_eq!(told["totals"], all["totals"], "totals are of all pages");
        walked.extend(told["items"].as_array().unwrap().clone());
        let Some(next) = told["nextPage"].as_str() else {
            assert_eq!((page, &told["hasMore"]), (2, &json!(false)));
            break;
        };
        after = format!("&after={next}");
        world.pass_seconds(0);
    }
    assert_eq!(&json!(walked), &all["items"]);
    let foreign = world.call(&format!("GET /v1/usage?limit=3{after}"), Value::Null).await;
    assert_eq!(foreign.status, 400, "a cursor of another window");
}

#[tokio::test]
async fn an_answer_of_too_many_records_is_refused_and_shorter_windows_are_not() {
    let mut config = Config::default();
    config.limits.usage_records = 4;
    let world = World::with(config, None).await;
    for _ in 0..2 {
        let id = world.create(json!({})).await;
        world.settle().await;
        world.pass_seconds(10);
        order(&world, "delete", &id).await;
        world.settle().await;
        world.pass_seconds(100);
    }
    assert_eq!(items(&world, BEGIN).await.len(), 4);
    world.create(json!({})).await;
    world.settle().await;
    world.pass_seconds(10);
    let reply = world.call(&format!("GET /v1/usage?{BEGIN}"), Value::Null).await;
    assert_eq!(reply.status, 400);
    assert!(reply.error().2.starts_with("from: more than 4 records are in the window"), "{}", reply.body);
    assert_eq!(seconds(&world, "from=2023-11-14T22:16:00Z").await[0], 10, "old closed records are not read");
}

/// Old intervals are not read: what a month costs to tell does not grow with what was before it.
#[tokio::test]
async fn usage_is_read_from_an_index() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    world.pass_seconds(10);
    for query in
        [String::new(), format!("&machineId={id}"), format!("&userId={}", user_of(&world, &world.key).await)]
    {
        usage(&world, &format!("{BEGIN}{query}")).await;
    }
    if world.on_sqlite() {
        let plans = world.plans(&["usage_records", "ORDER BY", "dt_to"]).await;
        // Those that ended in the window, those that span its end, and those that are open: each three times.
        assert!(plans.len() >= 9, "{plans:?}");
        let of = |words: &str| plans.iter().filter(|plan| plan.contains(words)).count();
        let counts = [of("dt_to>? AND dt_to<?)"), of("dt_from<?)"), of("dt_to=?"), plans.len()];
        assert!(counts[..3].iter().all(|count| *count >= 3), "{plans:?}");
        assert_eq!(counts[..3].iter().sum::<usize>(), counts[3], "what is later is not walked: {plans:?}");
        assert!(plans.iter().all(|plan| plan.starts_with("SEARCH usage_records USING INDEX")), "{plans:?}");
    }
}

#[tokio::test]
async fn windows_in_the_past_tell_what_ended_in_them_spans_them_and_is_open() {
    let mut config = Config::default();
    config.limits.usage_records = 6;
    let world = World::with(config, None).await;
    let off = async || world.create(json!({"startOnCreate": false})).await;
    let (ends, spans, _open) = (off().await, off().await, off().await);
    world.settle().await;
    world.pass_seconds(100);
    order(&world, "delete", &ends).await;
    world.settle().await;
    world.pass_seconds(100);
    let to = world.clock.now().to_string();
    let window = format!("{BEGIN}&to={to}");
    // A disk each, and the time in which it was made.
    let before = items(&world, &window).await;
    let disks = before.iter().filter(|item| item.0 == "storage").map(|item| item.3);
    assert_eq!(disks.collect::<Vec<_>>(), [100, 200, 200], "{before:?}");
    world.pass_seconds(100);
    order(&world, "delete", &spans).await;
    world.settle().await;
    // Many that are later do not count as records of the window.
    for _ in 0..4 {
        let late = off().await;
        world.settle().await;
        world.pass_seconds(10);
        order(&world, "delete", &late).await;
        world.settle().await;
    }
    assert_eq!(items(&world, &window).await, before);
}

#[tokio::test]
async fn what_is_kept_no_longer_is_refused_and_not_told_too_small() {
    let refused = async |world: &World, query: &str, told: &str| {
        let reply = world.call(&format!("GET /v1/usage?{query}"), Value::Null).await;
        assert_eq!((reply.error().0, reply.error().1), (400, "BAD_REQUEST"), "{query}: {}", reply.body);
        assert!(reply.error().2.starts_with(told), "{query}: {}", reply.body);
    };
    let mut config = Config::default();
    config.limits.usage_days = 10;
    let world = World::with(config.clone(), None).await;
    let old = "from=2023-11-01T00:00:00Z&to=2023-11-08T00:00:00Z";
    let told = "the window begins at 2023-11-01T00:00:00.000Z, and usage is kept for 10 days (limits.usage_days), \
                since 2023-11-04T22:13:20";
    refused(&world, old, &format!("from: {told}")).await;
    refused(&world, "to=2023-11-08T00:00:00Z", &format!("to: {told}")).await;
    usage(&world, "from=2023-11-04T22:13:20Z").await;
    config.limits.usage_days = 0;
    let world = World::with(config, None).await;
    usage(&world, old).await;
    usage(&world, "from=2000-11-01T00:00:00Z").await;
}
