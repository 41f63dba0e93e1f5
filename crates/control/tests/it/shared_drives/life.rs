//! The life of a drive on its host.

use deckle_control::reconciler;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fault, Fuse};
use deckle_engine::specs::{DriveSpec, HostNetwork};
use serde_json::{Value, json};

use super::{detail, id, lab, path, wanted};
use crate::world::World;

const SETTLED: &str = "\
machines: none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
shared drives:
  sd1 data ny2 1 GiB in n1 at \\\\10.64.0.2\\sd1 as sd1
events: none
taken: 0 places, 0 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24; sd1 with password 1
machines: none
drives:
  sd1: 1 GiB";

#[tokio::test]
async fn a_drive_is_made_shared_and_destroyed() {
    let world = World::new().await;
    let empty = world.dump().await;
    let drive = lab(&world, 1).await;
    assert_eq!(drive["size"], json!(1 << 30));
    assert_eq!(drive["username"], drive["id"]);
    assert_eq!(world.dump().await, SETTLED);
    assert_eq!(world.ok(&format!("GET {}", path(&drive)), Value::Null).await, drive);
    assert_eq!(world.ok("GET /v1/shared-drives", Value::Null).await["items"], json!([drive]));
    assert_eq!(detail(&world, &path(&drive)).await, (true, String::new()));

    let deleted = world.ok(&format!("DELETE {}", path(&drive)), Value::Null).await;
    assert_eq!(deleted, json!({"id": drive["id"]}));
    assert_eq!(world.ok("GET /v1/shared-drives", Value::Null).await["items"], json!([]));
    for line in ["GET", "PUT", "DELETE"] {
        let reply = world.call(&format!("{line} {}", path(&drive)), json!({})).await;
        assert_eq!(reply.error().1, "NOT_FOUND", "{line}");
    }
    world.settle().await;
    let network = format!("DELETE /v1/private-networks/{}", drive["networkId"].as_str().unwrap());
    world.ok(&network, Value::Null).await;
    world.settle().await;
    assert_eq!(world.dump().await, empty);
}

#[tokio::test]
async fn what_is_left_of_a_drive_is_a_leak_and_a_drive_is_none() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
    world.ok(&format!("DELETE {}", path(&drive)), Value::Null).await;
    assert_eq!(
        world.admin("GET /admin/leaks", Value::Null).await.body,
        json!([]),
        "it is still to be visited"
    );
    world.settle().await;
    let spec = DriveSpec { drive: id(&drive["id"]), network: id(&drive["networkId"]), size_bytes: 1 << 30 };
    world.host.ensure_drive(&spec).await.unwrap();
    let leaks = world.admin("GET /admin/leaks", Value::Null).await.body;
    assert_eq!(leaks[0]["of"], drive["id"], "{leaks}");
}

#[tokio::test]
async fn a_name_changes_and_nothing_else() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let line = format!("PUT {}", path(&drive));
    let mut renamed = drive.clone();
    renamed["name"] = json!("Büro");
    assert_eq!(world.ok(&line, json!({"name": "Büro"})).await, renamed);
    assert_eq!(world.ok(&line, json!({})).await, renamed);
    let found = world.ok("GET /v1/shared-drives?name=B%C3%9CRO", Value::Null).await;
    assert_eq!(found["items"], json!([renamed]));
    assert_eq!(world.ok("GET /v1/shared-drives?name=data", Value::Null).await["items"], json!([]));
    world.settle().await;
    assert_eq!(world.dump().await, SETTLED.replace("sd1 data", "sd1 Büro"));
}

#[tokio::test]
async fn a_drive_grows_while_it_is_shared_and_never_shrinks() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let line = format!("POST {}/resize", path(&drive));
    assert_eq!(world.ok(&line, json!({"size": 3})).await["size"], json!(3u64 << 30));
    assert!(!detail(&world, &path(&drive)).await.0);
    world.settle().await;
    let grown = SETTLED.replace("1 GiB", "3 GiB");
    assert_eq!(world.dump().await, grown);
    let writes = world.writes();
    assert_eq!(world.ok(&line, json!({"size": 3})).await["size"], json!(3u64 << 30), "the same size");
    assert_eq!((world.writes(), detail(&world, &path(&drive)).await.0), (writes, true));
    let reply = world.call(&line, json!({"size": 2})).await;
    assert_eq!(reply.error().1, "PRECONDITION_FAILED");
    assert!(reply.error().2.contains("has 3 GB and cannot shrink to 2 GB"), "{}", reply.body);
    world.settle().await;
    assert_eq!(world.dump().await, grown);
}

