//! Public addresses: claimed, led to machines, taken away, given back.

mod pools;

use deckle_api::ids::MachineId;
use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::{World, machine};

async fn claim(world: &World, region: &str) -> String {
    let claimed = world.ok("POST /v1/public-ips", json!({"region": region})).await;
    assert_eq!(claimed.get("assignedMachineId"), None);
    claimed["ip"].as_str().unwrap().to_owned()
}

async fn assign(world: &World, ip: &str, machine: &MachineId) -> Value {
    let assigned = world.ok(&format!("PUT /v1/public-ips/{ip}"), json!({"machineId": machine})).await;
    assert_eq!((&assigned["ip"], &assigned["assignedMachineId"]), (&json!(ip), &json!(machine)));
    assigned
}

/// The type of a machine's public address, the address, and the one that its host leads to it.
async fn address(world: &World, id: &MachineId) -> (Value, Option<String>, Option<String>) {
    let shown = world.machine(id).await;
    let host = world.host.dump();
    let plugged =
        host.split([';', '\n']).find(|part| part.trim().starts_with(&format!("{id} at"))).unwrap_or("");
    let led = plugged.split_once("public ").map(|(_, ip)| ip.to_owned());
    (json!(shown.public_ip_type), shown.public_ip, led)
}

fn has(kind: &str, ip: Option<&str>, led: Option<&str>) -> (Value, Option<String>, Option<String>) {
    (json!(kind), ip.map(str::to_owned), led.map(str::to_owned))
}

