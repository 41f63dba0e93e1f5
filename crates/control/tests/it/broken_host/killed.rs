//! A server that ends without a word, between any two moments of its work.

use super::orders::{ORDERS, Order};
use crate::world::sweep_step;

#[tokio::test]
async fn a_server_killed_while_it_makes_or_starts_ends_in_the_same_world() {
    killed_at_each_moment_of(&ORDERS[..4]).await;
}

#[tokio::test]
async fn a_server_killed_while_it_stops_or_deletes_ends_in_the_same_world() {
    killed_at_each_moment_of(&ORDERS[4..]).await;
}

async fn killed_at_each_moment_of(orders: &[Order]) {
    for order in orders {
        for nth in (0..).step_by(sweep_step()) {
            let (mut world, id) = order.prepared().await;
            order.give(&world, id.as_ref()).await;
            let killed = world.kill_at(nth).await;
            world.settle().await;
            assert_eq!(world.dump().await, order.end, "killed at moment {nth} of {}", order.verb);
            if !killed {
                break;
            }
        }
    }
}
