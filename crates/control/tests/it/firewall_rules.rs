//! Firewall rules: what is asked, what is refused, and what is in force on the host.

use deckle_api::firewall_rules::{FirewallDirection, FirewallProtocol};
use deckle_control::config::Config;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault, Fuse};
use deckle_engine::seen::NetworkSeen;
use deckle_engine::specs::{FirewallRule, HostNetwork, NetworkSpec};
use serde_json::{Value, json};

use crate::broken_host::order;
use crate::world::World;

const OWN: &str = "172.31.255.252/30";

async fn network(world: &World) -> Value {
    world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await
}

async fn rule(world: &World, wanted: Value) -> Value {
    world.ok("POST /v1/firewall-rules", wanted).await
}

/// Inbound TCP to some machines, by a port, from anywhere.
fn tcp(machines: &str, port: u16) -> FirewallRule {
    FirewallRule {
        machines: machines.parse().unwrap(),
        direction: FirewallDirection::Inbound,
        protocol: FirewallProtocol::Tcp,
        ports: Some((port, port)),
        peers: "0.0.0.0/0".parse().unwrap(),
    }
}

/// Whether exactly those rules are in force in a network.
async fn in_force(world: &World, network: &HostNetwork, cidr: &str, rules: &[FirewallRule]) -> bool {
    let mut firewall = rules.to_vec();
    firewall.sort();
    let spec = NetworkSpec { network: network.clone(), cidr: cidr.parse().unwrap(), firewall };
    world.host.look_network(&spec).await.unwrap() == NetworkSeen::Whole
}

