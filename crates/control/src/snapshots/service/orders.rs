//! What may be asked of snapshots, and when.

use deckle_api::ids::SnapshotId;
use deckle_api::machine_events::MachineEventName;
use deckle_api::paging::Page;
use deckle_api::snapshots::{
    CreateSnapshot, ListSnapshots, RestoreSnapshot, Snapshot, SnapshotOrder, SnapshotOrdered, UpdateSnapshot,
};
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::super::store::{self, Column, Intent, Kind, Model};
use super::order;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::machine_events::{self, EventRow};
use crate::machines::{self, MachineRow, policy};
use crate::names;
use crate::store::{Cursors, Text, Tx};

/// The page of a team's snapshots that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListSnapshots) -> Result<Page<Snapshot>> {
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = ("snapshots", &caller.team, order_by.word(), order, &query.machine_id);
    let cursors = Cursors::of(&app.sealer, list);
    let sort = match order_by {
        SnapshotOrder::DtCreated => Column::DtCreated,
        SnapshotOrder::Name => Column::Name,
    };
    let mut listing = store::listing(&caller.team, query.machine_id.as_ref(), sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
}

/// A team's snapshot, as it is told.
pub async fn get(app: &App, caller: &Caller, id: &SnapshotId) -> Result<Snapshot> {
    Ok(shown(find(app.store.read(), caller, id).await?))
}

async fn find(store: &impl ConnectionTrait, caller: &Caller, id: &SnapshotId) -> Result<Model> {
    let row = store::find(store, id).await?;
    let row = row.filter(|row| row.team_id.0 == caller.team && !row.given_up && row.dt_deleted.is_none());
    row.ok_or_else(|| Error::no_such("snapshot", id))
}

/// Wants a snapshot of a machine that is on or off.
pub async fn create(app: &App, caller: &Caller, wanted: CreateSnapshot) -> Result<SnapshotOrdered> {
    caller.must_be_admin("create snapshots")?;
    let name = names::checked("name", &wanted.name)?;
    let mut tx = app.store.begin().await?;
    let order_name = MachineEventName::SnapshotCreate;
    let machine = machines::service::for_disk(&tx, caller, &wanted.machine_id).await;
    let machine = machine.map_err(|error| error.of_field("machineId"))?;
    let rows = store::of_machine(&*tx, &machine.id.0).await?;
    if let Some(event) = machines::service::same_or_conflict(&tx, &machine, order_name).await? {
        // While the event is open no other one is ordered: it is that of the newest, whoever asked for it.
        let newest = rows.into_iter().rfind(|row| !row.given_up);
        return match newest.filter(|row| row.kind.0 == Kind::Manual && row.name == name) {
            Some(row) => answered(app, tx, caller, event, row).await,
            None => Err(machines::service::in_the_way(&machine, event)),
        };
    }
    must_have_disk(&machine)?;
    admit(app, &machine, &rows)?;
    let row = order(app, &tx, &machine, &name, Kind::Manual).await?;
    let event = machines::service::order_of_disk(app, &mut tx, &machine, order_name, |_| {}).await?;
    answered(app, tx, caller, event, row).await
}

/// Changes a snapshot's name, at once.
pub async fn update(app: &App, caller: &Caller, id: &SnapshotId, wanted: UpdateSnapshot) -> Result<Snapshot> {
    caller.must_be_admin("change snapshots")?;
    let name = wanted.name.map(|name| names::checked("name", &name)).transpose()?;
    let tx = app.store.begin().await?;
    let mut row = find(&*tx, caller, id).await?;
    if let Some(name) = name {
        let mut changes = store::changes(&row);
        changes.name = Set(name.clone());
        store::change(&*tx, changes).await?;
        row.name = name;
    }
    tx.commit().await?;
    Ok(shown(row))
}

/// Wants nothing left of a snapshot.
pub async fn delete(app: &App, caller: &Caller, id: &SnapshotId) -> Result<SnapshotOrdered> {
    caller.must_be_admin("delete snapshots")?;
    let mut tx = app.store.begin().await?;
    let mut row = find(&*tx, caller, id).await?;
    let order_name = MachineEventName::SnapshotDelete;
    let machine = machines::service::for_disk(&tx, caller, &row.machine_id.0).await?;
    if let Some(event) = machines::service::same_or_conflict(&tx, &machine, order_name).await? {
        return match row.intent.0 {
            Intent::Gone => Ok(ordered(event, row)),
            Intent::Present => Err(machines::service::in_the_way(&machine, event)),
        };
    }
    refuse_in_use(&machine, id)?;
    let mut changes = store::changes(&row);
    changes.intent = Set(Text(Intent::Gone));
    store::change(&*tx, changes).await?;
    row.intent = Text(Intent::Gone);
    let event = machines::service::order_of_disk(app, &mut tx, &machine, order_name, |_| {}).await?;
    tx.commit().await?;
    Ok(ordered(event, row))
}

