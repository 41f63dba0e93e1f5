//! The rules of machines: what may be ordered, and when.

mod addresses;
mod captures;
mod copies;
mod create;
mod desktop;
mod disks;
mod moves;
mod policies;
mod update;
mod upgrades;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use deckle_api::Timestamp;
use deckle_api::consoles::{ConsoleLog, ConsoleLogQuery};
use deckle_api::details::Detail;
use deckle_api::ids::{MachineId, PrivateNetworkId, StartupScriptId, TeamId};
use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::{ListMachines, Machine, MachineOrder};
use deckle_api::paging::Page;
use deckle_api::regions::Region;
use sea_orm::ConnectionTrait;

pub use addresses::{assignable, gain_public_ip, lose_public_ip};
pub use captures::{awaits_template, capturable, order_capture};
pub use copies::{exportable, replaceable};
pub use create::create;
pub use desktop::desktop;
pub use disks::{for_disk, order_of_disk, order_restore};
pub use moves::move_all_into;
pub use update::update;

use super::accessors;
use super::lifecycle;
use super::placement::{Room, Taken};
use super::policy::{Intent, shown_when_ordered};
use super::store::{self, Column, Model};
use super::views;
use crate::app::App;
use crate::error::{Error, Result};
use crate::gpus;
use crate::http::Caller;
use crate::machine_events::{self, End, EventRow};
use crate::progress::{self, Standing};
use crate::protections;
use crate::reconciler::Object;
use crate::store::{Cursors, Tx, ip};
use crate::usage;

/// An event, and the machine that it is about.
pub type Ordered = (EventRow, Model);

/// A machine as its network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Its id.
    pub id: MachineId,
    /// Its name.
    pub name: String,
    /// Its address in the network.
    pub private_ip: Ipv4Addr,
    /// When it was created.
    pub dt_created: Timestamp,
}

/// The most of a serial log that one answer carries, in bytes.
const CONSOLE_BYTES_MAX: u64 = 1 << 20;
/// How much of a serial log an answer carries when the request does not say, in bytes.
const CONSOLE_BYTES: u64 = 1 << 16;

/// The page of a team's machines that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListMachines) -> Result<Page<Machine>> {
    let region = query.region.as_ref().map(Region::code);
    let machine_type =
        query.machine_type.as_deref().map(|label| app.catalogue.find(label).map_or(label, |t| &t.label));
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = (
        "machines",
        &caller.team,
        order_by.word(),
        order,
        &query.name,
        &region,
        &query.agent_type,
        machine_type,
    );
    let cursors = Cursors::of(&app.sealer, list);
    let sort = match order_by {
        MachineOrder::DtCreated => Column::DtCreated,
        MachineOrder::Name => Column::Name,
        MachineOrder::State => Column::ShownState,
    };
    let filters = [
        (Column::Region, region.as_deref()),
        (Column::MachineType, machine_type),
        (Column::AgentType, query.agent_type.as_deref()),
    ];
    let mut listing = store::listing(&caller.team, filters, sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    listing.name = query.name.map(|part| (Column::NameFolded, part));
    let rows = listing.page(app.store.read()).await?;
    Ok(rows.page(|next| cursors.write(next), |row| views::shown(app, row)))
}

/// A team's machine.
pub async fn get(store: &impl ConnectionTrait, caller: &Caller, id: &MachineId) -> Result<Model> {
    let row = store::find(store, id).await?.filter(|row| row.team_id.0 == caller.team);
    row.ok_or_else(|| Error::no_such("machine", id))
}

/// How a team's machine fares on its host.
pub async fn detail(app: &App, caller: &Caller, id: &MachineId) -> Result<Detail> {
    let row = get(app.store.read(), caller, id).await?;
    let standing = Standing {
        settled: row.settled,
        trouble: row.trouble,
        dt_trouble: None,
        failures: Some(row.failures.unsigned_abs()),
        ordered: Some(row.dt_modified.into()),
    };
    progress::detail(app, &Object::Machine(id.clone()), standing).await
}

/// A team's machine that the caller may use. `act` is what it wants: "stop".
pub async fn usable(
    store: &impl ConnectionTrait,
    caller: &Caller,
    id: &MachineId,
    act: &str,
) -> Result<Model> {
    let machine = get(store, caller, id).await?;
    accessors::service::must_have_access(store, caller, &machine, act).await?;
    Ok(machine)
}

