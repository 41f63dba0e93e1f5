//! What the rules of custom templates ask of machines.

use deckle_api::ids::{MachineId, TemplateId};
use deckle_api::machine_events::MachineEventName;
use sea_orm::ConnectionTrait;

use super::super::policy::Intent;
use super::super::store::{self, Model};
use super::{being_deleted, get, in_the_way};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::machine_events::{self, EventRow};
use crate::reconciler::Object;
use crate::store::Tx;

/// A team's machine that a template can be made of now, named by a request's `machineId`: it is off, with a disk,
/// and has no open event. Where `same` says that the request repeats the one under way, the event of that.
pub async fn capturable(
    tx: &Tx,
    caller: &Caller,
    id: &MachineId,
    same: bool,
) -> Result<(Model, Option<EventRow>)> {
    let machine = get(&**tx, caller, id).await.map_err(|error| error.of_field("machineId"))?;
    if let Some(event) = machine_events::service::open_of(&**tx, id).await? {
        return match event.name.0 {
            MachineEventName::TemplateCreate if same => Ok((machine, Some(event))),
            _ => Err(in_the_way(&machine, event)),
        };
    }
    let why = match machine.intent.0 {
        Intent::Gone => return Err(being_deleted(id)),
        Intent::On => format!("{id} is on; stop it first, and its guest writes down all that it has"),
        Intent::Blank => format!("{id} has no disk, because its creation failed; start it once, and stop it"),
        Intent::Off => return Ok((machine, None)),
    };
    Err(Error::Precondition(format!("machineId: {why}")))
}

/// Opens the event of a template that is to be made of a machine that is off, and has the machine visited.
pub async fn order_capture(app: &App, tx: &mut Tx, machine: &Model) -> Result<EventRow> {
    let (boots, shown) = (machine.boots_wanted, machine.shown_state.0);
    store::aim(&**tx, machine, Intent::Off, boots, shown, app.clock.now()).await?;
    let (team, id) = (&machine.team_id.0, &machine.id.0);
    let event = machine_events::service::open(app, tx, team, id, MachineEventName::TemplateCreate).await?;
    tx.wake(Object::Machine(id.clone()));
    Ok(event)
}

/// Whether the disk of a machine that is on its way is still to begin as a template.
pub async fn awaits_template(store: &impl ConnectionTrait, template: &TemplateId) -> Result<bool> {
    Ok(store::awaits_template(store, template).await?)
}
