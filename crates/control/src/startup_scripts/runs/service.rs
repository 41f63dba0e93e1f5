//! The rules of runs of startup scripts.

use deckle_api::admin::Role;
use deckle_api::ids::{MachineId, StartupScriptId, StartupScriptRunId};
use deckle_api::paging::Page;
use deckle_api::startup_scripts::{ListStartupScriptRuns, StartupScriptRun};
use deckle_engine::Engine;
use deckle_engine::seen::ScriptRunSeen;

use super::super::store as scripts;
use super::store::{self, Model};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::machines;
use crate::store::{Cursors, Text, Tx};

/// How many runs of a script are kept for each machine, the last ones.
const RUNS_MAX: usize = 10;
/// How long the end of a run is waited for, in seconds: a day.
const WATCHED_S: i64 = 86_400;
/// The shortest pause between two looks at a run, in milliseconds.
const PAUSE_MS_MIN: i64 = 1_000;
/// The pause from which on a run has no more looks of its own, in milliseconds.
const PAUSE_MS_MAX: i64 = 30_000;

/// The page of a script's runs that a query asks for. A plain member asks for a machine that it may use:
/// output carries what scripts carry.
pub async fn list(
    app: &App,
    caller: &Caller,
    id: &StartupScriptId,
    query: ListStartupScriptRuns,
) -> Result<Page<StartupScriptRun>> {
    super::super::service::find(app.store.read(), &caller.team, id).await?;
    match &query.machine_id {
        Some(machine) => {
            let usable = machines::service::usable(app.store.read(), caller, machine, "read the scripts of");
            usable.await.map_err(|error| error.of_field("machineId"))?;
        }
        None if caller.role < Role::Admin => {
            return Err(Error::Forbidden(
                "only administrators of the team may read the runs on every machine; name one that you have \
                 access to with machineId"
                    .to_owned(),
            ));
        }
        None => {}
    }
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let list = ("startup-script-runs", &caller.team, id, order_by.word(), order, &query.machine_id);
    let cursors = Cursors::of(&app.sealer, list);
    let mut listing = store::listing(id, query.machine_id.as_ref());
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    let page = listing.page(app.store.read()).await?.page(|next| cursors.write(next), |row| row);
    let items = page.items.into_iter().map(|row| shown(app, row)).collect::<Result<_>>()?;
    Ok(Page { has_more: page.has_more, next_page: page.next_page, items })
}