#[tokio::test]
async fn an_address_is_claimed_listed_assigned_moved_unassigned_and_released() {
    let world = World::new().await;
    let (first, second) =
        (world.create(json!({})).await, world.create(json!({"publicIpType": "dynamic"})).await);
    world.settle().await;
    let ip = claim(&world, "East Coast (NY2)").await;
    assert_eq!(ip, "203.0.113.2");
    assign(&world, &ip, &first).await;
    world.settle().await;
    assert_eq!(address(&world, &first).await, has("static", Some(&ip), Some(&ip)));

    assign(&world, &ip, &second).await;
    assert_eq!(address(&world, &first).await.0, "none");
    world.settle().await;
    assert_eq!(address(&world, &first).await, has("none", None, None));
    assert_eq!(address(&world, &second).await, has("static", Some(&ip), Some(&ip)));
    assert!(!world.host.dump().contains("boot 2"), "nothing was started again");
    assert_eq!(claim(&world, "ny2").await, "203.0.113.1", "the dynamic one was given back");

    for none in [json!({"machineId": null}), json!({})] {
        assign(&world, &ip, &second).await;
        world.settle().await;
        let free = world.ok(&format!("PUT /v1/public-ips/{ip}"), none).await;
        assert_eq!(free.get("assignedMachineId"), None);
        world.settle().await;
        assert_eq!(address(&world, &second).await, has("none", None, None));
    }
    assign(&world, &ip, &first).await;
    assert_eq!(world.ok(&format!("DELETE /v1/public-ips/{ip}"), Value::Null).await, json!({"ip": ip}));
    world.settle().await;
    assert_eq!(address(&world, &first).await, has("none", None, None));
    assert_eq!(world.call(&format!("DELETE /v1/public-ips/{ip}"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_static_address_stays_through_power_cycles_restarts_and_deletion() {
    let mut world = World::new().await;
    let ordered = world.ok("POST /v1/machines", machine(json!({"publicIpType": "static"}))).await;
    let ip = ordered["data"]["publicIp"].as_str().expect("it is there at once").to_owned();
    let id: MachineId = serde_json::from_value(ordered["data"]["id"].clone()).unwrap();
    world.settle().await;
    assert_eq!(address(&world, &id).await, has("static", Some(&ip), Some(&ip)));
    order(&world, "stop", &id).await;
    world.settle().await;
    assert_eq!(address(&world, &id).await, has("static", Some(&ip), None));
    assert!(world.host.dump().contains("networks: none"), "{}", world.host.dump());
    world.restart_server().await;
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(address(&world, &id).await, has("static", Some(&ip), Some(&ip)));
    order(&world, "delete", &id).await;
    world.settle().await;
    let listed = world.ok("GET /v1/public-ips", Value::Null).await;
    assert_eq!((&listed["items"][0]["ip"], listed["items"][0].get("assignedMachineId")), (&json!(ip), None));
}

#[tokio::test]
async fn a_failed_create_keeps_its_claim() {
    let world = World::new().await;
    world.host.fail_always(Some((Call::PowerOn, deckle_engine::emulator::Fault::Final)));
    let id = world.create(json!({"publicIpType": "static"})).await;
    world.settle().await;
    assert_eq!(world.state(&id).await, ("off".into(), "create error".into()));
    assert_eq!(address(&world, &id).await, has("static", Some("203.0.113.1"), None));
    world.host.fail_always(None);
    order(&world, "start", &id).await;
    world.settle().await;
    assert_eq!(address(&world, &id).await, has("static", Some("203.0.113.1"), Some("203.0.113.1")));
}

#[tokio::test]
async fn what_the_new_machine_had_stays_claimed() {
    let world = World::new().await;
    let id = world.create(json!({"publicIpType": "static", "startOnCreate": false})).await;
    world.settle().await;
    let ip = claim(&world, "ny2").await;
    assign(&world, &ip, &id).await;
    assign(&world, &ip, &id).await;
    let listed = world.ok("GET /v1/public-ips?order=asc", Value::Null).await;
    let assigned: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["ip"].clone(), row.get("assignedMachineId")))
        .collect();
    assert_eq!(assigned, [(json!("203.0.113.1"), None), (json!(ip), Some(&json!(id)))]);
    world.settle().await;
    assert_eq!(address(&world, &id).await, has("static", Some(&ip), None));
}

/// The address goes to the other machine, in the middle of each call of a visit to the first one: it leads
/// to the second one in the end, and soon.
#[tokio::test]
async fn an_address_that_goes_on_in_the_middle_of_a_visit_leads_to_the_last_one() {
    let calls = [Call::LookMachine, Call::EnsurePublicIp];
    for moment in calls.into_iter().flat_map(|call| [Fuse::Before(call), Fuse::After(call)]) {
        let world = World::new().await;
        let (first, second) =
            (world.create(json!({})).await, world.create(json!({"startOnCreate": false})).await);
        world.settle().await;
        let ip = claim(&world, "ny2").await;
        assign(&world, &ip, &first).await;
        let reply = world.meanwhile(moment, &format!("DELETE /v1/public-ips/{ip}"));
        while deckle_control::reconciler::visit_next(&world.app).await {}
        assert_eq!(*reply.lock().unwrap(), Some(200), "{moment:?}");
        assert_eq!(address(&world, &first).await, has("none", None, None), "{moment:?}");
        world.hooked.hook(None);
        assert_eq!(claim(&world, "ny2").await, ip);
        assign(&world, &ip, &second).await;
        order(&world, "start", &second).await;
        world.settle().await;
        assert_eq!(address(&world, &second).await, has("static", Some(&ip), Some(&ip)), "{moment:?}");
    }
}

/// A visit that was late has led an address here that is another machine's by now.
#[tokio::test]
async fn a_lost_race_mends_at_once() {
    let world = World::new().await;
    let (loser, holder) =
        (world.create(json!({})).await, world.create(json!({"publicIpType": "static"})).await);
    world.settle().await;
    let ip = world.machine(&holder).await.public_ip.unwrap();
    let late = deckle_engine::specs::PublicIpSpec {
        machine: loser.clone(),
        network: deckle_engine::specs::HostNetwork::Own(loser.clone()),
        public_ip: ip.parse().unwrap(),
        ip: "172.31.255.254".parse().unwrap(),
    };
    deckle_engine::Engine::ensure_public_ip(&*world.host, &late).await.unwrap();
    assert_eq!(address(&world, &holder).await.2, None, "it is stolen");
    world.ok(&format!("PUT /v1/machines/{loser}"), json!({"name": "visited"})).await;
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(address(&world, &loser).await, has("none", None, None));
    assert_eq!(address(&world, &holder).await, has("static", Some(&ip), Some(&ip)));
}

/// However an address is taken from a machine, and whatever the server lives through: as long as the host leads
/// it there, no other team has it.
#[tokio::test]
async fn an_address_is_another_teams_once_it_has_left() {
    for (kind, other) in [("static", "none"), ("dynamic", "none"), ("static", "dynamic")] {
        let mut world = World::new().await;
        let id = world.create(json!({"publicIpType": kind})).await;
        world.settle().await;
        let ip = world.machine(&id).await.public_ip.unwrap();
        let rival = world.new_team("Other Mill").await;
        let rival = world.new_key(&rival, "owner@example.com", json!([])).await;
        let claim_there = async |world: &World| {
            let claimed = world.call_as(&rival, "POST /v1/public-ips", json!({"region": "ny2"})).await;
            claimed.body["ip"].as_str().unwrap().to_owned()
        };
        world.host.fail_always(Some((Call::RemovePublicIp, Fault::Passing)));
        world.ok(&format!("PUT /v1/machines/{id}"), json!({"publicIpType": other})).await;
        if kind == "static" {
            world.ok(&format!("DELETE /v1/public-ips/{ip}"), Value::Null).await;
        }
        if other == "none" {
            for _ in 0..2 {
                assert_ne!(claim_there(&world).await, ip, "{kind}");
                world.live_seconds(60).await;
                assert_eq!(address(&world, &id).await, has("none", None, Some(&ip)), "{kind}");
                world.restart_server().await;
            }
        } else {
            assert_ne!(claim_there(&world).await, ip, "{kind}");
        }
        world.host.fail_always(None);
        world.settle().await;
        let left = claim_there(&world).await;
        assert_eq!(left == ip, other == "none", "{kind}: its own machine may have it back at once");
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM public_ips_leaving").await, 0);
    }
}

/// An address is led on within its team at once, and released before its machines have been visited.
#[tokio::test]
async fn an_address_leaves_every_machine_that_it_may_lead_to() {
    let world = World::new().await;
    let (first, second) = (world.create(json!({})).await, world.create(json!({})).await);
    world.settle().await;
    let ip = claim(&world, "ny2").await;
    assign(&world, &ip, &first).await;
    world.settle().await;
    world.host.fail_always(Some((Call::RemovePublicIp, Fault::Passing)));
    assign(&world, &ip, &second).await;
    world.ok(&format!("DELETE /v1/public-ips/{ip}"), Value::Null).await;
    world.live_seconds(60).await;
    assert_eq!(address(&world, &first).await, has("none", None, Some(&ip)));
    assert_eq!(address(&world, &second).await, has("none", None, None));
    assert_ne!(claim(&world, "ny2").await, ip);
    order(&world, "delete", &second).await;
    world.live_seconds(60).await;
    assert_ne!(claim(&world, "ny2").await, ip);
    world.host.fail_always(None);
    world.settle().await;
    assert_eq!(claim(&world, "ny2").await, ip);
    assign(&world, &ip, &first).await;
    world.settle().await;
    assert_eq!(address(&world, &first).await, has("static", Some(&ip), Some(&ip)));
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM public_ips_leaving").await, 0);
}

#[tokio::test]
async fn an_address_of_another_region_of_another_team_or_of_nobody_is_not_assigned() {
    let world = World::new().await;
    let (here, far) = (world.create(json!({})).await, world.create(json!({"region": "ca1"})).await);
    let ip = claim(&world, "ny2").await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let theirs = world.call_as(&key, "POST /v1/public-ips", json!({"region": "ny2"})).await.body;
    let theirs = theirs["ip"].as_str().unwrap();
    let their_machine = world.call_as(&key, "POST /v1/machines", machine(json!({}))).await.body;
    let dynamic = world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    let held = world.machine(&dynamic).await.public_ip.unwrap();
    let deleted = world.create(json!({})).await;
    world.settle().await;
    order(&world, "delete", &deleted).await;
    let before = world.dump().await;
    let told = async |line: String, body: Value| {
        let reply = world.call(&line, body).await;
        assert_eq!(reply.body.as_object().unwrap().len(), 2, "{line}: {}", reply.body);
        (reply.status, reply.error().2.to_owned())
    };
    let wrong = format!("machineId: {far} is in the region ca1, the address in ny2");
    let own = format!("PUT /v1/public-ips/{ip}");
    assert_eq!(told(own.clone(), json!({"machineId": far})).await, (400, wrong));
    assert_eq!(
        told(own.clone(), json!({"machineId": deleted})).await,
        (409, format!("{deleted} is being deleted"))
    );
    let unknown = their_machine["data"]["id"].as_str().unwrap();
    let no_machine = format!("machineId: there is no machine {unknown}");
    assert_eq!(told(own.clone(), json!({"machineId": unknown})).await, (404, no_machine));
    assert_eq!(told(own.clone(), json!({"machineId": "n1"})).await.0, 400);
    assert_eq!(told(own, json!({"machine": null})).await.0, 400);
    for ip in [theirs, &held, "203.0.113.99", "192.0.2.1"] {
        let nothing = (404, format!("there is no public address {ip}"));
        assert_eq!(told(format!("PUT /v1/public-ips/{ip}"), json!({"machineId": here})).await, nothing);
        assert_eq!(told(format!("DELETE /v1/public-ips/{ip}"), Value::Null).await, nothing);
        assert_eq!(told(format!("GET /v1/public-ips/{ip}/protection"), Value::Null).await, nothing);
    }
    for ip in ["x", "203.0.113", "203.0.113.256", "203.0.113.1%2F24", "::1", "%00", "3405803777"] {
        let (status, why) = told(format!("DELETE /v1/public-ips/{ip}"), Value::Null).await;
        assert!(status == 404 && why.starts_with("there is no `"), "{ip}: {why}");
        assert_eq!(told(format!("PUT /v1/public-ips/{ip}"), json!({"machineId": here})).await.0, 404);
    }
    for (body, field) in [
        (json!({}), "region"),
        (json!({"region": "mars"}), "region"),
        (json!({"region": "ny2", "ip": "203.0.113.9"}), "ip"),
    ] {
        let (status, why) = told("POST /v1/public-ips".to_owned(), body).await;
        assert!(status == 400 && why.starts_with(&format!("{field}: ")), "{why}");
    }
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_list_is_walked_in_pages_by_region() {
    let world = World::new().await;
    let mut claimed = Vec::new();
    for n in 0..7 {
        claimed.push(claim(&world, if n % 3 == 0 { "ca1" } else { "ny2" }).await);
    }
    world.create(json!({"publicIpType": "dynamic"})).await;
    world.settle().await;
    let walk = async |query: &str| {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let page = world.ok(&format!("GET /v1/public-ips?limit=2{query}{after}"), Value::Null).await;
            rows.extend(
                page["items"].as_array().unwrap().iter().map(|row| row["ip"].as_str().unwrap().to_owned()),
            );
            match page.get("nextPage") {
                Some(next) => after = format!("&after={}", next.as_str().unwrap()),
                None => return rows,
            }
        }
    };
    assert_eq!(walk("&order=asc").await, claimed);
    claimed.reverse();
    assert_eq!(walk("").await, claimed);
    let far: Vec<_> = claimed.iter().rev().step_by(3).rev().cloned().collect();
    assert_eq!(walk("&region=ca1").await, far);
    assert_eq!(walk("&region=West%20Coast%20(CA1)&order=desc").await, far);
    assert_eq!(walk("&region=ams1").await, Vec::<String>::new());

    let next =
        world.ok("GET /v1/public-ips?limit=2", Value::Null).await["nextPage"].as_str().unwrap().to_owned();
    world.ok("POST /v1/private-networks", json!({"name": "a", "region": "ny2"})).await;
    world.ok("POST /v1/private-networks", json!({"name": "b", "region": "ny2"})).await;
    let networks = world.ok("GET /v1/private-networks?limit=1", Value::Null).await["nextPage"]
        .as_str()
        .unwrap()
        .to_owned();
    let swapped = format!("{}{}{}", &next[4..8], &next[..4], &next[8..]);
    for query in [
        format!("after={}", &next[1..]),
        format!("after={}", &next[..next.len() - 1]),
        format!("after={swapped}"),
        format!("after={networks}"),
        format!("order=asc&after={next}"),
        format!("region=ny2&after={next}"),
        "after=".to_owned(),
        "limit=0".to_owned(),
        "limit=121".to_owned(),
        "limit=-1".to_owned(),
        "limit=2.5".to_owned(),
        "orderBy=ip".to_owned(),
    ] {
        assert_eq!(
            world.call(&format!("GET /v1/public-ips?{query}"), Value::Null).await.status,
            400,
            "{query}"
        );
    }
    let reply = world.call(&format!("GET /v1/private-networks?after={next}"), Value::Null).await;
    assert_eq!(reply.status, 400, "of another list");
}

#[tokio::test]
async fn the_type_of_an_address_changes_without_a_boot() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    world.settle().await;
    let change = async |kind: &str| {
        let changed = world.ok(&format!("PUT /v1/machines/{id}"), json!({"publicIpType": kind})).await;
        assert_eq!((changed.get("event"), &changed["data"]["publicIpType"]), (None, &json!(kind)));
        world.settle().await;
        let listed = world.ok("GET /v1/public-ips?order=asc", Value::Null).await;
        let (_, ip, led) = address(&world, &id).await;
        assert_eq!(ip, led);
        let claimed: Vec<_> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.get("assignedMachineId").is_some())
            .collect();
        (ip, claimed)
    };
    let at = |last: u8| Some(format!("203.0.113.{last}"));
    assert_eq!(change("dynamic").await, (at(1), vec![]));
    assert_eq!(change("dynamic").await, (at(1), vec![]));
    assert_eq!(change("static").await, (at(1), vec![true]), "the one that was given back is claimed");
    assert_eq!(change("static").await, (at(1), vec![true]));
    assert_eq!(change("none").await, (None, vec![false]));
    assert_eq!(change("static").await, (at(2), vec![false, true]));
    assert_eq!(change("dynamic").await, (at(3), vec![false, false]));
    assert_eq!(change("none").await, (None, vec![false, false]));
    assert!(world.host.dump().contains("boot 1"), "{}", world.host.dump());
    order(&world, "stop", &id).await;
    world.settle().await;
    assert_eq!(change("dynamic").await, (None, vec![false, false]), "none is held by what is off");
}
