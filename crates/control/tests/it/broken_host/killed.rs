//! A server that ends without a word, between any two moments of its work.

use super::Story;
use super::accord::BY_ITSELF;
use super::changes::CHANGES;
use super::disks::OF_DISKS;
use super::orders::ORDERS;
use super::templates::TEMPLATES;
use crate::world::sweep_step;

#[tokio::test]
async fn a_server_killed_while_it_makes_or_starts_ends_in_the_same_world() {
    killed_at_each_moment_of(&ORDERS[..4]).await;
}

#[tokio::test]
async fn a_server_killed_while_it_stops_or_deletes_ends_in_the_same_world() {
    killed_at_each_moment_of(&ORDERS[4..]).await;
}

#[tokio::test]
async fn a_server_killed_while_it_moves_machines_ends_in_the_same_world() {
    killed_at_each_moment_of(&CHANGES[..3]).await;
}

#[tokio::test]
async fn a_server_killed_while_it_leads_addresses_ends_in_the_same_world() {
    killed_at_each_moment_of(&CHANGES[3..]).await;
}

#[tokio::test]
async fn a_server_killed_while_it_takes_removes_or_restores_ends_in_the_same_world() {
    killed_at_each_moment_of(OF_DISKS).await;
}

#[tokio::test]
async fn a_server_killed_while_it_makes_or_deletes_templates_ends_in_the_same_world() {
    killed_at_each_moment_of(TEMPLATES).await;
}

#[tokio::test]
async fn a_server_killed_while_a_machine_acts_by_itself_ends_in_the_same_world() {
    killed_at_each_moment_of(&BY_ITSELF[..3]).await;
}

#[tokio::test]
async fn a_server_killed_while_a_disk_goes_back_ends_in_the_same_world() {
    killed_at_each_moment_of(&BY_ITSELF[3..]).await;
}

async fn killed_at_each_moment_of(stories: &[impl Story]) {
    for story in stories {
        for nth in (0..).step_by(sweep_step()) {
            let (mut world, ids) = story.prepared().await;
            story.give(&world, &ids).await;
            let killed = world.kill_at(nth).await;
            world.settle().await;
            assert_eq!(world.dump().await, story.end(), "killed at moment {nth} of {}", story.name());
            if !killed {
                break;
            }
        }
    }
}
