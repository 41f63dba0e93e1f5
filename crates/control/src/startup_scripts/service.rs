//! The rules of startup scripts.

use deckle_api::ids::{MachineId, StartupScriptId, TeamId};
use deckle_api::paging::Page;
use deckle_api::startup_scripts::{
    CreateStartupScript, ListStartupScripts, StartupScript, StartupScriptOrder, UpdateStartupScript,
};
use deckle_engine::specs::StartupScriptSpec;
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::store::{self, Model};
use super::{SCRIPT_BYTES_MAX, runs};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::store::{Cursors, Text};
use crate::{machines, names};

/// The page of a team's scripts that a query asks for.
pub async fn list(app: &App, caller: &Caller, query: ListStartupScripts) -> Result<Page<StartupScript>> {
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = ("startup-scripts", &caller.team, order_by.word(), order, &query.name);
    let cursors = Cursors::of(&app.sealer, list);
    let sort = match order_by {
        StartupScriptOrder::DtCreated => store::Column::DtCreated,
        StartupScriptOrder::Name => store::Column::Name,
    };
    let mut listing = store::listing(&caller.team, sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    listing.name = query.name.map(|part| (store::Column::NameFolded, part));
    let rows = listing.page(app.store.read()).await?;
    let page = rows.page(|next| cursors.write(next), |row| row);
    let scripts: Vec<_> = page.items.iter().map(|row| row.id.0.clone()).collect();
    let mut machines = machines::service::with_scripts(app.store.read(), &scripts).await?;
    let shown = |row: Model| {
        let assigned = machines.remove(&row.id.0).unwrap_or_default();
        shown(row, assigned)
    };
    let items = page.items.into_iter().map(shown).collect();
    Ok(Page { has_more: page.has_more, next_page: page.next_page, items })
}

/// Saves a script.
pub async fn create(app: &App, caller: &Caller, wanted: CreateStartupScript) -> Result<StartupScript> {
    caller.must_be_admin("create startup scripts")?;
    let name = names::checked("name", &wanted.name)?;
    let id = StartupScriptId::mint(app.clock.random());
    let row = Model {
        script: sealed(app, &id, &wanted.script)?,
        id: Text(id),
        team_id: Text(caller.team.clone()),
        name_folded: names::folded(&name),
        name,
        is_enabled: true,
        is_run_once: wanted.is_run_once.unwrap_or(false),
        dt_created: app.clock.now().into(),
        dt_deleted: None,
    };
    let tx = app.store.begin().await?;
    let script = shown(store::insert(&*tx, row).await?, Vec::new());
    commit_once(app, tx, caller, &script).await?;
    Ok(script)
}

/// A script's text as it is kept.
fn sealed(app: &App, id: &StartupScriptId, script: &str) -> Result<Vec<u8>> {
    let bytes = script.len();
    if bytes == 0 || bytes > SCRIPT_BYTES_MAX {
        let expected = format!("expected 1 to {SCRIPT_BYTES_MAX} bytes, found {bytes}");
        return Err(Error::field("script", expected));
    }
    Ok(app.sealer.seal(&sealed_for(id), script.as_bytes()))
}

fn sealed_for(id: &StartupScriptId) -> String {
    format!("the script of {id}")
}

/// A script with the machines that it is assigned to.
pub async fn get(app: &App, caller: &Caller, id: &StartupScriptId) -> Result<StartupScript> {
    let row = find(app.store.read(), &caller.team, id).await?;
    with_machines(app.store.read(), row).await
}

/// Changes a script. Machines take it up at their next start.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: &StartupScriptId,
    wanted: UpdateStartupScript,
) -> Result<StartupScript> {
    caller.must_be_admin("change startup scripts")?;
    let mut changes = store::changes(id);
    if let Some(name) = &wanted.name {
        let name = names::checked("name", name)?;
        changes.name_folded = Set(names::folded(&name));
        changes.name = Set(name);
    }
    if let Some(script) = &wanted.script {
        changes.script = Set(sealed(app, id, script)?);
    }
    if let Some(is_run_once) = wanted.is_run_once {
        changes.is_run_once = Set(is_run_once);
    }
    if let Some(is_enabled) = wanted.is_enabled {
        changes.is_enabled = Set(is_enabled);
    }
    let tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    let row = store::change(&*tx, row, changes).await?;
    let script = with_machines(&*tx, row).await?;
    tx.commit().await?;
    Ok(script)
}

