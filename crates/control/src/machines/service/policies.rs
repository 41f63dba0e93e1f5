//! The rules of what a machine does by itself: it shuts down after a time, has snapshots taken, and goes back
//! to its restore point. They change at once, in any state, and no event says so.

use deckle_api::Timestamp;
use deckle_api::ids::SnapshotId;
use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::{AutoSnapshotFrequency, CreateMachine, UpdateMachine};
use sea_orm::ActiveValue::Set;

use super::super::slots;
use super::super::store::{self, ActiveModel, Model};
use crate::app::App;
use crate::error::{Error, Result};
use crate::reconciler::Object;
use crate::store::{Text, Tx};
use crate::{machine_events, snapshots};

/// The longest that a machine may be told to run, in hours: a week.
const SHUTDOWN_HOURS_MAX: f64 = 168.0;
/// How long it runs when nobody says how long, in hours.
const SHUTDOWN_HOURS: i64 = 1;
/// The most auto-snapshots that are kept of a machine.
const SAVE_COUNT_MAX: f64 = 10.0;
/// How many are kept when nobody says how many.
const SAVE_COUNT: i64 = 1;

/// When a machine shuts down by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AutoShutdown {
    pub enabled: bool,
    pub hours: Option<i64>,
    pub force: Option<bool>,
}

/// When snapshots are taken of a machine by themselves, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AutoSnapshots {
    pub enabled: bool,
    pub frequency: Option<AutoSnapshotFrequency>,
    pub save_count: Option<i64>,
    pub since: Option<Timestamp>,
    pub due: Option<Timestamp>,
}

/// What a new machine does by itself.
pub(super) fn of_new(wanted: &CreateMachine, now: Timestamp) -> Result<(AutoShutdown, AutoSnapshots)> {
    let shutdown = AutoShutdown::default().changed(
        wanted.auto_shutdown_enabled,
        wanted.auto_shutdown_timeout,
        wanted.auto_shutdown_force,
    );
    let snapshots = AutoSnapshots::default().changed(
        wanted.auto_snapshot_enabled,
        wanted.auto_snapshot_frequency,
        wanted.auto_snapshot_save_count,
        now,
    );
    Ok((shutdown?, snapshots?))
}

/// Gives a new machine its initial snapshot as its restore point.
pub(super) async fn begin_restore_point(
    tx: &Tx,
    machine: Model,
    initial: Text<SnapshotId>,
    now: Timestamp,
) -> Result<Model> {
    let mut changes = store::changes(&machine);
    changes.restore_point_enabled = Set(true);
    changes.restore_point_snapshot_id = Set(Some(initial));
    Ok(store::revise(&**tx, &machine, changes, now).await?)
}

/// Changes what a machine does by itself. What the request leaves out stays.
pub(super) async fn change(app: &App, tx: &mut Tx, machine: Model, wanted: &UpdateMachine) -> Result<Model> {
    let now = app.clock.now();
    let mut changes = store::changes(&machine);
    let shutdown = AutoShutdown::of(&machine).changed(
        wanted.auto_shutdown_enabled,
        wanted.auto_shutdown_timeout,
        wanted.auto_shutdown_force,
    )?;
    if shutdown != AutoShutdown::of(&machine) {
        shutdown.write(&mut changes);
    }
    let snapshots = AutoSnapshots::of(&machine).changed(
        wanted.auto_snapshot_enabled,
        wanted.auto_snapshot_frequency,
        wanted.auto_snapshot_save_count,
        now,
    )?;
    if snapshots != AutoSnapshots::of(&machine) {
        snapshots.write(&mut changes);
    }
    change_restore_point(tx, &machine, wanted, &mut changes).await?;
    if changes == store::changes(&machine) {
        return Ok(machine);
    }
    let machine = store::revise(&**tx, &machine, changes, now).await?;
    tx.wake(Object::Machine(machine.id.0.clone()));
    Ok(machine)
}

impl AutoShutdown {
    fn of(row: &Model) -> Self {
        Self {
            enabled: row.auto_shutdown_enabled,
            hours: row.auto_shutdown_hours,
            force: row.auto_shutdown_force,
        }
    }

    /// A timeout of 0 beside a word that switches it off is none.
    fn changed(mut self, enabled: Option<bool>, timeout: Option<f64>, force: Option<bool>) -> Result<Self> {
        let timeout = timeout.filter(|hours| enabled != Some(false) || *hours != 0.0);
        let hours =
            timeout.map(|hours| whole("autoShutdownTimeout", hours, 1.0, SHUTDOWN_HOURS_MAX, " of hours"));
        self.enabled = enabled.unwrap_or(self.enabled);
        self.hours = hours.transpose()?.or(self.hours).or(self.enabled.then_some(SHUTDOWN_HOURS));
        self.force = force.or(self.force).or(self.enabled.then_some(false));
        Ok(self)
    }

    fn write(self, row: &mut ActiveModel) {
        row.auto_shutdown_enabled = Set(self.enabled);
        row.auto_shutdown_hours = Set(self.hours);
        row.auto_shutdown_force = Set(self.force);
    }
}

