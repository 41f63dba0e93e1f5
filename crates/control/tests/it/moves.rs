//! Machines that move from network to network.

use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::{World, is_slow, machine, sweep_step};

async fn network(world: &World, name: &str, region: &str) -> String {
    let made = world.ok("POST /v1/private-networks", json!({"name": name, "region": region})).await;
    made["id"].as_str().unwrap().to_owned()
}

async fn put(world: &World, id: &MachineId, changes: Value) -> Value {
    world.ok(&format!("PUT /v1/machines/{id}"), changes).await
}

/// A move that must be refused; why.
async fn refused(world: &World, id: &MachineId, network: &str) -> (u16, String) {
    let reply = world.call(&format!("PUT /v1/machines/{id}"), json!({"networkId": network})).await;
    (reply.status, reply.error().2.to_owned())
}

/// The names by which a machine is known where it is plugged in, besides its id.
fn names(world: &World, id: &MachineId) -> String {
    let host = world.host.dump();
    let begins = format!("{id} at");
    let plugged = host.split([';', '\n', ',']).find(|part| part.trim().starts_with(&begins)).unwrap();
    plugged.split_once(&format!("as {id}")).unwrap().1.trim().to_owned()
}

#[tokio::test]
async fn a_running_machine_is_stopped_cleanly_moved_and_started_within_one_event() {
    let world = World::new().await;
    let (lab, den) = (network(&world, "lab", "ny2").await, network(&world, "den", "ny2").await);
    let id = world.create(json!({"networkId": lab, "publicIpType": "dynamic"})).await;
    world.settle().await;
    let moved = put(&world, &id, json!({"networkId": den})).await;
    assert_eq!(
        (&moved["event"]["name"], &moved["event"]["state"], &moved["data"]["state"]),
        (&json!("vm-migrate"), &json!("new"), &json!("restarting"))
    );
    assert_eq!(moved["data"]["networkId"], json!(lab), "until it is unplugged it is where it was");
    while world.step().await {
        let state = world.machine(&id).await.state.word();
        assert!(["restarting", "ready"].contains(&state), "{state}");
        assert_eq!(world.machine(&id).await.public_ip.as_deref(), Some("203.0.113.1"), "kept on the way");
    }
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "vm-migrate done".into()));
    assert_eq!(world.machine(&id).await.network_id.unwrap().to_string(), den);
    assert!(world.host.dump().contains("boot 2"), "{}", world.host.dump());
    let events = world.ok(&format!("GET /v1/machine-events?machineId={id}"), Value::Null).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 2, "no power was cut by force: {events}");
    world.ok(&format!("DELETE /v1/private-networks/{lab}"), Value::Null).await;
    world.settle().await;
}

#[tokio::test]
async fn what_is_off_only_moves_and_what_is_there_stays() {
    let world = World::new().await;
    let lab = network(&world, "lab", "ny2").await;
    let id = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let ordered = put(&world, &id, json!({"networkId": lab})).await;
    assert_eq!(ordered["data"]["state"], "off");
    let again = put(&world, &id, json!({"networkId": lab})).await;
    assert_eq!(again["event"]["id"], ordered["event"]["id"], "on its way there already");
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-migrate done".into()));
    assert!(!world.host.dump().contains("boot 1"), "{}", world.host.dump());
    let stays = put(&world, &id, json!({"networkId": lab})).await;
    assert_eq!((stays.get("event"), &stays["data"]["networkId"]), (None, &json!(lab)));
    let stays = put(&world, &id, json!({"networkId": null})).await;
    assert_eq!((stays.get("event"), &stays["data"]["networkId"]), (None, &json!(lab)));
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(world.machine(&id).await.private_ip.as_deref(), Some("10.64.0.3"));
}

#[tokio::test]
async fn another_event_is_in_the_way_of_a_move_and_a_move_in_that_of_others() {
    let world = World::new().await;
    let (lab, den) = (network(&world, "lab", "ny2").await, network(&world, "den", "ny2").await);
    let id = world.create(json!({"networkId": lab})).await;
    let (status, why) = refused(&world, &id, &den).await;
    assert!(status == 409 && why.contains("(create)"), "{why}");
    world.settle().await;
    let event = put(&world, &id, json!({"networkId": den})).await["event"]["id"].clone();
    for verb in ["start", "restart"] {
        let reply = world.call(&format!("PATCH /v1/machines/{id}/{verb}"), json!({})).await;
        assert!(reply.status == 409 && reply.error().2.contains(event.as_str().unwrap()), "{}", reply.body);
    }
    let (status, why) = refused(&world, &id, &lab).await;
    assert!(status == 409 && why.contains("(vm-migrate)"), "{why}");
    assert_eq!(put(&world, &id, json!({"networkId": den})).await["event"]["id"], event);
    world.settle().await;
    order(&world, "delete", &id).await;
    let (status, why) = refused(&world, &id, &lab).await;
    assert_eq!((status, why), (409, format!("{id} is being deleted")));
    world.settle().await;
}

