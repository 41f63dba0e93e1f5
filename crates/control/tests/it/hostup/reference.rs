//! The reference's page replayed, and one network seen in both dialects.

use serde_json::{Value, json};

use super::{NETWORKS, items, lab, make, problem, set_quota, text, v1_id};
use crate::broken_host::order;
use crate::world::World;

#[tokio::test]
async fn the_references_sample_comes_out() {
    let world = World::new().await;
    set_quota(&world, 1).await;
    let made =
        make(&world, json!({"name": "production-private", "parentCidr": "10.42.0.0/21", "region": "ny2"}))
            .await;
    world.settle().await;
    let network = v1_id(&world, "production-private").await;
    world.create(json!({"networkId": network, "name": "web-01"})).await;
    world.settle().await;
    let headers =
        [("authorization", format!("Bearer {}", world.key)), ("accept", "application/json".to_owned())];
    let reply = world.send(&format!("GET {NETWORKS}"), &headers, "").await;
    assert_eq!((reply.status, &reply.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!(
        reply.body,
        json!({
            "data": [{
                "id": made["id"],
                "name": "production-private",
                "parentCidr": "10.42.0.0/21",
                "region": "ny2",
                "status": "active",
                "subnetCount": 1,
                "attachedVpsCount": 1,
                "actions": {
                    "canDelete": {
                        "allowed": false,
                        "reason": "Detach or delete 1 VPS interface before deleting this private network."
                    },
                    "canAddSubnet": {"allowed": false, "reason": "Private network limit reached."}
                },
                "createdAt": made["createdAt"],
            }],
            "hasMore": false,
            "nextCursor": null,
        })
    );
    let keys: Vec<_> = reply.body["data"][0].as_object().unwrap().keys().cloned().collect();
    let documented = [
        "id",
        "name",
        "parentCidr",
        "region",
        "status",
        "subnetCount",
        "attachedVpsCount",
        "actions",
        "createdAt",
    ];
    assert_eq!(keys, documented, "in the order of the page");
    assert!(text(&made, "createdAt").ends_with('Z') && text(&made, "createdAt").len() == 24);
}

#[tokio::test]
async fn each_documented_request_has_its_documented_answer() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        make(&world, json!({"name": name})).await;
    }
    world.settle().await;
    let page = world.ok(&format!("GET {NETWORKS}?limit=2&region=ams1"), Value::Null).await;
    assert_eq!(page, json!({"data": [], "hasMore": false, "nextCursor": null}));
    let first = world.app.config.regions[0].clone();
    let page = world.ok(&format!("GET {NETWORKS}?limit=2&region={first}"), Value::Null).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["hasMore"]), (2, &json!(true)));
    let cursor = text(&page, "nextCursor");
    let page = world.ok(&format!("GET {NETWORKS}?limit=2&region={first}&cursor={cursor}"), Value::Null).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["nextCursor"]), (1, &Value::Null));

    let bad = world.call(&format!("GET {NETWORKS}?limit=0"), Value::Null).await;
    problem(&bad, 400, "invalid_request");
    assert_eq!(bad.body["title"], "Validation failed");
    assert_eq!(bad.body["errors"][0]["pointer"], "/limit");
    problem(&world.send(&format!("GET {NETWORKS}"), &[], "").await, 401, "unauthorized");
    let vm = world.new_key(&world.team, "owner@example.com", json!(["read:vm", "write:network"])).await;
    let refused = world.call_as(&vm, &format!("GET {NETWORKS}?limit=x"), Value::Null).await;
    assert_eq!(problem(&refused, 403, "forbidden"), "the key lacks the scope `read:network`");
    problem(&world.call("GET /api/v2/orders", Value::Null).await, 404, "not_found");
}