/// Deletes a script and takes it from its machines. What runs of it goes on; its runs are forgotten.
pub async fn delete(app: &App, caller: &Caller, id: &StartupScriptId) -> Result<StartupScript> {
    caller.must_be_admin("delete startup scripts")?;
    let tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    machines::service::detach_script(&tx, id).await?;
    store::forget_served(&*tx, store::Served::ScriptId, id.as_str()).await?;
    runs::service::forget_script(&tx, id).await?;
    let mut changes = store::changes(id);
    changes.dt_deleted = Set(Some(app.clock.now().into()));
    let script = shown(store::change(&*tx, row, changes).await?, Vec::new());
    tx.commit().await?;
    Ok(script)
}

/// Gives a machine a script in place of the one that it may have, from its next start on.
pub async fn assign(
    app: &App,
    caller: &Caller,
    id: &StartupScriptId,
    machine: &MachineId,
) -> Result<StartupScript> {
    caller.must_be_admin("assign startup scripts")?;
    let tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    let assigned = machines::service::assign_script(&tx, caller, machine, id).await;
    assigned.map_err(|error| error.of_field("machineId"))?;
    let script = with_machines(&*tx, row).await?;
    commit_once(app, tx, caller, &script).await?;
    Ok(script)
}

/// Takes a script from a machine, from its next start on. A machine that does not have it stays as it is.
pub async fn unassign(
    app: &App,
    caller: &Caller,
    id: &StartupScriptId,
    machine: &MachineId,
) -> Result<StartupScript> {
    caller.must_be_admin("take startup scripts from machines")?;
    let tx = app.store.begin().await?;
    let row = find(&*tx, &caller.team, id).await?;
    let taken = machines::service::unassign_script(&tx, caller, machine, id).await;
    taken.map_err(|error| error.of_field("machineId"))?;
    let script = with_machines(&*tx, row).await?;
    commit_once(app, tx, caller, &script).await?;
    Ok(script)
}

/// A team's script.
pub async fn find(store: &impl ConnectionTrait, team: &TeamId, id: &StartupScriptId) -> Result<Model> {
    let row = store::find(store, id).await?.filter(|row| row.team_id.0 == *team && row.dt_deleted.is_none());
    row.ok_or_else(|| Error::no_such("startup script", id))
}

/// A script as a machine gets it at a boot: not at all when it is disabled, or is to run once and has.
pub async fn for_boot(
    app: &App,
    machine: &MachineId,
    id: &StartupScriptId,
) -> Result<Option<StartupScriptSpec>> {
    let store = app.store.read();
    let row = store::find(store, id).await?.filter(|row| row.dt_deleted.is_none() && row.is_enabled);
    let Some(row) = row else { return Ok(None) };
    if row.is_run_once && store::was_served(store, machine, id).await? {
        return Ok(None);
    }
    let broken = |error| Error::ours(format!("open the script {id}"), error);
    let script = app.sealer.open(&sealed_for(id), &row.script).map_err(broken)?;
    let script =
        String::from_utf8(script).map_err(|error| Error::ours(format!("read the script {id}"), error))?;
    Ok(Some(StartupScriptSpec { id: id.clone(), script, once: row.is_run_once }))
}

async fn with_machines(store: &impl ConnectionTrait, row: Model) -> Result<StartupScript> {
    let machines = machines::service::with_scripts(store, std::slice::from_ref(&row.id.0)).await?;
    Ok(shown(row, machines.into_values().flatten().collect()))
}

fn shown(row: Model, assigned_machine_ids: Vec<MachineId>) -> StartupScript {
    StartupScript {
        id: row.id.0,
        name: row.name,
        description: None,
        is_enabled: row.is_enabled,
        is_run_once: row.is_run_once,
        assigned_machine_ids,
        dt_created: row.dt_created.into(),
        dt_deleted: row.dt_deleted.map(Into::into),
    }
}
