//! Every call of every order, broken once: before its effect, and after it.

use std::collections::BTreeMap;

use deckle_engine::emulator::{Call, Fuse};

use super::orders::{ORDERS, Order};

#[tokio::test]
async fn a_call_that_fails_once_changes_no_end() {
    for order in ORDERS {
        let calls = calls(order).await;
        for fuse in calls.into_iter().flat_map(|call| [Fuse::Before(call), Fuse::After(call)]) {
            let (world, id) = order.prepared().await;
            world.host.fail_at(Some(fuse));
            order.give(&world, id.as_ref()).await;
            world.settle().await;
            assert_eq!(world.host.fuse_left(), None, "{fuse:?}");
            assert_eq!(world.dump().await, order.end, "{fuse:?} of {}", order.verb);
        }
    }
}

/// The calls that an order makes on a host that is well. The end is looked at here too.
async fn calls(order: &Order) -> Vec<Call> {
    let (world, id) = order.prepared().await;
    let before: BTreeMap<_, _> = world.host.calls().into_iter().collect();
    order.give(&world, id.as_ref()).await;
    world.settle().await;
    let made = world.host.calls().into_iter();
    let made = made.filter(|(call, made)| before.get(call) != Some(made)).map(|(call, _)| call).collect();
    assert_eq!(world.dump().await, order.end, "{}", order.verb);
    made
}