#[tokio::test]
async fn a_rotated_password_takes_the_place_of_the_old_one() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let rotated = world.ok(&format!("POST {}/rotate-password", path(&drive)), Value::Null).await;
    assert_ne!(rotated["password"], drive["password"]);
    let mut same = rotated.clone();
    same["password"] = drive["password"].clone();
    assert_eq!(same, drive);
    world.settle().await;
    assert_eq!(world.dump().await, SETTLED.replace("password 1", "password 2"));
    assert_eq!(world.ok(&format!("GET {}", path(&drive)), Value::Null).await, rotated);
}

#[tokio::test]
async fn what_shares_drives_is_back_at_once_when_it_ends() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let network = json!({"id": drive["networkId"]});
    world.ok("POST /v1/shared-drives", wanted(&network, 2)).await;
    world.settle().await;
    let before = world.dump().await;
    world.host.end_shares(&HostNetwork::Private(id(&drive["networkId"])));
    assert!(!world.host.dump().contains("with password"), "{}", world.host.dump());
    reconciler::mind_loss(&world.app, world.hooked.as_ref()).await;
    world.live_seconds(1).await;
    assert_eq!(world.dump().await, before);
}

#[tokio::test]
async fn a_lost_image_is_told_and_never_made_again() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    world.host.lose_drive(&id(&drive["id"]));
    world.live_seconds(120).await;
    let (ready, trouble) = detail(&world, &path(&drive)).await;
    assert!(!ready && trouble.contains("is missing from its host; it is not made again"), "{trouble}");
    assert!(!world.host.dump().contains("drives:"), "{}", world.host.dump());
    let writes = world.writes();
    world.live_seconds(120).await;
    assert_eq!(world.writes(), writes, "what is told is told once");
    assert_eq!(detail(&world, &path(&drive)).await, (false, trouble));

    world.ok(&format!("DELETE {}", path(&drive)), Value::Null).await;
    world.settle().await;
    assert!(!world.dump().await.contains("sd1"), "{}", world.dump().await);
}

#[tokio::test]
async fn a_reboot_of_the_host_brings_everything_back() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    world.ok(&format!("POST {}/resize", path(&drive)), json!({"size": 2})).await;
    let rotated = world.ok(&format!("POST {}/rotate-password", path(&drive)), Value::Null).await;
    world.settle().await;
    let before = world.dump().await;
    world.host.reboot_host();
    assert_ne!(world.dump().await, before);
    world.drift().await;
    world.drift().await;
    assert_eq!(world.dump().await, before);
    assert_eq!(world.ok(&format!("GET {}", path(&drive)), Value::Null).await, rotated);
}

#[tokio::test]
async fn a_settled_drive_is_left_alone() {
    let world = World::new().await;
    lab(&world, 1).await;
    world.drift().await;
    let (writes, calls) = (world.writes(), world.host.calls());
    world.drift().await;
    let made = world.host.calls();
    let changed = calls.iter().zip(&made).filter(|(before, after)| before != after);
    let methods: Vec<_> = changed.map(|((call, _), (_, after))| (call.method(), *after)).collect();
    assert!(methods.iter().all(|(method, _)| method.starts_with("look_")), "{methods:?}");
    assert_eq!(world.writes(), writes);
}

#[tokio::test]
async fn a_network_goes_after_its_last_drive() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let network = format!("/v1/private-networks/{}", drive["networkId"].as_str().unwrap());
    let refused = async |told: String| {
        let reply = world.call(&format!("DELETE {network}"), Value::Null).await;
        assert_eq!(reply.error().1, "PRECONDITION_FAILED");
        assert!(reply.error().2.ends_with(&told), "{}", reply.body);
    };
    let drives = format!("shared drives: {} (data)", drive["id"].as_str().unwrap());
    refused(format!("still has {drives}; delete them first")).await;
    let machine = world.create(json!({"networkId": drive["networkId"], "startOnCreate": false})).await;
    let both = format!("still has machines: {machine} (web), and {drives}");
    refused(format!("{both}; delete or move the machines and delete the drives first")).await;
    world.ok(&format!("DELETE /v1/machines/{machine}"), Value::Null).await;
    world.settle().await;
    world.host.fail_always(Some((Call::RemoveDrive, Fault::Passing)));
    world.ok(&format!("DELETE {}", path(&drive)), Value::Null).await;
    world.ok(&format!("DELETE {network}"), Value::Null).await;
    world.live_seconds(100).await;
    let host = world.host.dump();
    assert!(host.contains("10.64.0.0/24") && host.contains("drives:"), "it waits: {host}");
    assert_eq!(world.number("SELECT COUNT(*) AS n FROM network_slots WHERE network_id IS NOT NULL").await, 1);
    world.host.fail_always(None);
    world.live_seconds(2).await;
    world.settle().await;
    let dump = world.dump().await;
    assert!(dump.ends_with("t0nspur5: 3 GiB\nnetworks: none\nmachines: none"), "{dump}");
    assert!(dump.contains("0 networks"), "{dump}");
}

