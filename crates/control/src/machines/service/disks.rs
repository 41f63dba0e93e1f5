//! The rules of orders that are about a machine's disk: they leave it on or off, as it is.

use deckle_api::ids::{MachineId, SnapshotId};
use deckle_api::machine_events::MachineEventName;
use sea_orm::ActiveValue::Set;

use super::super::policy::{Intent, shown_when_ordered};
use super::super::store::{self, ActiveModel, Model};
use super::{being_deleted, get};
use crate::app::App;
use crate::error::Result;
use crate::http::Caller;
use crate::machine_events::{self, EventRow};
use crate::reconciler::Object;
use crate::store::{Text, Tx};

/// A team's machine whose disk something is to be ordered of: not one that is being deleted.
pub async fn for_disk(tx: &Tx, caller: &Caller, id: &MachineId) -> Result<Model> {
    let machine = get(&**tx, caller, id).await?;
    if machine.intent.0 == Intent::Gone {
        return Err(being_deleted(id));
    }
    Ok(machine)
}

/// Opens the event of something that a machine's visits are to do to its disk, and writes `change` with it. The
/// machine has no open event.
pub async fn order_of_disk(
    app: &App,
    tx: &mut Tx,
    machine: &Model,
    name: MachineEventName,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<EventRow> {
    let mut changes = store::tried_anew(machine);
    changes.shown_state = Set(Text(shown_when_ordered(name, machine.shown_state.0)));
    change(&mut changes);
    store::revise(&**tx, machine, changes, app.clock.now()).await?;
    let event = machine_events::service::open(app, tx, &machine.team_id.0, &machine.id.0, name).await?;
    tx.wake(Object::Machine(machine.id.0.clone()));
    Ok(event)
}

/// Orders that a machine's disk go back to a snapshot, whatever its restore point is. A machine that is on is
/// stopped for it and started again.
pub async fn order_restore(
    app: &App,
    tx: &mut Tx,
    machine: &Model,
    snapshot: &SnapshotId,
) -> Result<EventRow> {
    let name = MachineEventName::SnapshotRestore;
    order_of_disk(app, tx, machine, name, |changes| {
        changes.restores_wanted = Set(machine.restores_wanted.max(machine.restores_begun + 1));
        changes.restore_to = Set(Some(Text(snapshot.clone())));
        if machine.intent.0 == Intent::On {
            changes.boots_wanted = Set(machine.boots_wanted + 1);
        }
    })
    .await
}
