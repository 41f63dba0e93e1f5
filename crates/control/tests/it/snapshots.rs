//! Snapshots of machines' disks.

use deckle_engine::Engine;
use serde_json::json;

use crate::world::World;

/// Whatever the machine does first is not in it.
#[tokio::test]
async fn an_initial_snapshot_is_taken_before_the_first_boot() {
    let world = World::new().await;
    let id = world.create(json!({"takeInitialSnapshot": true})).await;
    while world.host.look_snapshots(&id).await.unwrap().is_empty() {
        assert!(!world.host.dump().contains("boot 1"), "{}", world.host.dump());
        assert!(world.step().await);
    }
    world.settle().await;
    assert_eq!(world.state(&id).await, ("ready".into(), "create done".into()));
    assert_eq!(world.host.look_snapshots(&id).await.unwrap().len(), 1);
}