#[tokio::test]
async fn a_stop_or_a_delete_gives_a_move_up_wherever_it_is() {
    for nth in 0.. {
        let world = World::new().await;
        let (lab, den) = (network(&world, "lab", "ny2").await, network(&world, "den", "ny2").await);
        let ids =
            [world.create(json!({"networkId": lab})).await, world.create(json!({"networkId": lab})).await];
        world.settle().await;
        for id in &ids {
            put(&world, id, json!({"networkId": den})).await;
        }
        let mut over = false;
        for _ in 0..nth {
            over = !world.step().await;
        }
        order(&world, "stop", &ids[0]).await;
        order(&world, "delete", &ids[1]).await;
        world.settle().await;
        assert_eq!(world.machine(&ids[0]).await.state.word(), "off", "after {nth} visits");
        let left = world.machine(&ids[0]).await.network_id.unwrap().to_string();
        assert!([&lab, &den].contains(&&left), "after {nth} visits");
        let reserved = world.number("SELECT COUNT(*) AS n FROM machines WHERE moving_to IS NOT NULL").await;
        assert_eq!(reserved, 0, "after {nth} visits");
        let plugged = world.host.dump().lines().any(|line| line.contains(" at 10.64."));
        assert!(!plugged, "after {nth} visits: {}", world.host.dump());
        if over {
            break;
        }
    }
}

#[tokio::test]
async fn a_move_that_fails_ends_off_where_it_had_come_to() {
    for (call, network) in [(Call::RemoveNic, "lab"), (Call::EnsureNic, "den"), (Call::PowerOn, "den")] {
        let world = World::new().await;
        let (lab, den) =
            (self::network(&world, "lab", "ny2").await, self::network(&world, "den", "ny2").await);
        let id = world.create(json!({"networkId": lab})).await;
        world.settle().await;
        world.host.fail_always(Some((call, Fault::Final)));
        put(&world, &id, json!({"networkId": den})).await;
        world.live_seconds(60).await;
        assert_eq!(world.state(&id).await.1, "vm-migrate error", "{call}");
        world.host.fail_always(None);
        world.settle().await;
        assert_eq!(world.state(&id).await, ("off".into(), "vm-migrate error".into()), "{call}");
        let place = world.machine(&id).await.network_id.unwrap().to_string();
        assert_eq!(place, if network == "lab" { lab } else { den.clone() }, "{call}");
        put(&world, &id, json!({"networkId": den})).await;
        order_when_settled(&world, &id).await;
    }
}

async fn order_when_settled(world: &World, id: &MachineId) {
    world.settle().await;
    order(world, "start", id).await;
    world.settle().await;
    assert_eq!(world.state(id).await, ("ready".into(), "start done".into()));
}

#[tokio::test]
async fn what_a_failed_create_left_moves_and_starts_there() {
    let world = World::new().await;
    let lab = network(&world, "lab", "ny2").await;
    world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
    let id = world.create(json!({})).await;
    world.settle().await;
    world.host.fail_always(None);
    put(&world, &id, json!({"networkId": lab})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "vm-migrate done".into()));
    assert!(world.host.dump().ends_with("machines: none"), "{}", world.host.dump());
    order_when_settled(&world, &id).await;
    assert_eq!(json!(world.machine(&id).await.network_id), json!(lab));
}

/// Stops that are told as done of machines that are not off.
const TOO_EARLY: &str = "SELECT COUNT(*) AS n FROM machine_events JOIN machines ON machines.id = machine_id \
    WHERE machine_events.name = 'stop' AND state = 'done' AND shown_state <> 'off'";