#[tokio::test]
async fn a_network_is_one_in_both_dialects() {
    let world = World::new().await;
    let empty = world.dump().await;
    let first = world.ok("POST /v1/private-networks", lab()).await;
    let item = items(&world, "").await.remove(0);
    assert_eq!((&item["name"], &item["status"]), (&json!("lab"), &json!("provisioning")));
    assert_eq!((&item["parentCidr"], &first["network"]), (&json!("10.64.0.0/21"), &json!("10.64.0.0")));
    let open = json!({"allowed": true, "reason": null});
    assert_eq!(item["actions"]["canDelete"], open, "it is deleted while it is being made, too");
    assert_eq!(item["actions"]["canAddSubnet"]["reason"], "The private network is not active.");
    world.settle().await;
    let item = items(&world, "").await.remove(0);
    assert_eq!((&item["status"], &item["createdAt"]), (&json!("active"), &first["dtCreated"]));
    assert_eq!(item["actions"], json!({"canDelete": open, "canAddSubnet": open}));

    let second = make(&world, json!({"name": "den", "region": "ca1", "description": "kept nowhere"})).await;
    let there =
        world.ok(&format!("GET /v1/private-networks/{}", v1_id(&world, "den").await), Value::Null).await;
    assert_eq!((&there["network"], &there["region"]), (&json!("10.64.8.0"), &json!("ca1")));
    world.settle().await;
    assert!(world.host.dump().contains("10.64.8.0/24"), "{}", world.host.dump());

    for id in [text(&item, "id"), text(&second, "id")] {
        let reply = world.call(&format!("DELETE {NETWORKS}/{id}"), Value::Null).await;
        assert_eq!((reply.status, &reply.body), (204, &Value::Null));
        for line in ["GET", "DELETE"] {
            let gone = world.call(&format!("{line} {NETWORKS}/{id}"), Value::Null).await;
            problem(&gone, 404, "private_network_not_found");
        }
    }
    assert_eq!(world.ok("GET /v1/private-networks", Value::Null).await["items"], json!([]));
    world.settle().await;
    assert_eq!(world.dump().await, empty);
}

/// A network that is being made is deleted as any other. Once it was there, it is not being made again.
#[tokio::test]
async fn a_gate_and_a_status_are_true_while_a_network_is_made_and_mended() {
    let world = World::new().await;
    let made = make(&world, lab()).await;
    assert_eq!(
        (text(&made, "status"), &made["actions"]["canDelete"]["allowed"]),
        ("provisioning", &json!(true))
    );
    let line = format!("DELETE {NETWORKS}/{}", text(&made, "id"));
    assert_eq!(world.call(&line, Value::Null).await.status, 204);

    make(&world, json!({"name": "den", "region": "ny2"})).await;
    let network = v1_id(&world, "den").await;
    let files = json!({"name": "files", "size": 1, "region": "ny2", "networkId": network});
    let files = world.ok("POST /v1/shared-drives", files).await;
    let item = items(&world, "").await.remove(0);
    assert_eq!(
        (text(&item, "status"), &item["actions"]["canDelete"]["allowed"]),
        ("provisioning", &json!(false))
    );
    world.ok(&format!("DELETE /v1/shared-drives/{}", text(&files, "id")), Value::Null).await;
    let protection = format!("PUT /v1/private-networks/{network}/protection");
    world.ok(&protection, json!({"isProtected": true})).await;
    let item = items(&world, "").await.remove(0);
    assert_eq!(
        (text(&item, "status"), &item["actions"]["canDelete"]["allowed"]),
        ("provisioning", &json!(false))
    );
    world.ok(&protection, json!({"isProtected": false})).await;
    world.settle().await;
    let rule = json!({"networkId": network, "direction": "inbound", "protocol": "tcp", "portFrom": 22});
    world.ok("POST /v1/firewall-rules", rule).await;
    assert_eq!(
        world.number("SELECT COUNT(*) AS n FROM private_networks WHERE NOT settled AND made").await,
        1
    );
    let item = items(&world, "").await.remove(0);
    let open = json!({"allowed": true, "reason": null});
    assert_eq!((text(&item, "status"), &item["actions"]["canAddSubnet"]), ("active", &open));
}

