//! The rules of moves: from one network, or from none, into another one.

use deckle_api::ids::{PrivateNetworkId, TeamId};
use deckle_api::machine_events::MachineEventName;
use sea_orm::ActiveValue::Set;

use super::super::policy::{Intent, shown_when_ordered};
use super::super::store::{self, Model};
use super::Ordered;
use super::addresses::{address, free_addresses};
use crate::app::App;
use crate::error::{Error, Result};
use crate::machine_events::{self, EventRow};
use crate::private_networks::{self, NetworkRow};
use crate::reconciler::Object;
use crate::store::{Text, Tx};

/// Orders that a machine be in a network. Nothing is ordered where it is there, or on its way there: then
/// the event is that of the move, while it is under way. `within` is an event that the same request has opened:
/// the move is a part of it.
pub(super) async fn move_to(
    app: &App,
    tx: &mut Tx,
    machine: Model,
    network: &PrivateNetworkId,
    within: Option<EventRow>,
) -> Result<(Option<EventRow>, Model)> {
    let found = private_networks::service::find(&**tx, &machine.team_id.0, network).await;
    let found = found.map_err(|error| error.of_field("networkId"))?;
    if found.region != machine.region {
        let wrong =
            format!("{network} is in the region {}, {} in {}", found.region, machine.id.0, machine.region);
        return Err(Error::field("networkId", wrong));
    }
    let bound_for = machine.moving_to.as_ref().or(machine.network_id.as_ref());
    if bound_for.is_some_and(|place| place.0 == *network) {
        let open = machine_events::service::open_of(&**tx, &machine.id.0).await?;
        return Ok((open.filter(|event| event.name.0 == MachineEventName::VmMigrate), machine));
    }
    // A move that is under way goes elsewhere: no event of any kind leaves room for another one.
    if within.is_none()
        && let Some(event) = machine_events::service::open_of(&**tx, &machine.id.0).await?
    {
        return Err(super::in_the_way(&machine, event));
    }
    let ip = address(tx, Some(&found)).await?;
    let (event, machine) = order_move(app, tx, &machine, network, ip, within).await?;
    Ok((Some(event), machine))
}

/// Orders a move. A machine that is on is stopped for it and started again: the next boot is in the other
/// network. Its address there is its own from now on.
async fn order_move(
    app: &App,
    tx: &mut Tx,
    machine: &Model,
    network: &PrivateNetworkId,
    ip: i64,
    within: Option<EventRow>,
) -> Result<Ordered> {
    let name = within.as_ref().map_or(MachineEventName::VmMigrate, |event| event.name.0);
    let mut changes = store::tried_anew(machine);
    changes.moving_to = Set(Some(Text(network.clone())));
    changes.moving_ip = Set(Some(ip));
    if machine.intent.0 == Intent::On {
        changes.boots_wanted = Set(machine.boots_wanted + 1);
        store::revert(&mut changes, machine);
    }
    changes.shown_state = Set(Text(shown_when_ordered(name, machine.shown_state.0)));
    let machine = store::revise(&**tx, machine, changes, app.clock.now()).await?;
    let event = match within {
        Some(event) => event,
        None => machine_events::service::open(app, tx, &machine.team_id.0, &machine.id.0, name).await?,
    };
    tx.wake(Object::Machine(machine.id.0.clone()));
    Ok((event, machine))
}

/// Orders that all of a team's machines of a region that are in no network be in this new one.
pub async fn move_all_into(app: &App, tx: &mut Tx, team: &TeamId, network: &NetworkRow) -> Result<()> {
    let mut machines = store::without_network(&**tx, team, &network.region).await?;
    machines.retain(|machine| machine.intent.0 != Intent::Gone);
    let room: Vec<i64> = free_addresses(&network.cidr.0, &[]).collect();
    if machines.len() > room.len() {
        return Err(Error::Precondition(format!(
            "migrateMachines: {} machines are in no network, and a network has {} addresses; move some of them \
             into another network first",
            machines.len(),
            room.len()
        )));
    }
    let mut busy = Vec::new();
    for machine in &machines {
        if let Some(event) = machine_events::service::open_of(&**tx, &machine.id.0).await? {
            busy.push(format!("{} ({})", machine.id.0, super::event_word(&event)));
        }
    }
    if !busy.is_empty() {
        return Err(Error::Conflict(format!(
            "migrateMachines: events of these machines are still open: {}; wait until they end",
            busy.join(", ")
        )));
    }
    for (machine, ip) in machines.iter().zip(room) {
        order_move(app, tx, machine, &network.id.0, ip, None).await?;
    }
    Ok(())
}
