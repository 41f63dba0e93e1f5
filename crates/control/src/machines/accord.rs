//! What a machine does of its own accord, and when: it shuts down so long after it was powered on, and has a
//! snapshot taken at each slot. Plain functions of a row, a look and the time.

use deckle_api::Timestamp;
use deckle_engine::seen::{self, MachineSeen};

use super::policy::{Due, Intent};
use super::store::Model;

/// What is due. Where an order is under way (`busy`), it waits until that ends.
pub fn due(row: &Model, seen: &MachineSeen, busy: bool, now: Timestamp) -> Due {
    let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    if busy {
        Due::Nothing
    } else if is_due(shutdown(row, seen)) {
        Due::Shutdown
    } else if is_due(slot(row)) {
        Due::Snapshot
    } else {
        Due::Nothing
    }
}

/// When something is due next, if anything will be.
pub fn next(row: &Model, seen: &MachineSeen) -> Option<Timestamp> {
    [shutdown(row, seen), slot(row)].into_iter().flatten().min()
}

/// When the machine shuts down, counted from the power-on of the boot that runs. One that its host has
/// stopped, because its disk cannot be written, cannot shut down either.
fn shutdown(row: &Model, seen: &MachineSeen) -> Option<Timestamp> {
    let hours =
        row.auto_shutdown_hours.filter(|_| row.auto_shutdown_enabled && row.intent.0 == Intent::On)?;
    match seen.power {
        seen::Power::On { boot, since } if boot == row.boots() => Some(since.plus_seconds(hours * 3600)),
        _ => None,
    }
}

fn slot(row: &Model) -> Option<Timestamp> {
    row.auto_snapshot_due
        .filter(|_| row.auto_snapshot_enabled && row.intent.0 != Intent::Gone)
        .map(Into::into)
}