/// Wants a machine on.
pub async fn start(app: &App, caller: &Caller, id: &MachineId) -> Result<Ordered> {
    let tx = app.store.begin().await?;
    let machine = usable(&*tx, caller, id, "start").await?;
    if let Some(event) = same_or_conflict(&tx, &machine, MachineEventName::Start).await? {
        return Ok((event, machine));
    }
    match machine.intent.0 {
        Intent::Gone => Err(being_deleted(id)),
        Intent::On if machine.settled => already_done(app, tx, machine, MachineEventName::Start).await,
        Intent::On => order(app, tx, machine, Intent::On, 0, MachineEventName::Start).await,
        Intent::Off | Intent::Blank => {
            usage::service::admit(app, &tx, &machine.team_id.0, &machine.user_id.0).await?;
            order(app, tx, machine, Intent::On, 1, MachineEventName::Start).await
        }
    }
}

/// Wants a machine off. What was under way is cancelled.
pub async fn stop(app: &App, caller: &Caller, id: &MachineId) -> Result<Ordered> {
    let tx = app.store.begin().await?;
    let mut machine = usable(&*tx, caller, id, "stop").await?;
    let open = machine_events::service::open_of(&*tx, id).await?;
    match open {
        Some(event) if stops(event.name.0) => return Ok((event, machine)),
        Some(event) if event.name.0 == MachineEventName::Deactivate => return Err(being_deleted(id)),
        Some(event) => cancel(app, &tx, &mut machine, &event).await?,
        None => {}
    }
    match machine.intent.0 {
        Intent::Gone => Err(being_deleted(id)),
        Intent::Off | Intent::Blank if machine.settled => {
            already_done(app, tx, machine, MachineEventName::Stop).await
        }
        Intent::Blank => order(app, tx, machine, Intent::Blank, 0, MachineEventName::Stop).await,
        Intent::On | Intent::Off => order(app, tx, machine, Intent::Off, 0, MachineEventName::Stop).await,
    }
}

/// Wants another boot of a machine that is on.
pub async fn restart(app: &App, caller: &Caller, id: &MachineId) -> Result<Ordered> {
    let tx = app.store.begin().await?;
    let machine = usable(&*tx, caller, id, "restart").await?;
    if let Some(event) = same_or_conflict(&tx, &machine, MachineEventName::Restart).await? {
        return Ok((event, machine));
    }
    match machine.intent.0 {
        Intent::Gone => Err(being_deleted(id)),
        Intent::Off | Intent::Blank => Err(Error::Precondition(format!("{id} is off; start it instead"))),
        Intent::On => order(app, tx, machine, Intent::On, 1, MachineEventName::Restart).await,
    }
}

/// Wants nothing left of a machine. What was under way is cancelled.
pub async fn delete(app: &App, caller: &Caller, id: &MachineId) -> Result<Ordered> {
    caller.must_be_admin("delete machines")?;
    let tx = app.store.begin().await?;
    let mut machine = get(&*tx, caller, id).await?;
    match machine_events::service::open_of(&*tx, id).await? {
        Some(event) if event.name.0 == MachineEventName::Deactivate => return Ok((event, machine)),
        Some(event) => cancel(app, &tx, &mut machine, &event).await?,
        None => {}
    }
    protections::refuse(machine.protected, &format!("machines/{id}"))?;
    order(app, tx, machine, Intent::Gone, 0, MachineEventName::Deactivate).await
}

/// Ends an open event for an order that takes its place.
async fn cancel(app: &App, tx: &Tx, machine: &mut Model, event: &EventRow) -> Result<()> {
    machine_events::service::end(tx, event, End::Cancelled, app.clock.now()).await?;
    lifecycle::take_back(tx, machine, event.name.0).await
}

/// The open event if it is of the same kind; any other one is in the way. A machine that its host has lost comes
/// up already, which is what a start wants too.
pub async fn same_or_conflict(tx: &Tx, machine: &Model, name: MachineEventName) -> Result<Option<EventRow>> {
    let Some(event) = machine_events::service::open_of(&**tx, &machine.id.0).await? else { return Ok(None) };
    if event.name.0 == name || (event.unordered && name == MachineEventName::Start) {
        return Ok(Some(event));
    }
    Err(in_the_way(machine, event))
}

/// An open event leaves no room for another one.
pub fn in_the_way(machine: &Model, event: EventRow) -> Error {
    let (machine, name) = (&machine.id.0, event_word(&event));
    let state = if event.dt_started.is_some() { "in progress" } else { "new" };
    let id = event.id.0;
    Error::Conflict(format!("the event {id} ({name}) of {machine} is still {state}; wait until it ends"))
}

