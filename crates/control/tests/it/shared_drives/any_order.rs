//! Whatever is ordered of drives, and whatever befalls their host and their server: the end is what was
//! ordered last.

use deckle_api::sizes::GB;
use deckle_control::reconciler;
use deckle_engine::Engine;
use deckle_engine::emulator::{Call, Fuse};
use deckle_engine::seen::{DriveImageSeen, DriveSeen, ShareSeen};
use deckle_engine::specs::HostNetwork;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{id, path, wanted};
use crate::world::World;

#[derive(Debug, Clone)]
enum Act {
    Create,
    Resize(usize, u64),
    Rotate(usize),
    Delete(usize),
    Rule,
    Visits(usize),
    Fail(Fuse),
    EndShares,
    Reboot,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let call = prop::sample::select(vec![
        Call::LookDrive,
        Call::EnsureDrive,
        Call::EnsureShare,
        Call::RemoveShare,
        Call::RemoveDrive,
        Call::LookNetwork,
        Call::EnsureNetwork,
    ]);
    let fuse = (call, any::<bool>());
    let fuse = fuse.prop_map(|(call, after)| if after { Fuse::After(call) } else { Fuse::Before(call) });
    prop_oneof![
        2 => Just(Act::Create),
        2 => (0usize..4, 1u64..9).prop_map(|(drive, size)| Act::Resize(drive, size)),
        2 => (0usize..4).prop_map(Act::Rotate),
        1 => (0usize..4).prop_map(Act::Delete),
        1 => Just(Act::Rule),
        4 => (1usize..8).prop_map(Act::Visits),
        2 => fuse.prop_map(Act::Fail),
        1 => Just(Act::EndShares),
        1 => Just(Act::Reboot),
        1 => Just(Act::Restart),
    ]
}

/// Does an act. What is refused changes nothing, as other stories say.
async fn perform(world: &mut World, network: &Value, act: Act) {
    let drives = world.ok("GET /v1/shared-drives?order=asc", Value::Null).await["items"].clone();
    let chosen = |drive: usize| drives.get(drive).map(path);
    let mut call = None;
    match act {
        Act::Create => call = Some(("POST /v1/shared-drives".to_owned(), wanted(network, 1))),
        Act::Resize(drive, size) => {
            call = chosen(drive).map(|path| (format!("POST {path}/resize"), json!({"size": size})));
        }
        Act::Rotate(drive) => {
            call = chosen(drive).map(|path| (format!("POST {path}/rotate-password"), Value::Null));
        }
        Act::Delete(drive) => call = chosen(drive).map(|path| (format!("DELETE {path}"), Value::Null)),
        Act::Rule => {
            let rule = json!({"networkId": network["id"], "direction": "inbound"});
            call = Some(("POST /v1/firewall-rules".to_owned(), rule));
        }
        Act::Visits(number) => {
            for _ in 0..number {
                reconciler::visit_next(&world.app).await;
            }
        }
        Act::Fail(fuse) => world.host.fail_at(Some(fuse)),
        Act::EndShares => world.host.end_shares(&HostNetwork::Private(id(&network["id"]))),
        Act::Reboot => world.host.reboot_host(),
        Act::Restart => world.restart_server().await,
    }
    if let Some((line, body)) = call {
        let status = world.call(&line, body).await.status;
        assert!([200, 409, 412].contains(&status), "{line}: {status}");
    }
}

/// What clients are told of each drive is what the host has, and it has no other.
async fn is_as_told(world: &World) {
    let drives = world.ok("GET /v1/shared-drives?limit=120", Value::Null).await["items"].clone();
    let drives = drives.as_array().unwrap();
    for drive in drives {
        let seen = world.host.look_drive(&id(&drive["id"]), &id(&drive["networkId"])).await.unwrap();
        let number = drive["id"].as_str().unwrap();
        let number = format!("SELECT password_number AS n FROM shared_drives WHERE id = '{number}'");
        let password_number = world.number(&number).await.unsigned_abs();
        let size_bytes = drive["size"].as_u64().unwrap();
        assert_eq!(size_bytes % GB, 0);
        let image = Some(DriveImageSeen { size_bytes });
        assert_eq!(seen, DriveSeen { image, share: Some(ShareSeen { password_number }) }, "{drive}");
    }
    let host = world.host.dump();
    assert_eq!(host.matches(" with password ").count(), drives.len(), "{host}");
    assert_eq!(world.admin("GET /admin/leaks", Value::Null).await.body, json!([]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_end_is_what_was_ordered_last(acts in prop::collection::vec(act(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            let network = json!({"name": "lab", "region": "ny2"});
            let network = world.ok("POST /v1/private-networks", network).await;
            for act in acts {
                perform(&mut world, &network, act).await;
            }
            world.host.fail_at(None);
            world.settle().await;
            world.drift().await;
            world.drift().await;
            is_as_told(&world).await;
        });
    }
}
