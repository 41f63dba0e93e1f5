//! A server that ends without a word, between any two moments of its work.

use super::orders::ORDERS;

#[tokio::test]
async fn a_server_killed_between_any_two_calls_ends_in_the_same_world() {
    for order in ORDERS {
        for nth in 0.. {
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
