//! Bad input: a clear error, and the world as it was.

use serde_json::{Value, json};

use crate::world::{TEMPLATE_GIB, World, machine};

/// Sends each body, and sees that it is refused so and changes nothing.
async fn refused(world: &World, cases: Vec<(Value, u16, &str)>) {
    let before = world.dump().await;
    for (changes, status, expected) in cases {
        let reply = world.call("POST /v1/machines", machine(changes.clone())).await;
        assert_eq!(reply.status, status, "{changes}: {}", reply.body);
        assert!(reply.error().2.contains(expected), "{changes}: {}", reply.body);
    }
    while deckle_control::reconciler::visit_next(&world.app).await {}
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn what_is_missing_or_unknown_is_named() {
    let world = World::new().await;
    let mut cases = Vec::new();
    let fields = ["name", "machineType", "templateId", "diskSize", "region"];
    for (field, told) in
        fields.iter().zip(["name: ", "machineType: ", "templateId: ", "diskSize: ", "region: "])
    {
        cases.push((json!({*field: null}), 400, told));
    }
    cases.extend([
        (json!({"templateId": "t0"}), 404, "templateId: there is no template t0"),
        (json!({"templateId": "ps0"}), 400, "templateId: expected the id of a template"),
        (json!({"machineType": "C99"}), 400, "machineType: there is no machine type `C99`"),
        (json!({"machineType": ""}), 400, "machineType: there is no machine type"),
        (
            json!({"machineType": "A100-80G", "region": "ca1"}),
            400,
            "machineType: the region ca1 does not offer A100-80G",
        ),
        (json!({"region": "mars"}), 400, "region: there is no region `mars`; there are ams1, ca1, ny2"),
        (json!({"region": ""}), 400, "region: "),
        (json!({"networkId": "n123"}), 404, "networkId: there is no private network n123"),
        (json!({"networkId": "sc123"}), 400, "networkId: expected the id of a private network"),
        (json!({"startupScriptId": "sc123"}), 404, "startupScriptId: there is no startup script sc123"),
        (json!({"startupScriptId": "n123"}), 400, "startupScriptId: expected the id of a startup script"),
        (json!({"enableNvlink": true}), 400, "enableNvlink: C2 has no NVLink"),
    ]);
    refused(&world, cases).await;
}

#[tokio::test]
async fn a_disk_has_bounds() {
    let world = World::new().await;
    let expected =
        format!("diskSize: expected a whole number of GB from {TEMPLATE_GIB}, the template's size, to 16000");
    let sizes =
        [json!(2), json!(0), json!(-1), json!(-50), json!(50.5), json!(16001), json!(1e18), json!(u64::MAX)];
    refused(
        &world,
        sizes.into_iter().map(|size| (json!({"diskSize": size}), 400, expected.as_str())).collect(),
    )
    .await;
    let key = [("authorization", format!("Bearer {}", world.key))];
    let absurd = machine(json!({})).to_string().replace("50", "1e999");
    assert_eq!(world.send("POST /v1/machines", &key, absurd).await.status, 400);
    for size in [3, 16000] {
        world.create(json!({"diskSize": size, "startOnCreate": false})).await;
    }
}

#[tokio::test]
async fn names_have_bounds() {
    let world = World::new().await;
    let long = "x".repeat(10_000);
    let wrong = ["", "   ", "\t", &long, "a\nb", "a\u{0}b", "\u{7f}", "a\u{85}b"];
    refused(&world, wrong.into_iter().map(|name| (json!({"name": name}), 400, "name: expected")).collect())
        .await;
    for noun in ["private-networks", "startup-scripts"] {
        for name in wrong {
            let body = match noun {
                "private-networks" => json!({"name": name, "region": "ny2"}),
                _ => json!({"name": name, "script": "true"}),
            };
            let reply = world.call(&format!("POST /v1/{noun}"), body).await;
            assert_eq!((reply.status, &reply.error().2[..14]), (400, "name: expected"), "{name:?}");
        }
    }
    for name in
        ["ä".repeat(255), "Büro 7 🦀".to_owned(), "'; DROP TABLE machines; --".to_owned(), "%_\\".to_owned()]
    {
        let id = world.create(json!({"name": name, "startOnCreate": false})).await;
        assert_eq!(world.machine(&id).await.name, name);
    }
}

#[tokio::test]
async fn another_teams_things_and_another_regions_network_are_refused() {
    let world = World::new().await;
    let network = json!({"name": "lab", "region": "ca1"});
    let network = world.ok("POST /v1/private-networks", network).await;
    let other = world.new_team("Other Mill").await;
    let key = world.new_key(&other, "owner@example.com", json!([])).await;
    let theirs =
        world.call_as(&key, "POST /v1/private-networks", json!({"name": "x", "region": "ny2"})).await;
    let script =
        world.call_as(&key, "POST /v1/startup-scripts", json!({"name": "x", "script": "true"})).await;
    world.settle().await;
    let cases = vec![
        (json!({"networkId": network["id"]}), 400, "is in the region ca1, the machine in ny2"),
        (json!({"networkId": theirs.body["id"]}), 404, "networkId: there is no private network"),
        (json!({"startupScriptId": script.body["id"]}), 404, "startupScriptId: there is no startup script"),
    ];
    refused(&world, cases).await;
}

#[tokio::test]
async fn what_a_machine_does_by_itself_has_bounds() {
    let world = World::new().await;
    let hours = "autoShutdownTimeout: expected a whole number of hours from 1 to 168";
    let count = "autoSnapshotSaveCount: expected a whole number from 0 to 10";
    let mut cases: Vec<_> = [json!(0), json!(-1), json!(1.5), json!(169), json!(1e300)]
        .into_iter()
        .flat_map(|wrong| [(wrong.clone(), true), (wrong, false)])
        .map(|(wrong, on)| match on {
            true => (json!({"autoShutdownEnabled": true, "autoShutdownTimeout": wrong}), 400, hours),
            false => (json!({"autoShutdownTimeout": wrong}), 400, hours),
        })
        .collect();
    for wrong in [json!(11), json!(-1), json!(0.5), json!(1e300)] {
        cases.push((json!({"autoSnapshotEnabled": true, "autoSnapshotSaveCount": wrong}), 400, count));
        cases.push((json!({"autoSnapshotSaveCount": wrong}), 400, count));
    }
    for (field, wrong) in [
        ("autoShutdownEnabled", json!("yes")),
        ("autoShutdownTimeout", json!("2")),
        ("autoShutdownForce", json!(1)),
        ("autoSnapshotEnabled", json!("daily")),
        ("autoSnapshotFrequency", json!("yearly")),
        ("autoSnapshotSaveCount", json!("2")),
        ("restorePointEnabled", json!("shutdown")),
        ("restorePointFrequency", json!("hourly")),
    ] {
        cases.push((json!({field: wrong}), 400, field));
    }
    refused(&world, cases).await;
}

#[tokio::test]
async fn scripts_and_ssh_keys_have_bounds() {
    let world = World::new().await;
    for script in [String::new(), "x".repeat(16 * 1024 + 1)] {
        let reply = world.call("POST /v1/startup-scripts", json!({"name": "x", "script": script})).await;
        assert_eq!((reply.status, &reply.error().2[..36]), (400, "script: expected 1 to 16384 bytes, f"));
    }
    world.ok("POST /v1/startup-scripts", json!({"name": "x", "script": "x".repeat(16 * 1024)})).await;
    for key in ["", "ssh-ed25519", "ssh-dss AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"] {
        let reply = world.call("POST /v1/ssh-keys", json!({"name": "x", "publicKey": key})).await;
        assert_eq!((reply.status, &reply.error().2[..20]), (400, "publicKey: expected "), "{key}");
    }
}