/// The name of an event, in the wire's word.
fn event_word(event: &EventRow) -> String {
    let name = serde_json::to_value(event.name.0).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

/// Whether an event is that of a machine that shuts down, asked by anybody or by force.
fn stops(name: MachineEventName) -> bool {
    matches!(name, MachineEventName::Stop | MachineEventName::VmShutdownForce)
}

fn being_deleted(id: &MachineId) -> Error {
    Error::Conflict(format!("{id} is being deleted"))
}

/// Changes what is wanted, opens the event that says so, and has the machine visited.
async fn order(
    app: &App,
    mut tx: Tx,
    machine: Model,
    intent: Intent,
    more_boots: i64,
    name: MachineEventName,
) -> Result<Ordered> {
    let (now, boots) = (app.clock.now(), machine.boots_wanted + more_boots);
    let shown_state = shown_when_ordered(name, machine.shown_state.0);
    let machine = store::aim(&*tx, &machine, intent, boots, shown_state, now).await?;
    let event = machine_events::service::open(app, &tx, &machine.team_id.0, &machine.id.0, name).await?;
    tx.wake(Object::Machine(machine.id.0.clone()));
    tx.commit().await?;
    Ok((event, machine))
}

async fn already_done(app: &App, tx: Tx, machine: Model, name: MachineEventName) -> Result<Ordered> {
    let event =
        machine_events::service::already_done(app, &tx, &machine.team_id.0, &machine.id.0, name).await?;
    tx.commit().await?;
    Ok((event, machine))
}

/// A piece of a machine's serial log.
pub async fn console_log(
    app: &App,
    caller: &Caller,
    id: &MachineId,
    query: &ConsoleLogQuery,
) -> Result<ConsoleLog> {
    let machine = usable(app.store.read(), caller, id, "read the console of").await?;
    let bytes = query.bytes.unwrap_or(CONSOLE_BYTES);
    if !(1..=CONSOLE_BYTES_MAX).contains(&bytes) {
        return Err(Error::field("bytes", format!("expected a whole number from 1 to {CONSOLE_BYTES_MAX}")));
    }
    let engine = app.engine(&machine.region)?;
    let read = |from, bytes| engine.read_console(id, from, usize::try_from(bytes).unwrap_or(usize::MAX));
    let chunk = match query.from {
        Some(from) => read(from, bytes).await,
        None => match read(u64::MAX, 1).await {
            Ok(end) => read(end.next.saturating_sub(bytes), bytes).await,
            Err(error) => Err(error),
        },
    };
    let chunk = chunk.map_err(|error| Error::ours("read a serial log", error))?;
    Ok(ConsoleLog {
        from: chunk.from,
        next: chunk.next,
        text: String::from_utf8_lossy(&chunk.bytes).into_owned(),
    })
}

/// Whether a machine is protected against deletion.
pub async fn protection(app: &App, caller: &Caller, id: &MachineId) -> Result<bool> {
    Ok(get(app.store.read(), caller, id).await?.protected)
}

/// Protects a machine against deletion, or no longer.
pub async fn protect(app: &App, caller: &Caller, id: &MachineId, protected: bool) -> Result<()> {
    caller.must_be_admin("protect machines")?;
    let tx = app.store.begin().await?;
    let machine = get(&*tx, caller, id).await?;
    if machine.intent.0 == Intent::Gone {
        return Err(being_deleted(id));
    }
    store::protect(&*tx, &machine, protected).await?;
    tx.commit().await?;
    Ok(())
}

/// How many machines a team has.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64> {
    Ok(store::count(store, team).await?)
}

/// How many GPUs of a model a team's machines have, on or off, or are about to have.
pub async fn count_gpus(app: &App, store: &impl ConnectionTrait, team: &TeamId, model: &str) -> Result<u64> {
    let types: Vec<_> = app.catalogue.with_gpu(model).collect();
    let labels: Vec<_> = types.iter().map(|(label, _)| *label).collect();
    let machines = store::count_by_type(store, team, &labels).await?;
    let of_type = |label: &str| types.iter().find(|(known, _)| *known == label).map_or(0, |(_, gpus)| *gpus);
    let had: u64 =
        machines.iter().map(|(label, count)| u64::from(of_type(label)) * count.unsigned_abs()).sum();
    let upgrading = store::upgrading(store, team).await?;
    let more = |(now, next): &(String, String)| u64::from(of_type(next).saturating_sub(of_type(now)));
    Ok(had + upgrading.iter().map(more).sum::<u64>())
}