impl AutoSnapshots {
    fn of(row: &Model) -> Self {
        Self {
            enabled: row.auto_snapshot_enabled,
            frequency: row.auto_snapshot_frequency.map(|often| often.0),
            save_count: row.auto_snapshot_save_count,
            since: row.auto_snapshot_since.map(Into::into),
            due: row.auto_snapshot_due.map(Into::into),
        }
    }

    /// The slots are counted from the moment at which they are switched on or get another period.
    fn changed(
        self,
        enabled: Option<bool>,
        frequency: Option<AutoSnapshotFrequency>,
        save_count: Option<f64>,
        now: Timestamp,
    ) -> Result<Self> {
        let save_count =
            save_count.map(|count| whole("autoSnapshotSaveCount", count, 0.0, SAVE_COUNT_MAX, ""));
        let enabled = enabled.unwrap_or(self.enabled);
        let often = frequency.or(self.frequency);
        // Whoever switches them on wants some, unless the request says otherwise.
        let kept = self.save_count.filter(|count| self.enabled || !enabled || *count > 0);
        let mut changed = Self {
            enabled,
            frequency: often.or(enabled.then_some(AutoSnapshotFrequency::Daily)),
            save_count: save_count.transpose()?.or(kept).or(enabled.then_some(SAVE_COUNT)),
            ..self
        };
        match changed.frequency.filter(|_| enabled) {
            None => (changed.since, changed.due) = (None, None),
            Some(often) if !self.enabled || self.frequency != Some(often) => {
                (changed.since, changed.due) = (Some(now), Some(slots::next(often, now, now)));
            }
            Some(_) => {}
        }
        Ok(changed)
    }

    fn write(self, row: &mut ActiveModel) {
        row.auto_snapshot_enabled = Set(self.enabled);
        row.auto_snapshot_frequency = Set(self.frequency.map(Text));
        row.auto_snapshot_save_count = Set(self.save_count);
        row.auto_snapshot_since = Set(self.since.map(Into::into));
        row.auto_snapshot_due = Set(self.due.map(Into::into));
    }
}

fn whole(field: &str, number: f64, min: f64, max: f64, of: &str) -> Result<i64> {
    if number.fract() == 0.0 && (min..=max).contains(&number) {
        return Ok(number as i64);
    }
    Err(Error::field(field, format!("expected a whole number{of} from {min} to {max}")))
}

/// Switches the restore point on or off, or leads it elsewhere. A way back that has not begun follows it; one
/// that a request has ordered does not.
async fn change_restore_point(
    tx: &Tx,
    machine: &Model,
    wanted: &UpdateMachine,
    changes: &mut ActiveModel,
) -> Result<()> {
    let id = &machine.id.0;
    let enabled = wanted.restore_point_enabled.unwrap_or(machine.restore_point_enabled);
    let point = match &wanted.restore_point_snapshot_id {
        Some(_) if !enabled => {
            let wrong = format!("the restore point of {id} is off; send restorePointEnabled as true with it");
            return Err(Error::field("restorePointSnapshotId", wrong));
        }
        Some(wanted) => {
            let found = snapshots::service::whole_of(tx, id, wanted).await;
            Some(found.map_err(|error| error.of_field("restorePointSnapshotId"))?.id)
        }
        None if !enabled => None,
        None if machine.restore_point_enabled => machine.restore_point_snapshot_id.clone(),
        None => Some(initial(tx, machine).await?),
    };
    if enabled == machine.restore_point_enabled && point == machine.restore_point_snapshot_id {
        return Ok(());
    }
    if goes_back_by_itself(tx, machine).await? {
        match &point {
            Some(point) => changes.restore_to = Set(Some(point.clone())),
            None => {
                changes.restores_wanted = Set(machine.restores_begun);
                changes.restore_to = Set(None);
            }
        }
    }
    changes.restore_point_enabled = Set(enabled);
    changes.restore_point_snapshot_id = Set(point);
    Ok(())
}

/// What a restore point is where nobody says which snapshot: the one that was taken before the first boot.
async fn initial(tx: &Tx, machine: &Model) -> Result<Text<SnapshotId>> {
    let id = &machine.id.0;
    let wrong = || format!("{id} has no initial snapshot; name one of its snapshots, or take one first");
    let initial = snapshots::service::initial_of(tx, id).await?;
    Ok(initial.ok_or_else(|| Error::field("restorePointSnapshotId", wrong()))?.id)
}

/// Whether a machine is about to go back to its restore point, and has not begun.
async fn goes_back_by_itself(tx: &Tx, machine: &Model) -> Result<bool> {
    if !machine.restore_point_enabled || machine.restores_wanted <= machine.restores_begun {
        return Ok(false);
    }
    let open = machine_events::service::open_of(&**tx, &machine.id.0).await?;
    Ok(open.is_none_or(|event| event.name.0 != MachineEventName::SnapshotRestore))
}