/// Wants a machine's disk as it was when a snapshot was taken. A machine that is on is stopped for it and started
/// again.
pub async fn restore(
    app: &App,
    caller: &Caller,
    id: &SnapshotId,
    wanted: RestoreSnapshot,
) -> Result<SnapshotOrdered> {
    caller.must_be_admin("restore snapshots")?;
    let mut tx = app.store.begin().await?;
    let row = find(&*tx, caller, id).await?;
    let machine = machines::service::for_disk(&tx, caller, &row.machine_id.0).await?;
    let order_name = MachineEventName::SnapshotRestore;
    if let Some(event) = machines::service::same_or_conflict(&tx, &machine, order_name).await? {
        return match machine.restore_to.as_ref().is_some_and(|to| to.0 == *id) {
            true => answered(app, tx, caller, event, row).await,
            false => Err(machines::service::in_the_way(&machine, event)),
        };
    }
    must_have_disk(&machine)?;
    must_be_whole(&row)?;
    if wanted.create_snapshot_before_restore == Some(true) {
        let rows = store::of_machine(&*tx, &machine.id.0).await?;
        admit(app, &machine, &rows).map_err(|error| error.of_field("createSnapshotBeforeRestore"))?;
        order(app, &tx, &machine, &name_before(app, &row), Kind::Manual).await?;
    }
    let event = machines::service::order_restore(app, &mut tx, &machine, id).await?;
    answered(app, tx, caller, event, row).await
}

/// The name of the snapshot that is taken before a restore: what is restored, and when.
fn name_before(app: &App, row: &Model) -> String {
    let (begin, end) = ("Before the restore of ", format!(", {}", app.clock.now()));
    let room = names::NAME_CHARS_MAX.saturating_sub(begin.chars().count() + end.chars().count());
    let name: String = row.name.chars().take(room).collect();
    format!("{begin}{name}{end}")
}

/// Refuses one more snapshot of a machine that has as many as it may. Those that are on their way out count no
/// more.
fn admit(app: &App, machine: &MachineRow, rows: &[Model]) -> Result<()> {
    let counted = |row: &&Model| row.kind.0 != Kind::Auto && row.intent.0 == Intent::Present;
    let most = app.config.limits.snapshots;
    if (rows.iter().filter(counted).count() as u64) < most {
        return Ok(());
    }
    let id = &machine.id.0;
    Err(Error::Precondition(format!("{id} has {most} snapshots, and may have no more; delete one first")))
}

fn must_have_disk(machine: &MachineRow) -> Result<()> {
    if machine.intent.0 != policy::Intent::Blank {
        return Ok(());
    }
    let id = &machine.id.0;
    Err(Error::Precondition(format!("{id} has no disk, because its creation failed; start it first")))
}

fn must_be_whole(row: &Model) -> Result<()> {
    let id = &row.id.0;
    match row.intent.0 {
        Intent::Present if row.made => Ok(()),
        Intent::Present => Err(Error::Precondition(format!("{id} is not taken yet"))),
        Intent::Gone => Err(Error::Precondition(format!("{id} is being deleted"))),
    }
}

/// What a machine goes back to, at each shutdown or just now, stays.
fn refuse_in_use(machine: &MachineRow, id: &SnapshotId) -> Result<()> {
    let machine_id = &machine.id.0;
    let is = |other: &Option<Text<SnapshotId>>| other.as_ref().is_some_and(|other| other.0 == *id);
    if machine.restore_point_enabled && is(&machine.restore_point_snapshot_id) {
        return Err(Error::Precondition(format!(
            "{id} is the restore point of {machine_id}, which goes back to it at each shutdown; give it another \
             one, or switch its restore point off"
        )));
    }
    if is(&machine.restore_to) {
        return Err(Error::Precondition(format!(
            "the disk of {machine_id} is on its way back to {id}, and that is not finished; delete it afterwards"
        )));
    }
    Ok(())
}

async fn answered(
    app: &App,
    tx: Tx,
    caller: &Caller,
    event: EventRow,
    row: Model,
) -> Result<SnapshotOrdered> {
    let ordered = ordered(event, row);
    commit_once(app, tx, caller, &ordered).await?;
    Ok(ordered)
}

fn ordered(event: EventRow, row: Model) -> SnapshotOrdered {
    SnapshotOrdered { event: machine_events::shown(event), data: shown(row) }
}

fn shown(row: Model) -> Snapshot {
    Snapshot {
        id: row.id.0,
        name: row.name,
        machine_id: row.machine_id.0,
        is_auto_snapshot: row.kind.0 == Kind::Auto,
    }
}