#[tokio::test]
async fn the_detail_says_what_is_in_a_network() {
    let world = World::new().await;
    let made = make(&world, json!({"name": "lab", "region": "ny2"})).await;
    world.settle().await;
    let network = v1_id(&world, "lab").await;
    let first = world.create(json!({"networkId": network, "name": "one"})).await;
    let second = world.create(json!({"networkId": network, "name": "two", "startOnCreate": false})).await;
    let files = json!({"name": "files", "size": 1, "region": "ny2", "networkId": network});
    let files = world.ok("POST /v1/shared-drives", files).await;
    world.settle().await;
    let path = format!("{NETWORKS}/{}", text(&made, "id"));
    let detail = world.ok(&format!("GET {path}"), Value::Null).await;
    let digits = &text(&made, "id")["pnet_".len()..];
    assert_eq!(
        detail["subnets"],
        json!([{"id": format!("subnet_{digits}"), "subnetCidr": "10.64.0.0/24", "vlanTag": null,
            "gateway": "10.64.0.1", "status": "active"}])
    );
    let machines: Vec<_> = detail["attachedVps"].as_array().unwrap().iter().collect();
    assert_eq!(
        machines.iter().map(|vps| (text(vps, "name"), text(vps, "primaryIp"))).collect::<Vec<_>>(),
        [("one", "10.64.0.3"), ("two", "10.64.0.4")]
    );
    for (vps, id) in machines.iter().zip([&first, &second]) {
        let read: deckle_api::hostup::VpsId = text(vps, "id").parse().unwrap();
        assert_eq!(read.machine().as_ref(), Some(id));
    }
    assert_eq!((&detail["attachedVpsCount"], &detail["subnetCount"]), (&json!(2), &json!(1)));
    let item = items(&world, "").await.remove(0);
    for (key, value) in item.as_object().unwrap() {
        assert_eq!(&detail[key], value, "{key}");
    }
    let reason = "Detach or delete 2 VPS interfaces and 1 shared drive before deleting this private network.";
    assert_eq!(detail["actions"]["canDelete"], json!({"allowed": false, "reason": reason}));
    let before = world.dump().await;
    let refused = world.call(&format!("DELETE {path}"), Value::Null).await;
    let told = problem(&refused, 409, "network_in_use");
    assert!(told.contains(&format!("{first} (one), {second} (two)")), "{told}");
    assert_eq!(world.dump().await, before);

    for id in [first, second] {
        order(&world, "delete", &id).await;
    }
    world.settle().await;
    let gate = world.ok(&format!("GET {path}"), Value::Null).await["actions"]["canDelete"].clone();
    let reason = "Detach or delete 1 shared drive before deleting this private network.";
    assert_eq!(gate, json!({"allowed": false, "reason": reason}));
    let refused = world.call(&format!("DELETE {path}"), Value::Null).await;
    let told = problem(&refused, 409, "network_in_use");
    assert!(told.contains(&format!("{} (files)", text(&files, "id"))), "{told}");
    world.ok(&format!("DELETE /v1/shared-drives/{}", text(&files, "id")), Value::Null).await;
    let protection = format!("PUT /v1/private-networks/{network}/protection");
    world.ok(&protection, json!({"isProtected": true})).await;
    let detail = world.ok(&format!("GET {path}"), Value::Null).await;
    assert_eq!((&detail["attachedVps"], &detail["attachedVpsCount"]), (&json!([]), &json!(0)));
    assert!(text(&detail["actions"]["canDelete"], "reason").contains("is protected"), "{detail}");
    let refused = world.call(&format!("DELETE {path}"), Value::Null).await;
    assert!(problem(&refused, 409, "network_protected").contains(&protection), "{}", refused.body);
    world.ok(&protection, json!({"isProtected": false})).await;
    assert_eq!(world.call(&format!("DELETE {path}"), Value::Null).await.status, 204);
}

#[tokio::test]
async fn a_quota_closes_the_gate_of_subnets() {
    let world = World::new().await;
    let gate = async || items(&world, "").await.remove(0)["actions"]["canAddSubnet"]["allowed"].clone();
    make(&world, lab()).await;
    world.settle().await;
    assert_eq!(gate().await, json!(true), "no quota is no limit");
    for (most, open) in [(2, true), (1, false), (0, false)] {
        set_quota(&world, most).await;
        assert_eq!(gate().await, json!(open), "{most}");
    }
}

#[tokio::test]
async fn a_post_can_be_sent_again() {
    let world = World::new().await;
    let headers =
        [("authorization", format!("Bearer {}", world.key)), ("idempotency-key", "once".to_owned())];
    let line = format!("POST {NETWORKS}");
    let first = world.send(&line, &headers, lab().to_string()).await;
    let again = world.send(&line, &headers, lab().to_string()).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(items(&world, "").await.len(), 1);
    let other = world.send(&line, &headers, json!({"name": "other"}).to_string()).await;
    assert!(problem(&other, 409, "conflict").contains("with another body"));
}

#[tokio::test]
async fn the_description_is_served() {
    let world = World::new().await;
    let reply = world.send("GET /api/v2/openapi.json", &[], "").await;
    assert_eq!((reply.status, reply.body), (200, deckle_control::openapi_v2()));
}