fn private(network: &Value) -> HostNetwork {
    HostNetwork::Private(network["id"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_rule_is_told_as_it_was_asked() {
    let world = World::new().await;
    let network = network(&world).await;
    let made = rule(&world, json!({"networkId": network["id"], "direction": "inbound"})).await;
    let (id, created) = (made["id"].clone(), made["dtCreated"].clone());
    let expected = json!({
        "id": id, "networkId": network["id"], "machineId": null, "direction": "inbound", "protocol": "any",
        "portFrom": null, "portTo": null, "cidr": "0.0.0.0/0", "description": null, "dtCreated": created,
    });
    assert_eq!(made, expected);
    let path = format!("/v1/firewall-rules/{}", id.as_str().unwrap());
    assert_eq!(world.ok(&format!("GET {path}"), Value::Null).await, expected);
    let more = json!({
        "networkId": network["id"], "direction": "outbound", "protocol": "udp", "portFrom": 53,
        "cidr": "198.51.100.7", "description": "names",
    });
    let more = rule(&world, more).await;
    let told = ["portFrom", "portTo", "cidr", "description"].map(|field| more[field].clone());
    assert_eq!(told, [json!(53), json!(53), json!("198.51.100.7/32"), json!("names")]);
    assert_eq!(world.ok(&format!("DELETE {path}"), Value::Null).await, json!({"id": id}));
    assert_eq!(world.call(&format!("GET {path}"), Value::Null).await.error().1, "NOT_FOUND");
    assert_eq!(world.call(&format!("DELETE {path}"), Value::Null).await.error().1, "NOT_FOUND");
    assert_eq!(world.ok("GET /v1/firewall-rules", Value::Null).await["items"], json!([more]));
}

#[tokio::test]
async fn rules_are_listed_by_what_they_are_for() {
    let world = World::new().await;
    let (lab, den) = (network(&world).await, network(&world).await);
    let machine = world.create(json!({"networkId": lab["id"], "startOnCreate": false})).await;
    for target in
        [json!({"networkId": lab["id"]}), json!({"networkId": den["id"]}), json!({"machineId": machine})]
    {
        for port in [80, 443] {
            let mut wanted = target.clone();
            wanted["direction"] = json!("inbound");
            wanted["protocol"] = json!("tcp");
            wanted["portFrom"] = json!(port);
            rule(&world, wanted).await;
        }
    }
    let lab = lab["id"].as_str().unwrap();
    for (query, found) in [
        (String::new(), 6),
        (format!("networkId={lab}"), 2),
        (format!("machineId={machine}"), 2),
        (format!("machineId={machine}&networkId={lab}"), 0),
        ("networkId=n1".to_owned(), 0),
    ] {
        let (mut rules, mut after) = (Vec::new(), String::new());
        loop {
            let line = format!("GET /v1/firewall-rules?limit=1&order=asc&{query}{after}");
            let page = world.ok(&line, Value::Null).await;
            rules.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page.get("nextPage") else { break };
            after = format!("&after={}", next.as_str().unwrap());
        }
        assert_eq!(rules.len(), found, "{query}");
        assert!(rules.is_sorted_by_key(|rule| rule["dtCreated"].as_str().unwrap().to_owned()), "{query}");
    }
    assert_eq!(world.call("GET /v1/firewall-rules?machineId=n1", Value::Null).await.error().1, "BAD_REQUEST");
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    let world = World::new().await;
    let network = network(&world).await;
    let machine = world.create(json!({})).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let theirs =
        world.call_as(&key, "POST /v1/private-networks", json!({"name": "x", "region": "ny2"})).await;
    let theirs_machine = crate::world::machine(json!({"startOnCreate": false}));
    let theirs_machine = world.call_as(&key, "POST /v1/machines", theirs_machine).await.body["data"].clone();
    world.settle().await;
    let before = world.dump().await;
    for (changes, status, told) in [
        (json!({"networkId": null}), 400, "networkId: "),
        (json!({"machineId": machine}), 400, "networkId, machineId: a rule is for one of them"),
        (json!({"networkId": "n1"}), 404, "networkId: there is no private network n1"),
        (json!({"networkId": theirs.body["id"]}), 404, "networkId: there is no private network"),
        (json!({"networkId": "ps1"}), 400, "networkId: expected the id of a private network"),
        (
            json!({"direction": "both"}),
            400,
            "direction: unknown variant `both`, expected `inbound` or `outbound`",
        ),
        (json!({"protocol": "sctp"}), 400, "protocol: unknown variant `sctp`"),
        (json!({"protocol": "icmp"}), 400, "portFrom: only the protocols tcp and udp have ports"),
        (json!({"protocol": "any"}), 400, "portFrom: only the protocols tcp and udp have ports"),
        (json!({"portFrom": 0}), 400, "portFrom: expected a port from 1 to 65535"),
        (json!({"portFrom": 65536}), 400, "portFrom: "),
        (json!({"portFrom": -1}), 400, "portFrom: "),
        (json!({"portFrom": 1.5}), 400, "portFrom: "),
        (json!({"portTo": 0}), 400, "portTo: expected a port from 1 to 65535"),
        (json!({"portTo": 79}), 400, "portTo: expected a port from 80, which is portFrom, to 65535"),
        (
            json!({"cidr": "10.0.0.5/8"}),
            400,
            "cidr: 10.0.0.5/8 is an address inside a range; the range is 10.0.0.0/8",
        ),
        (json!({"cidr": "10.0.0.0/33"}), 400, "cidr: expected an IPv4 range"),
        (json!({"cidr": "2001:db8::/32"}), 400, "cidr: expected an IPv4 range"),
        (json!({"cidr": "anywhere"}), 400, "cidr: expected an IPv4 range"),
        (json!({"cidr": ""}), 400, "cidr: expected an IPv4 range"),
        (json!({"description": "a\nb"}), 400, "description: expected no control characters"),
        (json!({"description": "x".repeat(256)}), 400, "description: expected 1 to 255 characters"),
        (json!({"ports": "80"}), 400, "ports: is not a field of this request"),
    ] {
        let mut wanted =
            json!({"networkId": network["id"], "direction": "inbound", "protocol": "tcp", "portFrom": 80});
        for (field, value) in changes.as_object().unwrap() {
            wanted[field] = value.clone();
        }
        let reply = world.call("POST /v1/firewall-rules", wanted).await;
        assert_eq!(reply.status, status, "{changes}: {}", reply.body);
        assert!(reply.error().2.contains(told), "{changes}: {}", reply.body);
    }
    for (wanted, status, told) in [
        (json!({"direction": "inbound"}), 400, "networkId, machineId: one of them is required"),
        (json!({"networkId": network["id"]}), 400, "direction: is required"),
        (json!({"machineId": "ps1", "direction": "inbound"}), 404, "machineId: there is no machine ps1"),
        (
            json!({"machineId": theirs_machine["id"], "direction": "inbound"}),
            404,
            "machineId: there is no machine",
        ),
        (
            json!({"networkId": network["id"], "direction": "inbound", "protocol": "tcp", "portTo": 80}),
            400,
            "portTo: send portFrom too",
        ),
    ] {
        let reply = world.call("POST /v1/firewall-rules", wanted.clone()).await;
        assert_eq!(reply.status, status, "{wanted}: {}", reply.body);
        assert!(reply.error().2.contains(told), "{wanted}: {}", reply.body);
    }
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn the_same_rule_twice_is_a_conflict_that_names_the_first() {
    let world = World::new().await;
    let (lab, den) = (network(&world).await, network(&world).await);
    let wanted = |network: &Value| json!({"networkId": network["id"], "direction": "inbound", "protocol": "tcp", "portFrom": 22});
    let first = rule(&world, wanted(&lab)).await;
    let mut same = wanted(&lab);
    (same["portTo"], same["cidr"], same["description"]) =
        (json!(22), json!("0.0.0.0/0"), json!("other words"));
    let reply = world.call("POST /v1/firewall-rules", same.clone()).await;
    assert_eq!(reply.error().1, "CONFLICT");
    assert!(reply.error().2.contains(first["id"].as_str().unwrap()), "{}", reply.body);
    rule(&world, wanted(&den)).await;
    same["portTo"] = json!(23);
    rule(&world, same).await;
}

#[tokio::test]
async fn a_network_and_a_machine_have_so_many_rules() {
    let mut config = Config::default();
    config.limits.firewall_rules = 3;
    let world = World::with(config, None).await;
    let network = network(&world).await;
    let machine = world.create(json!({"networkId": network["id"], "startOnCreate": false})).await;
    for target in [json!({"networkId": network["id"]}), json!({"machineId": machine})] {
        let wanted = |port: u16| {
            let mut wanted = target.clone();
            (wanted["direction"], wanted["protocol"], wanted["portFrom"]) =
                (json!("inbound"), json!("tcp"), json!(port));
            wanted
        };
        let mut first = Value::Null;
        for port in 1..=3 {
            first = rule(&world, wanted(port)).await;
        }
        let reply = world.call("POST /v1/firewall-rules", wanted(4)).await;
        assert_eq!(reply.error().1, "PRECONDITION_FAILED");
        assert!(reply.error().2.contains("has 3 firewall rules, and may have no more"), "{}", reply.body);
        world.ok(&format!("DELETE /v1/firewall-rules/{}", first["id"].as_str().unwrap()), Value::Null).await;
        rule(&world, wanted(4)).await;
    }
}

#[tokio::test]
async fn a_network_has_its_own_rules_and_those_of_its_machines() {
    let world = World::new().await;
    let (lab, den) = (network(&world).await, network(&world).await);
    let first = world.create(json!({"networkId": lab["id"]})).await;
    let second = world.create(json!({"networkId": lab["id"]})).await;
    world.settle().await;
    let of_lab = rule(
        &world,
        json!({"networkId": lab["id"], "direction": "inbound", "protocol": "tcp", "portFrom": 22}),
    )
    .await;
    for machine in [&first, &second] {
        rule(
            &world,
            json!({"machineId": machine, "direction": "inbound", "protocol": "tcp", "portFrom": 443}),
        )
        .await;
    }
    let detail = format!("GET /v1/private-networks/{}/detail", lab["id"].as_str().unwrap());
    assert_eq!(world.ok(&detail, Value::Null).await["isReady"], json!(false));
    world.settle().await;
    assert_eq!(world.ok(&detail, Value::Null).await["isReady"], json!(true));
    let (one, two) = ("10.64.0.3/32", "10.64.0.4/32");
    let all = [tcp("10.64.0.0/24", 22), tcp(one, 443), tcp(two, 443)];
    assert!(in_force(&world, &private(&lab), "10.64.0.0/24", &all).await, "{}", world.host.dump());
    assert!(in_force(&world, &private(&den), "10.64.8.0/24", &[]).await, "{}", world.host.dump());

    world.ok(&format!("DELETE /v1/firewall-rules/{}", of_lab["id"].as_str().unwrap()), Value::Null).await;
    world.settle().await;
    assert!(in_force(&world, &private(&lab), "10.64.0.0/24", &all[1..]).await, "{}", world.host.dump());

    order(&world, "delete", &first).await;
    world.settle().await;
    assert!(in_force(&world, &private(&lab), "10.64.0.0/24", &all[2..]).await, "{}", world.host.dump());
    let left = world.ok("GET /v1/firewall-rules", Value::Null).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "a rule goes with its machine: {left}");
}

#[tokio::test]
async fn a_machine_without_a_network_has_rules_too() {
    let world = World::new().await;
    let machine = world.create(json!({})).await;
    world.settle().await;
    let before = world.state(&machine).await;
    let made = rule(
        &world,
        json!({"machineId": machine, "direction": "inbound", "protocol": "tcp", "portFrom": 22}),
    )
    .await;
    world.settle().await;
    let own = HostNetwork::Own(machine.clone());
    let rules = [tcp("172.31.255.254/32", 22)];
    assert!(in_force(&world, &own, OWN, &rules).await, "{}", world.host.dump());
    assert_eq!(world.state(&machine).await, before, "it runs on");
    world.host.reboot_host();
    world.drift().await;
    assert!(in_force(&world, &own, OWN, &rules).await, "{}", world.host.dump());
    world.ok(&format!("DELETE /v1/firewall-rules/{}", made["id"].as_str().unwrap()), Value::Null).await;
    world.settle().await;
    assert!(in_force(&world, &own, OWN, &[]).await, "{}", world.host.dump());
}

#[tokio::test]
async fn a_machine_is_not_plugged_in_before_its_rules_are_in_force() {
    for alone in [true, false] {
        let world = World::new().await;
        let network = network(&world).await;
        let network = if alone { Value::Null } else { network["id"].clone() };
        let machine = world.create(json!({"networkId": network, "startOnCreate": false})).await;
        world.settle().await;
        // The machine's rule does not come to the host, however often the machine is visited.
        world.host.fail_always(Some((Call::EnsureNetwork, Fault::Passing)));
        rule(
            &world,
            json!({"machineId": machine, "direction": "inbound", "protocol": "tcp", "portFrom": 22}),
        )
        .await;
        order(&world, "start", &machine).await;
        world.live_seconds(60).await;
        assert!(!world.host.dump().contains(&format!("{machine} at")), "{}", world.host.dump());
        world.host.fail_always(None);
        world.settle().await;
        assert!(world.host.dump().contains(&format!("{machine} at")), "{}", world.host.dump());
        assert!(world.host.dump().contains("1 firewall rules"), "{}", world.host.dump());
    }
}

#[tokio::test]
async fn a_change_that_the_host_refuses_is_told_and_tried_again() {
    let world = World::new().await;
    let network = network(&world).await;
    world.settle().await;
    world.host.fail_always(Some((Call::EnsureNetwork, Fault::Passing)));
    rule(
        &world,
        json!({"networkId": network["id"], "direction": "inbound", "protocol": "tcp", "portFrom": 22}),
    )
    .await;
    world.live_seconds(10).await;
    let line = format!("GET /v1/private-networks/{}/detail", network["id"].as_str().unwrap());
    let detail = world.ok(&line, Value::Null).await;
    assert_eq!((&detail["isReady"], detail["dtLastError"].is_string()), (&json!(false), true));
    assert!(detail["lastError"].as_str().unwrap().contains("call ensure_network"), "{detail}");
    world.host.fail_always(None);
    world.settle().await;
    assert!(in_force(&world, &private(&network), "10.64.0.0/24", &[tcp("10.64.0.0/24", 22)]).await);
    let detail = world.ok(&line, Value::Null).await;
    assert_eq!((&detail["isReady"], &detail["lastError"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_rule_goes_with_its_network() {
    let world = World::new().await;
    let network = network(&world).await;
    rule(&world, json!({"networkId": network["id"], "direction": "outbound"})).await;
    world.settle().await;
    world.ok(&format!("DELETE /v1/private-networks/{}", network["id"].as_str().unwrap()), Value::Null).await;
    assert_eq!(world.ok("GET /v1/firewall-rules", Value::Null).await["items"], json!([]));
    world.settle().await;
    assert!(world.host.dump().contains("networks: none"), "{}", world.host.dump());
}

#[tokio::test]
async fn a_changed_firewall_on_the_host_is_put_right() {
    let world = World::new().await;
    let network = network(&world).await;
    rule(
        &world,
        json!({"networkId": network["id"], "direction": "inbound", "protocol": "tcp", "portFrom": 22}),
    )
    .await;
    world.settle().await;
    let empty = NetworkSpec {
        network: private(&network),
        cidr: "10.64.0.0/24".parse().unwrap(),
        firewall: Vec::new(),
    };
    world.host.ensure_network(&empty).await.unwrap();
    world.drift().await;
    assert!(in_force(&world, &private(&network), "10.64.0.0/24", &[tcp("10.64.0.0/24", 22)]).await);
}

#[tokio::test]
async fn a_change_during_a_visit_is_not_settled_by_it() {
    let world = World::new().await;
    let network = network(&world).await;
    let made = rule(&world, json!({"networkId": network["id"], "direction": "inbound"})).await;
    while !world.host.dump().contains("1 firewall rules") {
        deckle_control::reconciler::visit_next(&world.app).await;
    }
    let detail = format!("GET /v1/private-networks/{}/detail", network["id"].as_str().unwrap());
    let delete = format!("DELETE /v1/firewall-rules/{}", made["id"].as_str().unwrap());
    let reply = world.meanwhile(Fuse::After(Call::LookNetwork), &delete);
    while reply.lock().unwrap().is_none() {
        deckle_control::reconciler::visit_next(&world.app).await;
    }
    assert_eq!(world.ok(&detail, Value::Null).await["isReady"], json!(false), "the rule is still in force");
    world.settle().await;
    assert_eq!(world.ok(&detail, Value::Null).await["isReady"], json!(true));
    assert!(in_force(&world, &private(&network), "10.64.0.0/24", &[]).await, "{}", world.host.dump());
}

#[tokio::test]
async fn a_machines_rules_are_in_force_where_it_is_plugged_in() {
    let world = World::new().await;
    let (lab, den) = (network(&world).await, network(&world).await);
    let machine = world.create(json!({"networkId": lab["id"]})).await;
    let wanted = json!({"machineId": machine, "direction": "inbound", "protocol": "tcp", "portFrom": 22});
    rule(&world, wanted).await;
    world.settle().await;
    order(&world, "stop", &machine).await;
    world.settle().await;
    let place = format!("network_id = '{}', private_ip = private_ip + 8 * 256", den["id"].as_str().unwrap());
    world.run(&format!("UPDATE machines SET {place} WHERE id = '{machine}'")).await;
    world.host.fail_always(Some((Call::EnsureNetwork, Fault::Passing)));
    order(&world, "start", &machine).await;
    world.live_seconds(20).await;
    assert!(!world.host.dump().contains(&format!("{machine} at")), "{}", world.host.dump());
    world.host.fail_always(None);
    world.settle().await;
    world.drift().await;
    assert!(in_force(&world, &private(&lab), "10.64.0.0/24", &[]).await, "{}", world.host.dump());
    let rules = [tcp("10.64.8.3/32", 22)];
    assert!(in_force(&world, &private(&den), "10.64.8.0/24", &rules).await, "{}", world.host.dump());
    assert!(world.host.dump().contains(&format!("{machine} at 10.64.8.3")), "{}", world.host.dump());
}