/// The machines that are in a network or on their way into it, by id and name.
pub async fn in_network(store: &impl ConnectionTrait, network: &PrivateNetworkId) -> Result<Vec<String>> {
    let machines = store::in_network(store, network).await?;
    Ok(machines.into_iter().map(|row| format!("{} ({})", row.id.0, row.name)).collect())
}

/// The machines that are in a network, each with its address there.
pub async fn places_in_network(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
) -> Result<Vec<(MachineId, Ipv4Addr)>> {
    let places = store::places_in_network(store, network).await?;
    Ok(places.into_iter().map(|(id, address)| (id, ip(address))).collect())
}

/// Says that a machine's own network is to be something else on its host: it is visited.
pub async fn unsettle(tx: &mut Tx, id: &MachineId) -> Result<()> {
    store::unsettle(&**tx, id).await?;
    tx.wake(Object::Machine(id.clone()));
    Ok(())
}

/// The machines that are in a network, and those on their way into it, the lowest address there first.
pub async fn attached_to(store: &impl ConnectionTrait, id: &PrivateNetworkId) -> Result<Vec<Attached>> {
    let mut attached: Vec<_> = store::in_network(store, id)
        .await?
        .into_iter()
        .map(|row| {
            let arriving = row.network_id.as_ref().is_none_or(|network| network.0 != *id);
            let private_ip = match row.moving_ip.filter(|_| arriving) {
                Some(there) => ip(there),
                None => row.private_ip(),
            };
            Attached { id: row.id.0, name: row.name, private_ip, dt_created: row.dt_created.into() }
        })
        .collect();
    attached.sort_by_key(|machine| machine.private_ip);
    Ok(attached)
}

/// The machines that each of some scripts is assigned to.
pub async fn with_scripts(
    store: &impl ConnectionTrait,
    scripts: &[StartupScriptId],
) -> Result<BTreeMap<StartupScriptId, Vec<MachineId>>> {
    let mut machines: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (script, machine) in store::with_scripts(store, scripts).await? {
        machines.entry(script).or_default().push(machine);
    }
    Ok(machines)
}

/// Gives a team's machine a startup script, in place of the one that it may have.
pub async fn assign_script(tx: &Tx, caller: &Caller, id: &MachineId, script: &StartupScriptId) -> Result<()> {
    let machine = get(&**tx, caller, id).await?;
    if machine.intent.0 == Intent::Gone {
        return Err(being_deleted(id));
    }
    Ok(store::set_script(&**tx, id, Some(script)).await?)
}

/// Takes a startup script from a team's machine, if it has that one.
pub async fn unassign_script(
    tx: &Tx,
    caller: &Caller,
    id: &MachineId,
    script: &StartupScriptId,
) -> Result<()> {
    let machine = get(&**tx, caller, id).await?;
    if machine.startup_script_id.is_some_and(|has| has.0 == *script) {
        store::set_script(&**tx, id, None).await?;
    }
    Ok(())
}

/// Takes a startup script from every machine that has it.
pub async fn detach_script(tx: &Tx, script: &StartupScriptId) -> Result<()> {
    Ok(store::detach_script(&**tx, script).await?)
}

/// The machines that are not deleted.
pub async fn to_visit(app: &App) -> Result<Vec<MachineId>> {
    Ok(store::to_visit(app.store.read()).await?)
}

/// How many machines are not yet as they are wanted.
pub async fn count_unsettled(app: &App) -> Result<u64> {
    Ok(store::count_unsettled(app.store.read()).await?)
}

/// The room that is left in each region.
pub type Rooms = Vec<(String, Room)>;

/// The room that is left in each region.
pub async fn rooms(app: &App) -> Result<Rooms> {
    let taken = Taken::by(&app.catalogue, &store::placed(app.store.read()).await?);
    let mut rooms = Vec::with_capacity(app.regions.len());
    for engine in app.engines() {
        let capacity = engine.look_capacity().await;
        let capacity = capacity.map_err(|error| Error::ours("look at a host's capacity", error))?;
        let room = Room { capacity, taken, gpus: gpus::service::devices_of(app, engine.as_ref()).await? };
        let here = app.regions.iter().filter(|(_, other)| Arc::ptr_eq(other, engine));
        rooms.extend(here.map(|(region, _)| (region.clone(), room.clone())));
    }
    Ok(rooms)
}
