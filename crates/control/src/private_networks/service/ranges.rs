//! The /21s that networks own: given ones, and those of the pool.

use std::net::Ipv4Addr;

use deckle_api::ids::PrivateNetworkId;
use ipnet::Ipv4Net;

use super::super::store;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::store::Tx;

/// A network's addresses in all are a /21: this many bits of them.
const SLOT_BITS: u32 = 11;

/// The ranges that are nobody's on the Internet.
const PRIVATE: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// The /21 in a request's field, if a network may own it.
pub fn checked(app: &App, field: &str, text: &str) -> Result<Ipv4Net> {
    let wrong = |why: &str| Err(Error::field(field, why));
    // What can be written in two ways is taken in one only.
    let range = text.parse::<Ipv4Net>().ok().filter(|range| range.to_string() == text);
    let Some(range) = range else {
        return wrong("expected an IPv4 range of 2048 addresses, such as 10.42.0.0/21");
    };
    if range.prefix_len() != 21 {
        return wrong("expected a range of 2048 addresses: its length is /21");
    }
    if range.trunc() != range {
        return Err(Error::field(field, format!("expected the first address of the /21: {}", range.trunc())));
    }
    if !PRIVATE.iter().any(|private| private.contains(&range)) {
        return wrong("expected a private range, inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
    }
    let uplinks = app.config.linux.uplinks;
    if uplinks.contains(&range) || range.contains(&uplinks) {
        return Err(Error::field(
            field,
            format!("the server keeps {uplinks} for itself; choose another range"),
        ));
    }
    Ok(range)
}

/// The given /21, if no other network of the team has it, else one of the pool: its /24 in use.
pub async fn take(
    app: &App,
    tx: &Tx,
    caller: &Caller,
    id: &PrivateNetworkId,
    given: Option<Ipv4Net>,
) -> Result<Ipv4Net> {
    let Some(range) = given else { return from_pool(app, tx, caller, id).await };
    // Both are /21s: they overlap if they are the same.
    if store::taken(&**tx, &caller.team, [range.to_string()]).await?.is_empty() {
        return Ok(first(range));
    }
    Err(Error::Conflict(format!(
        "another network of the team has {range}; choose another range, or leave it out"
    )))
}

/// The lowest free /21 of the pool that the team has not given to a network itself.
async fn from_pool(app: &App, tx: &Tx, caller: &Caller, id: &PrivateNetworkId) -> Result<Ipv4Net> {
    let slots = i64::try_from(app.config.network_slots()).unwrap_or(i64::MAX);
    let mut from = 0;
    loop {
        let free = store::free_slots(&**tx, from, slots).await?;
        let Some(last) = free.last().copied() else { return Err(pool_is_full(app, slots)) };
        let ranges = free.iter().map(|slot| range_of(app, *slot).to_string());
        let taken = store::taken(&**tx, &caller.team, ranges).await?;
        let slot = free.into_iter().find(|slot| !taken.contains(&range_of(app, *slot).to_string()));
        if let Some(slot) = slot {
            store::take_slot(&**tx, id, slot).await?;
            return Ok(first(range_of(app, slot)));
        }
        from = last + 1;
    }
}

fn pool_is_full(app: &App, slots: i64) -> Error {
    let pool = app.config.private_pool;
    Error::Precondition(format!(
        "all {slots} networks of the pool {pool} are in use; delete one, or ask the operator for a larger pool"
    ))
}

/// A slot's /21.
fn range_of(app: &App, slot: i64) -> Ipv4Net {
    let first = u32::from(app.config.private_pool.network()) + ((slot as u32) << SLOT_BITS);
    Ipv4Net::new_assert(first.into(), 21)
}

/// The /24 in use of a /21.
fn first(range: Ipv4Net) -> Ipv4Net {
    Ipv4Net::new_assert(range.network(), 24)
}
