//! A request in the middle of a visit: whatever was decided before it, its own end is reached.

use deckle_engine::emulator::{Call, Fault, Fuse};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_start_while_a_failed_create_is_cleared_away_finds_its_disk_or_makes_it() {
    for moment in
        [Fuse::After(Call::LookNetwork), Fuse::Before(Call::RemoveDisk), Fuse::After(Call::RemoveDisk)]
    {
        let world = World::new().await;
        world.host.fail_always(Some((Call::PowerOn, Fault::Final)));
        let id = world.create(json!({})).await;
        while world.state(&id).await.1 != "create error" {
            deckle_control::reconciler::visit_next(&world.app).await;
        }
        world.host.fail_always(None);
        // The disk is the last thing to be cleared away.
        while world.number("SELECT COUNT(*) AS n FROM machines WHERE placed").await > 0 {
            deckle_control::reconciler::visit_next(&world.app).await;
        }
        let reply = world.meanwhile(moment, &format!("PATCH /v1/machines/{id}/start"));
        world.settle().await;
        assert_eq!(*reply.lock().unwrap(), Some(200), "{moment:?}: {}", world.dump().await);
        assert_eq!(world.state(&id).await, ("ready".into(), "start done".into()), "{moment:?}");
    }
}

#[tokio::test]
async fn a_visit_that_panics_is_made_again() {
    let world = World::new().await;
    let id = world.create(json!({})).await;
    let panics = std::sync::atomic::AtomicBool::new(true);
    world.hooked.hook(Some(std::sync::Arc::new(move |_| {
        assert!(!panics.swap(false, std::sync::atomic::Ordering::SeqCst), "a test lets the visit panic");
        Box::pin(async {})
    })));
    let app = world.app.clone();
    let visit = tokio::spawn(async move { deckle_control::reconciler::visit_next(&app).await });
    assert!(visit.await.unwrap_err().is_panic());
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
}

/// Each order, in the middle of each call of each other one.
#[tokio::test]
async fn an_order_in_the_middle_of_a_visit_reaches_its_end() {
    let calls = [Call::LookMachine, Call::EnsureDisk, Call::EnsureNic, Call::LookCapacity, Call::PowerOn];
    for moment in calls.into_iter().flat_map(|call| [Fuse::Before(call), Fuse::After(call)]) {
        for (line, end) in [("DELETE", None), ("PATCH", Some("off"))] {
            let world = World::new().await;
            let id = world.create(json!({"publicIpType": "dynamic"})).await;
            let stop = if line == "PATCH" { "/stop" } else { "" };
            let reply = world.meanwhile(moment, &format!("{line} /v1/machines/{id}{stop}"));
            world.settle().await;
            assert_eq!(*reply.lock().unwrap(), Some(200), "{moment:?}");
            let dump = world.dump().await;
            let machine =
                end.map_or("machines: none".to_owned(), |end| format!("machines:\n  ps1 web {end}"));
            assert!(dump.starts_with(&machine), "{moment:?}: {dump}");
            assert!(dump.contains("create of ps1: cancelled"), "{moment:?}: {dump}");
            assert!(dump.contains("taken: 0 places, 0 public addresses"), "{moment:?}: {dump}");
        }
    }
}
