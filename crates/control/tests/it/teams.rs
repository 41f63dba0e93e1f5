//! Teams, their members and their keys.

use deckle_api::admin::Role;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn teams_do_not_see_each_other() {
    let world = World::new().await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let ours = world.create(json!({})).await;
    let theirs =
        world.call_as(&key, "POST /v1/machines", crate::world::machine(json!({"name": "theirs"}))).await;
    world.settle().await;
    let names = |body: &Value| {
        body["items"].as_array().unwrap().iter().map(|row| row["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&world.ok("GET /v1/machines", Value::Null).await), ["web"]);
    assert_eq!(names(&world.call_as(&key, "GET /v1/machines?name=e", Value::Null).await.body), ["theirs"]);
    let id = theirs.body["data"]["id"].as_str().unwrap();
    for line in [
        format!("GET /v1/machines/{id}"),
        format!("PATCH /v1/machines/{id}/stop"),
        format!("DELETE /v1/machines/{id}"),
    ] {
        assert_eq!(world.call(&line, Value::Null).await.error().1, "NOT_FOUND");
    }
    assert_eq!(world.state(&ours).await.0, "ready");
    let session = world.call_as(&key, "GET /v1/auth/session", Value::Null).await.body;
    assert_eq!(session["team"]["id"], json!(other.id));
    assert_eq!(session["user"]["teamMemberships"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_ends_at_once() {
    let world = World::new().await;
    let key = world.new_key(&world.team, "owner@example.com", json!([])).await;
    let status = async |key: &str| world.call_as(key, "GET /v1/machines", Value::Null).await.status;
    assert_eq!(status(&key).await, 200);
    let keys = world.admin("GET /admin/keys", Value::Null).await.body;
    assert!(!keys.to_string().contains(&key), "a key is shown once");
    let last = keys.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(world.admin(&format!("DELETE /admin/keys/{last}"), Value::Null).await.status, 200);
    assert_eq!((status(&key).await, status(&world.key).await), (401, 200));
    assert_eq!(world.admin(&format!("DELETE /admin/keys/{last}"), Value::Null).await.error().1, "NOT_FOUND");
}

#[tokio::test]
async fn a_member_that_leaves_takes_its_keys_along() {
    let world = World::new().await;
    let key = world.new_member("a@example.com", Role::Admin).await;
    assert_eq!(world.call_as(&key, "GET /v1/machines", Value::Null).await.status, 200);
    let team = world.admin("GET /admin/teams", Value::Null).await.body;
    let members = team[0]["members"].as_array().unwrap().clone();
    let user = |email: &str| {
        members.iter().find(|member| member["email"] == email).unwrap()["userId"].as_str().unwrap().to_owned()
    };
    let path = |user: &str| format!("DELETE /admin/teams/{}/members/{user}", world.team.id);
    let owner = world.admin(&path(&user("owner@example.com")), Value::Null).await;
    assert_eq!(
        (owner.error().1, world.call("GET /v1/machines", Value::Null).await.status),
        ("PRECONDITION_FAILED", 200)
    );
    assert_eq!(world.admin(&path(&user("a@example.com")), Value::Null).await.status, 200);
    assert_eq!(world.call_as(&key, "GET /v1/machines", Value::Null).await.status, 401);
    assert_eq!(world.call_as(&key, "GET /v1/auth/session", Value::Null).await.body, Value::Null);
    assert_eq!(world.admin(&path(&user("a@example.com")), Value::Null).await.error().1, "NOT_FOUND");
}

#[tokio::test]
async fn a_new_role_holds_for_the_next_request() {
    let world = World::new().await;
    let key = world.new_member("a@example.com", Role::Member).await;
    let create =
        async || world.call_as(&key, "POST /v1/machines", crate::world::machine(json!({}))).await.status;
    assert_eq!(create().await, 403);
    let set = async |role: &str| {
        let path = format!("POST /admin/teams/{}/members", world.team.id);
        world.admin(&path, json!({"email": "A@Example.com ", "role": role})).await.status
    };
    assert_eq!((set("admin").await, create().await), (200, 200));
    assert_eq!((set("member").await, create().await), (200, 403));
    assert_eq!(set("owner").await, 400);
}

#[tokio::test]
async fn what_an_operator_asks_wrongly_is_named() {
    let world = World::new().await;
    let team = world.team.id.to_string();
    for (line, body, status, told) in [
        ("POST /admin/teams", json!({"name": "", "ownerEmail": "a@b"}), 400, "name: expected"),
        (
            "POST /admin/teams",
            json!({"name": "x", "ownerEmail": "nobody"}),
            400,
            "ownerEmail: expected a mail address",
        ),
        (
            "POST /admin/teams",
            json!({"name": "x", "ownerEmail": "a@b", "namespace": "A b"}),
            400,
            "namespace: expected",
        ),
        (
            "POST /admin/teams",
            json!({"name": "Paper mill", "ownerEmail": "a@b"}),
            409,
            "namespace: `paper-mill` is taken",
        ),
        (
            "POST /admin/teams",
            json!({"name": "x", "ownerEmail": "a@b", "color": 1}),
            400,
            "color: is not a field",
        ),
        (
            "POST /admin/teams/te0/members",
            json!({"email": "a@b", "role": "admin"}),
            404,
            "there is no team te0",
        ),
        (
            "POST /admin/keys",
            json!({"teamId": team, "email": "x@y", "name": "k"}),
            404,
            "there is no user x@y",
        ),
        (
            "POST /admin/keys",
            json!({"teamId": "te0", "email": "owner@example.com", "name": "k"}),
            404,
            "is not in the team te0",
        ),
        (
            "POST /admin/keys",
            json!({"teamId": team, "email": "owner@example.com", "name": "k", "scopes": ["all"]}),
            400,
            "scopes: `all` is none of",
        ),
    ] {
        let reply = world.admin(line, body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        assert!(reply.error().2.contains(told), "{}", reply.body);
    }
    assert_eq!(world.admin("GET /admin/teams", Value::Null).await.body.as_array().unwrap().len(), 1);
    let tea = world.admin("POST /admin/teams", json!({"name": "紙", "ownerEmail": "a@b"})).await;
    assert_eq!(tea.status, 200, "a name without a Latin letter gets a namespace too: {}", tea.body);
}

#[tokio::test]
async fn the_first_start_makes_one_key_in_a_private_file() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owner.key");
    let made = deckle_control::start::first_key(&world.app, &file).await.unwrap();
    assert_eq!((made, file.exists()), (None, false), "there is a team");
    world.run("DELETE FROM api_keys").await;
    world.run("DELETE FROM members").await;
    world.run("DELETE FROM teams").await;
    let key = deckle_control::start::first_key(&world.app, &file).await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(world.call_as(&key, "GET /v1/machines", Value::Null).await.status, 200);
    assert_eq!(deckle_control::start::first_key(&world.app, &file).await.unwrap(), None);
}