#[tokio::test]
async fn a_stop_at_each_moment_of_a_move_is_not_lost() {
    for nth in (0..).step_by(sweep_step()) {
        let world = World::new().await;
        let (lab, den) = (network(&world, "lab", "ny2").await, network(&world, "den", "ny2").await);
        let id = world.create(json!({"networkId": lab, "publicIpType": "static"})).await;
        world.settle().await;
        put(&world, &id, json!({"networkId": den})).await;
        let reply = world.meanwhile_at(nth, &format!("PATCH /v1/machines/{id}/stop"), &json!({}));
        while world.step().await {
            assert_eq!(world.number(TOO_EARLY).await, 0, "moment {nth}: {}", world.dump().await);
        }
        let reply = *reply.lock().unwrap();
        if reply.is_none() {
            assert!(nth > 30, "{nth} moments are not a whole move");
            break;
        }
        assert_eq!(reply, Some(200), "moment {nth}");
        assert_eq!(world.state(&id).await, ("off".into(), "stop done".into()), "moment {nth}");
        let host = world.host.dump();
        assert!(!host.contains(" at 10.64.") && host.ends_with("; off"), "moment {nth}: {host}");
    }
}

#[tokio::test]
async fn a_change_at_each_moment_of_a_start_is_not_lost() {
    for nth in (0..).step_by(sweep_step()) {
        let world = World::new().await;
        let lab = network(&world, "lab", "ny2").await;
        let id =
            world.create(json!({"networkId": lab, "publicIpType": "dynamic", "startOnCreate": false})).await;
        world.settle().await;
        put(&world, &id, json!({"name": "early"})).await;
        order(&world, "start", &id).await;
        let changes = json!({"name": "late", "publicIpType": "static"});
        let reply = world.meanwhile_at(nth, &format!("PUT /v1/machines/{id}"), &changes);
        world.settle().await;
        let reply = *reply.lock().unwrap();
        if reply.is_none() {
            assert!(nth > 15, "{nth} moments are not a whole start");
            break;
        }
        assert_eq!(reply, Some(200), "moment {nth}");
        assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()), "moment {nth}");
        let ip = world.machine(&id).await.public_ip.unwrap();
        let plugged = format!("as {id} late, public {ip}");
        assert!(world.host.dump().contains(&plugged), "moment {nth}: {}", world.host.dump());
        let held = world.number("SELECT COUNT(*) AS n FROM public_ips WHERE machine_id IS NOT NULL").await;
        assert_eq!(held, 1, "moment {nth}");
    }
}

#[tokio::test]
async fn a_name_is_the_oldest_machines_wherever_machines_go() {
    let world = World::new().await;
    let (lab, den) = (network(&world, "lab", "ny2").await, network(&world, "den", "ny2").await);
    let first = world.create(json!({"networkId": lab})).await;
    let second = world.create(json!({"networkId": lab})).await;
    let third = world.create(json!({"networkId": den})).await;
    world.settle().await;
    let known = |id: &MachineId| names(&world, id);
    assert_eq!((known(&first), known(&second), known(&third)), ("web".into(), String::new(), "web".into()));
    put(&world, &first, json!({"networkId": den})).await;
    world.settle().await;
    assert_eq!((known(&first), known(&second), known(&third)), ("web".into(), "web".into(), String::new()));
    put(&world, &first, json!({"name": "db"})).await;
    world.settle().await;
    assert_eq!((known(&first), known(&third)), ("db".into(), "web".into()));
    put(&world, &third, json!({"name": "DB"})).await;
    world.settle().await;
    assert_eq!((known(&first), known(&third)), ("db".into(), String::new()));
    put(&world, &first, json!({"name": "not a label"})).await;
    world.settle().await;
    assert_eq!((known(&first), known(&third)), (String::new(), "db".into()));
}

#[tokio::test]
async fn an_address_is_kept_for_a_machine_that_is_on_its_way() {
    let world = World::new().await;
    let lab = network(&world, "lab", "ny2").await;
    let comes = world.create(json!({})).await;
    world.settle().await;
    put(&world, &comes, json!({"networkId": lab})).await;
    let made = world.create(json!({"networkId": lab})).await;
    let reply = world.call(&format!("DELETE /v1/private-networks/{lab}"), Value::Null).await;
    assert_eq!(reply.status, 412);
    for id in [&comes, &made] {
        assert!(reply.error().2.contains(&format!("{id} (web)")), "{}", reply.body);
    }
    world.settle().await;
    let ip = async |id| world.machine(id).await.private_ip.unwrap();
    assert_eq!((ip(&comes).await.as_str(), ip(&made).await.as_str()), ("10.64.0.3", "10.64.0.4"));
}

