//! Every call of every order and change, broken once: before its effect, and after it.

use std::collections::BTreeMap;

use deckle_engine::emulator::{Call, Fuse};

use super::Story;
use super::accord::BY_ITSELF;
use super::changes::CHANGES;
use super::disks::OF_DISKS;
use super::orders::ORDERS;
use super::templates::TEMPLATES;
use crate::world::sweep_step;

#[tokio::test]
async fn a_call_that_fails_once_changes_no_end() {
    broken_at_each_call_of(ORDERS).await;
}

#[tokio::test]
async fn a_call_of_a_change_that_fails_once_changes_no_end() {
    broken_at_each_call_of(CHANGES).await;
}

#[tokio::test]
async fn a_call_for_a_disk_that_fails_once_changes_no_end() {
    broken_at_each_call_of(OF_DISKS).await;
}

#[tokio::test]
async fn a_call_of_a_template_that_fails_once_changes_no_end() {
    broken_at_each_call_of(TEMPLATES).await;
}

#[tokio::test]
async fn a_call_of_what_is_done_by_itself_that_fails_once_changes_no_end() {
    broken_at_each_call_of(BY_ITSELF).await;
}

async fn broken_at_each_call_of(stories: &[impl Story]) {
    for story in stories {
        let calls = calls(story).await;
        let fuses = calls.into_iter().flat_map(|call| [Fuse::Before(call), Fuse::After(call)]);
        for fuse in fuses.step_by(sweep_step()) {
            let (world, ids) = story.prepared().await;
            world.host.fail_at(Some(fuse));
            story.give(&world, &ids).await;
            world.settle().await;
            assert_eq!(world.host.fuse_left(), None, "{fuse:?}");
            assert_eq!(world.dump().await, story.end(), "{fuse:?} of {}", story.name());
        }
    }
}

/// The calls that a story makes on a host that is well. The end is looked at here too.
async fn calls(story: &impl Story) -> Vec<Call> {
    let (world, ids) = story.prepared().await;
    let before: BTreeMap<_, _> = world.host.calls().into_iter().collect();
    story.give(&world, &ids).await;
    world.settle().await;
    let made = world.host.calls().into_iter();
    let made = made.filter(|(call, made)| before.get(call) != Some(made)).map(|(call, _)| call).collect();
    assert_eq!(world.dump().await, story.end(), "{}", story.name());
    made
}
