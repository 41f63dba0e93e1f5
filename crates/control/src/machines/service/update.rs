//! The rules of a machine's changes: several in one request are made together, or none of them.

use deckle_api::ids::MachineId;
use deckle_api::machines::{MachineUpdated, UpdateMachine};
use sea_orm::ActiveValue::Set;

use super::super::policy::Intent;
use super::super::store::{self, Model};
use super::super::{namesakes, views};
use super::addresses::change_public_ip_type;
use super::moves::move_to;
use super::policies;
use super::upgrades::{self, Upgrade};
use super::{being_deleted, get};
use crate::app::App;
use crate::error::Result;
use crate::http::Caller;
use crate::reconciler::Object;
use crate::store::Tx;
use crate::{machine_events, names};

/// Changes a machine. There is one event where its host takes part in a change: an upgrade, or else a move.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &MachineId,
    wanted: UpdateMachine,
) -> Result<MachineUpdated> {
    caller.must_be_admin("change machines")?;
    let name = wanted.name.as_deref().map(|name| names::checked("name", name)).transpose()?;
    let mut tx = app.store.begin().await?;
    let mut machine = get(&*tx, caller, id).await?;
    if machine.intent.0 == Intent::Gone {
        return Err(being_deleted(id));
    }
    let upgrade;
    (upgrade, machine) = upgrades::upgrade(app, &mut tx, machine, &wanted).await?;
    let (mut event, ordered) = match upgrade {
        Upgrade::None => (None, None),
        Upgrade::UnderWay(event) => (Some(event), None),
        Upgrade::Ordered(event) => (Some(event.clone()), Some(event)),
    };
    if let Some(network) = wanted.network_id.as_ref().and_then(|network| network.0.as_ref()) {
        let moved;
        (moved, machine) = move_to(app, &mut tx, machine, network, ordered).await?;
        event = event.or(moved);
    }
    if let Some(name) = name {
        machine = rename(app, &mut tx, machine, name).await?;
    }
    if let Some(kind) = wanted.public_ip_type {
        machine = change_public_ip_type(app, &mut tx, machine, kind).await?;
    }
    machine = policies::change(app, &mut tx, machine, &wanted).await?;
    tx.commit().await?;
    Ok(MachineUpdated { event: event.map(machine_events::shown), data: views::shown(app, machine) })
}

/// Gives a machine another name, at once. The names in its network follow.
async fn rename(app: &App, tx: &mut Tx, machine: Model, name: String) -> Result<Model> {
    if machine.name == name {
        return Ok(machine);
    }
    let mut changes = store::changes(&machine);
    changes.name_folded = Set(names::folded(&name));
    changes.name = Set(name);
    changes.named = Set(false);
    let renamed = store::revise(&**tx, &machine, changes, app.clock.now()).await?;
    if let Some(network) = &machine.network_id
        && machine.name_folded != renamed.name_folded
    {
        namesakes::left(tx, &network.0, &machine.name_folded).await?;
        namesakes::joined(tx, &network.0, &renamed.name_folded, &machine.id.0).await?;
    }
    tx.wake(Object::Machine(machine.id.0));
    Ok(renamed)
}