#[tokio::test]
async fn a_move_to_what_is_not_the_teams_or_elsewhere_changes_nothing() {
    let world = World::new().await;
    let far = network(&world, "far", "ca1").await;
    let id = world.create(json!({})).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let theirs =
        world.call_as(&key, "POST /v1/private-networks", json!({"name": "x", "region": "ny2"})).await;
    let theirs = theirs.body["id"].as_str().unwrap();
    world.settle().await;
    let before = world.dump().await;
    let (status, why) = refused(&world, &id, &far).await;
    assert_eq!((status, why), (400, format!("networkId: {far} is in the region ca1, {id} in ny2")));
    for unknown in [theirs, "n1"] {
        let told = format!("networkId: there is no private network {unknown}");
        assert_eq!(refused(&world, &id, unknown).await, (404, told));
    }
    assert_eq!(refused(&world, &id, "ps1").await.0, 400);
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn fifty_machines_arrive_though_the_server_is_killed_on_the_way() {
    for nth in [0, 3, 40, 150, 400, 700].into_iter().step_by(if is_slow() { 3 } else { 1 }) {
        let mut world = World::new().await;
        let mut ids = Vec::new();
        for n in 0..50 {
            ids.push(world.create(json!({"name": format!("m{n}"), "startOnCreate": n % 3 != 0})).await);
        }
        world.settle().await;
        let wanted = json!({"name": "lab", "region": "ny2", "migrateMachines": true});
        let lab = world.ok("POST /v1/private-networks", wanted).await;
        assert!(world.kill_at(nth).await, "the move was over before moment {nth}");
        world.settle().await;
        let mut addresses = std::collections::BTreeSet::new();
        for (n, id) in ids.iter().enumerate() {
            let machine = world.machine(id).await;
            assert_eq!(json!(machine.network_id), lab["id"], "killed at moment {nth}");
            let state = if n % 3 == 0 { "off" } else { "ready" };
            assert_eq!(world.state(id).await, (state.into(), "vm-migrate done".into()), "moment {nth}");
            addresses.insert(machine.private_ip.unwrap());
        }
        assert_eq!(addresses.len(), 50, "killed at moment {nth}");
        let host = world.host.dump();
        let lines = |what: &str| host.lines().filter(|line| line.contains(what)).count();
        assert_eq!((host.matches(" at 10.64.0.").count(), lines("172.31.255")), (33, 0), "{host}");
    }
}

#[tokio::test]
async fn migrating_is_decided_for_all_or_for_none() {
    let world = World::new().await;
    let wanted = json!({"name": "lab", "region": "ny2", "migrateMachines": true});
    let ready = world.create(json!({"startOnCreate": false})).await;
    world.settle().await;
    let busy = [world.create(json!({"name": "b"})).await, world.create(json!({"name": "c"})).await];
    let elsewhere = world.create(json!({"region": "ca1"})).await;
    let reply = world.call("POST /v1/private-networks", wanted.clone()).await;
    let (status, code, why) = reply.error();
    assert_eq!((status, code), (409, "CONFLICT"), "{why}");
    assert!(busy.iter().all(|id| why.contains(&format!("{id} (create)"))), "{why}");
    assert!(![&ready, &elsewhere].iter().any(|id| why.contains(id.as_str())), "{why}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM private_networks").await, 0);
    world.settle().await;
    order(&world, "delete", &busy[0]).await;
    let lab = world.ok("POST /v1/private-networks", wanted).await;
    world.settle().await;
    for id in [&ready, &busy[1]] {
        assert_eq!(json!(world.machine(id).await.network_id), lab["id"]);
    }
    assert_eq!(world.machine(&elsewhere).await.network_id, None);
}

#[tokio::test]
async fn more_machines_than_a_network_has_addresses_are_told_and_stay() {
    let world = World::new().await;
    for _ in 0..253 {
        world.ok("POST /v1/machines", machine(json!({"startOnCreate": false}))).await;
    }
    world.settle().await;
    let wanted = json!({"name": "lab", "region": "ny2", "migrateMachines": true});
    let reply = world.call("POST /v1/private-networks", wanted).await;
    assert_eq!(reply.error().1, "PRECONDITION_FAILED");
    assert!(
        reply.error().2.contains("253 machines are in no network, and a network has 252"),
        "{}",
        reply.body
    );
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM private_networks").await, 0);
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM machines WHERE moving_to IS NOT NULL").await, 0);
}