/// Writes down what the next start of a machine carries, before it is started.
///
/// A boot may be done again, after its host has restarted, and carry something else then. What was seen to run
/// in it before is kept; what was not is forgotten, for it is not known to have begun.
pub async fn begin(
    app: &App,
    machine: &MachineId,
    boot: u64,
    script: Option<&StartupScriptId>,
) -> Result<()> {
    let boot = i64::try_from(boot).unwrap_or(i64::MAX);
    let before = store::of_boot(app.store.read(), machine, boot).await?;
    if before.as_ref().map(|run| &run.script_id.0) == script {
        return Ok(());
    }
    let tx = app.store.begin().await?;
    if let Some(run) = before.filter(|run| !was_seen(run)) {
        store::delete(&*tx, &[run.id]).await?;
    }
    if let Some(script) = script {
        let run = Model {
            id: Text(StartupScriptRunId::mint(app.clock.random())),
            machine_id: Text(machine.clone()),
            script_id: Text(script.clone()),
            boot,
            exit_status: None,
            output: None,
            dt_created: app.clock.now().into(),
            dt_finished: None,
        };
        store::insert(&*tx, run).await?;
        store::prune(&*tx, script, machine, RUNS_MAX).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Whether anything of a run was seen: it has printed something, or ended.
fn was_seen(run: &Model) -> bool {
    run.exit_status.is_some() || run.output.is_some()
}

/// Says that a machine has become ready in a boot: what that boot carried was served.
pub async fn became_ready(tx: &Tx, machine: &MachineId, boot: u64) -> Result<()> {
    let boot = i64::try_from(boot).unwrap_or(i64::MAX);
    if let Some(run) = store::of_boot(&**tx, machine, boot).await? {
        scripts::serve(&**tx, machine, &run.script_id.0).await?;
    }
    Ok(())
}

/// Reads how the last run on a machine goes, unless its end is known: in how many milliseconds another look
/// is worth a visit of its own, while it is. A host that cannot say is asked again by the next visit.
pub async fn watch(app: &App, engine: &dyn Engine, machine: &MachineId) -> Result<Option<i64>> {
    let now = app.clock.now();
    let since = now.plus_seconds(-WATCHED_S);
    let Some(run) = store::open_of(app.store.read(), machine, since.into()).await? else { return Ok(None) };
    let again = pause_ms((now.0 - run.dt_created.0) / 1000);
    match engine.read_script_run(machine).await {
        Ok(Some(seen)) if seen.script == run.script_id.0 && seen.boot == run.boot.unsigned_abs() => {
            let ended = seen.exit_status.is_some();
            note(app, run, seen).await?;
            Ok(again.filter(|_| !ended))
        }
        Ok(_) => Ok(again),
        Err(error) => {
            tracing::warn!(machine.id = %machine, error = error.told(), "a startup script's run cannot be read");
            Ok(again)
        }
    }
}

/// The pause before another look at a run that began so long ago: most end soon. What lasts is looked at when
/// drift is.
fn pause_ms(age_ms: i64) -> Option<i64> {
    let pause = (age_ms / 4).max(PAUSE_MS_MIN);
    (pause < PAUSE_MS_MAX).then_some(pause)
}

/// Writes down what was seen of a run, where it is news.
async fn note(app: &App, run: Model, seen: ScriptRunSeen) -> Result<()> {
    // What was sealed under a lost key is written anew.
    let known = output(app, &run).unwrap_or_default();
    if seen.exit_status.is_none() && known.as_deref() == Some(&seen.output) {
        return Ok(());
    }
    let sealed = app.sealer.seal(&sealed_for(&run.id.0), seen.output.as_bytes());
    let finished = seen.exit_status.map(|_| app.clock.now().into());
    let tx = app.store.begin().await?;
    store::tell(&*tx, run.id, seen.exit_status.map(i64::from), sealed, finished).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets all runs of a script.
pub async fn forget_script(tx: &Tx, script: &StartupScriptId) -> Result<()> {
    Ok(store::delete_of(&**tx, store::Column::ScriptId, script.as_str()).await?)
}

/// Forgets what ran on a machine of which nothing is left.
pub async fn forget_machine(tx: &Tx, machine: &MachineId) -> Result<()> {
    scripts::forget_served(&**tx, scripts::Served::MachineId, machine.as_str()).await?;
    Ok(store::delete_of(&**tx, store::Column::MachineId, machine.as_str()).await?)
}

fn sealed_for(id: &StartupScriptRunId) -> String {
    format!("the output of {id}")
}

/// What a run is known to have printed.
fn output(app: &App, run: &Model) -> Result<Option<String>> {
    let Some(sealed) = &run.output else { return Ok(None) };
    let broken = |error| Error::ours(format!("open the output of {}", run.id.0), error);
    let bytes = app.sealer.open(&sealed_for(&run.id.0), sealed).map_err(broken)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn shown(app: &App, row: Model) -> Result<StartupScriptRun> {
    Ok(StartupScriptRun {
        output: output(app, &row)?,
        id: row.id.0,
        machine_id: row.machine_id.0,
        boot: row.boot.unsigned_abs(),
        exit_status: row.exit_status.and_then(|status| u8::try_from(status).ok()),
        dt_created: row.dt_created.into(),
        dt_finished: row.dt_finished.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_looked_at_soon_and_then_less_often() {
        let pauses: Vec<_> = [0, 3_000, 8_000, 60_000, 119_999, 120_000, i64::MAX].map(pause_ms).into();
        let some = [1_000, 1_000, 2_000, 15_000, 29_999].map(Some);
        assert_eq!(pauses, [&some[..], &[None, None]].concat());
    }
}