#[tokio::test]
async fn a_fault_of_the_host_is_told_until_it_passes() {
    let calls =
        [Call::LookDrive, Call::EnsureDrive, Call::EnsureShare, Call::LookNetwork, Call::EnsureNetwork];
    for (call, fault) in calls.into_iter().flat_map(|call| [(call, Fault::Passing), (call, Fault::Final)]) {
        let world = World::new().await;
        world.host.fail_always(Some((call, fault)));
        let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
        let drive = world.ok("POST /v1/shared-drives", wanted(&network, 1)).await;
        world.live_seconds(100).await;
        let (ready, trouble) = detail(&world, &path(&drive)).await;
        assert!(
            !ready && trouble.contains(&format!("call {call}: a test lets it fail")),
            "{call}: {trouble}"
        );
        if matches!(call, Call::LookNetwork | Call::EnsureNetwork) {
            let network = format!("/v1/private-networks/{}", network["id"].as_str().unwrap());
            let (ready, trouble) = detail(&world, &network).await;
            assert!(!ready && trouble.contains(&format!("call {call}")), "{call}: {trouble}");
        }
        world.host.fail_always(None);
        world.settle().await;
        assert_eq!(detail(&world, &path(&drive)).await, (true, String::new()), "{call} {fault:?}");
        assert_eq!(world.dump().await, SETTLED, "{call} {fault:?}");
    }
}

#[tokio::test]
async fn what_is_done_in_vain_is_told_and_not_done_without_end() {
    for call in [Call::EnsureDrive, Call::EnsureShare] {
        let world = World::new().await;
        world.hooked.in_vain(Some(call));
        let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
        let drive = world.ok("POST /v1/shared-drives", wanted(&network, 1)).await;
        world.live_seconds(300).await;
        let trouble = detail(&world, &path(&drive)).await.1;
        assert!(trouble.contains("times that it was done, and does not show it"), "{trouble}");
        let times = world.hooked.made_in_vain();
        assert!(times < 400, "{call}: {times}");
        world.hooked.in_vain(None);
        world.settle().await;
        assert_eq!(world.dump().await, SETTLED);
    }
}

#[tokio::test]
async fn an_order_in_the_middle_of_a_visit_reaches_its_end() {
    let calls = [Call::LookDrive, Call::EnsureDrive, Call::LookNetwork, Call::EnsureShare];
    for moment in calls.into_iter().flat_map(|call| [Fuse::Before(call), Fuse::After(call)]) {
        for (line, end) in [("POST /rotate-password", "password 2"), ("DELETE ", "")] {
            let world = World::new().await;
            let network =
                world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
            let drive = world.ok("POST /v1/shared-drives", wanted(&network, 1)).await;
            let (method, verb) = line.split_once(' ').unwrap();
            let reply = world.meanwhile(moment, &format!("{method} {}{verb}", path(&drive)));
            world.settle().await;
            assert_eq!(*reply.lock().unwrap(), Some(200), "{moment:?} {line}");
            let host = world.host.dump();
            match end {
                "" => assert!(!host.contains("drives:") && !host.contains("password"), "{moment:?}: {host}"),
                end => assert!(host.contains(end), "{moment:?}: {host}"),
            }
        }
    }
}

#[tokio::test]
async fn an_order_during_a_visit_is_not_settled_by_it() {
    let world = World::new().await;
    let drive = lab(&world, 1).await;
    let rotate = format!("POST {}/rotate-password", path(&drive));
    world.ok(&rotate, Value::Null).await;
    while !world.host.dump().contains("with password 2") {
        reconciler::visit_next(&world.app).await;
    }
    let reply = world.meanwhile(Fuse::After(Call::LookDrive), &rotate);
    while reply.lock().unwrap().is_none() {
        assert!(!detail(&world, &path(&drive)).await.0, "it is not looked at yet");
        reconciler::visit_next(&world.app).await;
    }
    assert!(!detail(&world, &path(&drive)).await.0, "the third password is not in force");
    world.settle().await;
    assert!(world.host.dump().contains("with password 3"), "{}", world.host.dump());
}
