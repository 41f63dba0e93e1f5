//! Accessors: members that may use a machine that is not theirs.

use deckle_api::admin::Role;
use deckle_api::ids::MachineId;
use serde_json::{Value, json};

use crate::world::{World, machine};

/// A member with a role and one SSH key: its API key, and its user's id.
async fn member(world: &World, name: &str, role: Role) -> (String, String) {
    let key = world.new_member(&format!("{name}@example.com"), role).await;
    let session = world.call_as(&key, "GET /v1/auth/session", Value::Null).await.body;
    add_key(world, &key, name).await;
    (key, session["user"]["id"].as_str().unwrap().to_owned())
}

/// A key whose line ends in a name. Its text is as good as another's.
async fn add_key(world: &World, key: &str, name: &str) {
    let text: String = name.bytes().chain(std::iter::repeat(b'A')).map(char::from).take(42).collect();
    let line = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{text}A {name}");
    let reply = world.call_as(key, "POST /v1/ssh-keys", json!({"name": name, "publicKey": line})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

/// Whose keys the machine was last started with.
async fn keys_of(world: &World, id: &MachineId) -> Vec<String> {
    let booted = world.host.booted(id).unwrap();
    booted.seed.authorized_keys.iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

async fn order(world: &World, verb: &str, id: &MachineId) {
    world.ok(&format!("PATCH /v1/machines/{id}/{verb}"), Value::Null).await;
    world.settle().await;
}

fn users(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|row| row["user"]["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn access_is_given_once_listed_and_taken() {
    let world = World::new().await;
    let id = world.create(json!({"startOnCreate": false})).await;
    let path = format!("/v1/machines/{id}/accessors");
    let mut all = Vec::new();
    for name in ["ada", "ben", "cleo"] {
        let (_, user) = member(&world, name, Role::Member).await;
        let added = world.ok(&format!("POST {path}"), json!({"userId": user})).await;
        assert_eq!(added["user"]["email"], format!("{name}@example.com"));
        assert_eq!(added["dtDeleted"], Value::Null);
        assert_eq!(world.ok(&format!("POST {path}"), json!({"userId": user})).await, added, "twice is once");
        assert_eq!(world.ok(&format!("GET {path}/{user}"), Value::Null).await, added);
        all.push(user);
    }
    all.sort();
    let list = world.ok(&format!("GET {path}?order=asc"), Value::Null).await;
    assert_eq!(users(&list), all);
    let down = world.ok(&format!("GET {path}?orderBy=id"), Value::Null).await;
    assert_eq!(users(&down), all.iter().rev().map(String::as_str).collect::<Vec<_>>(), "desc is the default");

    let first = world.ok(&format!("GET {path}?order=asc&limit=2"), Value::Null).await;
    let next = first["nextPage"].as_str().unwrap();
    let rest = world.ok(&format!("GET {path}?order=asc&limit=2&after={next}"), Value::Null).await;
    assert_eq!((users(&first), users(&rest)), (vec![&*all[0], &*all[1]], vec![&*all[2]]));

    let gone = world.ok(&format!("DELETE {path}/{}", all[1]), Value::Null).await;
    assert!(gone["dtDeleted"].is_string(), "{gone}");
    let told = format!("{} is no accessor of {id}", all[1]);
    for verb in ["DELETE", "GET"] {
        let reply = world.call(&format!("{verb} {path}/{}", all[1]), Value::Null).await;
        assert_eq!(reply.error(), (404, "NOT_FOUND", &*told), "{verb}");
    }
    let list = world.ok(&format!("GET {path}?order=asc"), Value::Null).await;
    assert_eq!(users(&list), [&all[0], &all[2]]);
    world.ok(&format!("POST {path}"), json!({"userId": all[1]})).await;
}

#[tokio::test]
async fn only_members_of_the_team_are_given_access() {
    let world = World::new().await;
    let (key, ada) = member(&world, "ada", Role::Member).await;
    let other = world.new_team("Other Mill").await;
    let stranger = json!({"email": "stranger@example.com", "role": "admin"});
    let stranger = world.admin(&format!("POST /admin/teams/{}/members", other.id), stranger).await.body;
    let stranger = stranger["userId"].as_str().unwrap();
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let before = world.dump().await;
    let path = format!("POST /v1/machines/{id}/accessors");
    for user in [stranger, "u1"] {
        let reply = world.call(&path, json!({"userId": user})).await;
        let told = format!("userId: {user} is no member of the team");
        assert_eq!((reply.error().0, &reply.error().2[..told.len()]), (404, &*told));
        let reply = world.call("POST /v1/machines", machine(json!({"accessorIds": [ada, user]}))).await;
        let told = format!("accessorIds: {user} is no member of the team");
        assert_eq!((reply.error().0, &reply.error().2[..told.len()]), (404, &*told));
    }
    for wrong in
        [json!({}), json!({"userId": null}), json!({"userId": "ps1"}), json!({"userId": ada, "x": 1})]
    {
        assert_eq!(world.call(&path, wrong.clone()).await.error().1, "BAD_REQUEST", "{wrong}");
    }
    let reply = world.call_as(&key, &path, json!({"userId": ada})).await;
    assert_eq!(reply.error().0, 403, "a member cannot let itself in");
    assert_eq!(world.dump().await, before, "nothing was made");
    let left = world.number("SELECT COUNT(*) AS n FROM accessors").await;
    assert_eq!(left, 0);
    let made = world.create(json!({"accessorIds": [ada, ada]})).await;
    let list = world.ok(&format!("GET /v1/machines/{made}/accessors"), Value::Null).await;
    assert_eq!(users(&list), [&*ada], "twice is once");
}

#[tokio::test]
async fn a_member_uses_the_machines_that_it_has_access_to_and_no_others() {
    let world = World::new().await;
    let (key, ada) = member(&world, "ada", Role::Member).await;
    let shared = world.create(json!({"accessorIds": [ada]})).await;
    let closed = world.create(json!({})).await;
    world.settle().await;
    let ask = async |line: String| {
        let reply = world.call_as(&key, &line, Value::Null).await;
        world.settle().await;
        (reply.status, reply.body["message"].as_str().unwrap_or_default().to_owned())
    };
    for (verb, state) in [("restart", "ready"), ("stop", "off"), ("start", "ready")] {
        assert_eq!(ask(format!("PATCH /v1/machines/{shared}/{verb}")).await.0, 200, "{verb}");
        assert_eq!(world.state(&shared).await.0, state);
        let told = format!(
            "only its accessors and administrators of the team may {verb} {closed}; ask an administrator to \
             add you: deckle machine accessor add {closed} {ada}"
        );
        assert_eq!(ask(format!("PATCH /v1/machines/{closed}/{verb}")).await, (403, told));
        assert_eq!(world.state(&closed).await.0, "ready");
    }
    assert_eq!(ask(format!("GET /v1/machines/{shared}/console-log")).await.0, 200);
    assert_eq!(ask(format!("GET /v1/machines/{closed}/console-log")).await.0, 403);
    for id in [&shared, &closed] {
        assert_eq!(
            ask(format!("GET /v1/machines/{id}")).await.0,
            200,
            "a team's machines are no secret in it"
        );
        assert_eq!(ask(format!("DELETE /v1/machines/{id}")).await.0, 403);
    }
    assert_eq!(
        world.call_as(&key, "GET /v1/machines", Value::Null).await.body["items"].as_array().unwrap().len(),
        2
    );
    world.ok(&format!("DELETE /v1/machines/{shared}/accessors/{ada}"), Value::Null).await;
    assert_eq!(ask(format!("PATCH /v1/machines/{shared}/stop")).await.0, 403, "access ends at once");
}

#[tokio::test]
async fn who_made_a_machine_has_access_in_any_role() {
    let world = World::new().await;
    let (key, _) = member(&world, "ada", Role::Admin).await;
    let made = world.call_as(&key, "POST /v1/machines", machine(json!({}))).await.body;
    let id: MachineId = serde_json::from_value(made["data"]["id"].clone()).unwrap();
    world.settle().await;
    let demoted = json!({"email": "ada@example.com", "role": "member"});
    world.admin(&format!("POST /admin/teams/{}/members", world.team.id), demoted).await;
    let list = world.ok(&format!("GET /v1/machines/{id}/accessors"), Value::Null).await;
    assert_eq!(list["items"], json!([]));
    let stop = world.call_as(&key, &format!("PATCH /v1/machines/{id}/stop"), Value::Null).await;
    assert_eq!(stop.status, 200);
    world.settle().await;
    let delete = world.call_as(&key, &format!("DELETE /v1/machines/{id}"), Value::Null).await;
    assert_eq!(delete.status, 403);
}

#[tokio::test]
async fn a_machine_starts_with_the_keys_of_all_that_have_access() {
    let world = World::new().await;
    add_key(&world, &world.key, "owner").await;
    let (_, ada) = member(&world, "ada", Role::Member).await;
    let (key, ben) = member(&world, "ben", Role::Admin).await;
    // The same key under another name is one key.
    let text: String = "owner".chars().chain(std::iter::repeat('A')).take(42).collect();
    let again = format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{text}A again");
    world.call_as(&key, "POST /v1/ssh-keys", json!({"name": "again", "publicKey": again})).await;
    let id = world.create(json!({"accessorIds": [ben, ada]})).await;
    world.settle().await;
    let mut others = [(&ada, "ada"), (&ben, "ben")];
    others.sort();
    assert_eq!(keys_of(&world, &id).await, ["owner", others[0].1, others[1].1]);

    let path = format!("/v1/machines/{id}/accessors");
    world.ok(&format!("DELETE {path}/{ada}"), Value::Null).await;
    assert_eq!(keys_of(&world, &id).await.len(), 3, "what runs is not touched");
    order(&world, "restart", &id).await;
    assert_eq!(keys_of(&world, &id).await, ["owner", "ben"]);
    world.ok(&format!("POST {path}"), json!({"userId": ada})).await;
    order(&world, "restart", &id).await;
    assert_eq!(keys_of(&world, &id).await.len(), 3);
}

#[tokio::test]
async fn who_leaves_the_team_loses_its_access_and_its_machines_work_on() {
    let world = World::new().await;
    let (key, ada) = member(&world, "ada", Role::Admin).await;
    let made = world.call_as(&key, "POST /v1/machines", machine(json!({}))).await.body;
    let theirs: MachineId = serde_json::from_value(made["data"]["id"].clone()).unwrap();
    let ours = world.create(json!({"accessorIds": [ada]})).await;
    world.settle().await;
    assert_eq!(
        (keys_of(&world, &ours).await, keys_of(&world, &theirs).await),
        (vec!["ada".into()], vec!["ada".into()])
    );
    let gone =
        world.admin(&format!("DELETE /admin/teams/{}/members/{ada}", world.team.id), Value::Null).await;
    assert_eq!(gone.status, 200);
    assert_eq!(
        world.ok(&format!("GET /v1/machines/{ours}/accessors"), Value::Null).await["items"],
        json!([])
    );
    for id in [&ours, &theirs] {
        order(&world, "restart", id).await;
        assert_eq!(world.state(id).await, ("ready".into(), "restart done".into()));
        assert_eq!(keys_of(&world, id).await, [""; 0], "{id}");
    }
    let back = json!({"email": "ada@example.com", "role": "member"});
    world.admin(&format!("POST /admin/teams/{}/members", world.team.id), back).await;
    let reply = world.call(&format!("GET /v1/machines/{ours}/accessors/{ada}"), Value::Null).await;
    assert_eq!(reply.error().0, 404, "access does not come back by itself");
}

#[tokio::test]
async fn access_goes_with_the_machine() {
    let world = World::new().await;
    let (_, ada) = member(&world, "ada", Role::Member).await;
    let id = world.create(json!({"accessorIds": [ada]})).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/machines/{id}"), Value::Null).await;
    let late = world.call(&format!("POST /v1/machines/{id}/accessors"), json!({"userId": ada})).await;
    assert_eq!(late.error(), (409, "CONFLICT", &*format!("{id} is being deleted")));
    world.settle().await;
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM accessors").await, 0);
    for line in [format!("GET /v1/machines/{id}/accessors"), format!("GET /v1/machines/{id}/accessors/{ada}")]
    {
        assert_eq!(world.call(&line, Value::Null).await.error().0, 404);
    }
}
