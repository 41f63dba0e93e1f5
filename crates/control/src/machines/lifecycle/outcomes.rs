//! How visits end: settled, forgotten, or stumbled over a fault of the host.

use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::MachineState;
use deckle_engine::{Engine, Error as Fault};
use sea_orm::ActiveValue::Set;

use super::super::accessors;
use super::super::namesakes;
use super::super::policy::{self, Button, Intent, Power, Step};
use super::super::store::{self, Model};
use super::Visit;
use crate::app::App;
use crate::custom_templates;
use crate::error::Result;
use crate::firewall_rules;
use crate::machine_events::{self, End};
use crate::public_ips;
use crate::reconciler::{Next, Object};
use crate::snapshots;
use crate::startup_scripts;
use crate::store::{Text, Tx};

impl Visit<'_> {
    /// After a step that did not fail: earlier faults are over. An act that was done again and again, and that
    /// the next look does not show, is a fault all the same.
    pub(super) async fn went_well(&mut self, step: Step, next: Next) -> Result<Next> {
        let (app, row) = (self.app, &self.row);
        let object = Object::Machine(row.id.0.clone());
        if matches!(step, Step::Settle | Step::Forget) {
            app.patience.renew(&object);
            if next != Next::Now {
                app.progress.renew(&object);
            }
            return Ok(next);
        }
        if !step.is_act() {
            return Ok(next);
        }
        if let Some(times) = app.patience.lost(&object, row.orders, &format!("{step:?}")) {
            let why = format!("its host said {times} times that it was done, and does not show it");
            return stumbled(app, row, Fault::passing(format!("{step:?} of {}", row.id.0), why)).await;
        }
        if row.failing_since.is_some() {
            let mut changes = store::changes(row);
            changes.failing_since = Set(None);
            changes.failures = Set(0);
            let tx = app.store.begin().await?;
            if store::change(&*tx, row, changes).await? {
                tx.commit().await?;
            }
        }
        Ok(next)
    }

    /// Says that the machine is as it should be, and closes its event: if that is still what is wanted.
    pub(super) async fn settle(&mut self) -> Result<Next> {
        let row = &self.row;
        let was_clean = row.settled && row.failures == 0 && row.trouble.is_none();
        if was_clean && self.event.is_none() {
            return Ok(Next::Settled);
        }
        let mut changes = store::changes(row);
        changes.settled = Set(true);
        changes.shown_state = Set(Text(policy::shown(row.intent.0, None, &self.sight)));
        changes.failing_since = Set(None);
        changes.failures = Set(0);
        changes.trouble = Set(None);
        if row.intent.0 == Intent::On {
            changes.ready_boot = Set(Some(row.boots_wanted));
        } else {
            changes.powered = Set(false);
        }
        // A restore that was ordered is finished.
        changes.restore_to = Set(None);
        if let Some(machine_type) = &row.next_machine_type {
            changes.machine_type = Set(machine_type.clone());
            changes.next_machine_type = Set(None);
        }
        if let Some(gib) = row.next_disk_gib {
            changes.disk_gib = Set(gib);
            changes.next_disk_gib = Set(None);
        }
        let tx = self.app.store.begin().await?;
        if !store::change(&*tx, row, changes).await? {
            return Ok(Next::Now);
        }
        if row.trouble.is_some() {
            tracing::info!(machine.id = %row.id.0, "what a machine stumbled over is over");
        }
        if row.intent.0 == Intent::On {
            startup_scripts::runs::service::became_ready(&tx, &row.id.0, row.boots()).await?;
        }
        snapshots::service::machine_settled(&tx, &row.id.0, row.intent.0 == Intent::Blank, self.now).await?;
        if let Some(event) = machine_events::service::open_of(&*tx, &row.id.0).await? {
            if event.name.0 == MachineEventName::TemplateCreate {
                custom_templates::service::publish(&tx, &row.id.0).await?;
            }
            machine_events::service::end(&tx, &event, End::Done, self.now).await?;
        }
        tx.commit().await?;
        Ok(Next::Settled)
    }

    /// Says that nothing of the machine is left. The calls for its port and its disk are made once more:
    /// half a port is seen as none, and a crash may have left something beside a disk.
    pub(super) async fn forget(&mut self, engine: &dyn Engine) -> Result<std::result::Result<Next, Fault>> {
        let row = &self.row;
        if let Err(fault) = engine.remove_nic(&row.id.0, &row.host_network()).await {
            return Ok(Err(fault));
        }
        if let Err(fault) = engine.remove_disk(&row.id.0).await {
            return Ok(Err(fault));
        }
        let mut changes = store::changes(row);
        changes.settled = Set(true);
        changes.placed = Set(false);
        changes.public_ip = Set(None);
        changes.shown_state = Set(Text(MachineState::Off));
        changes.dt_deleted = Set(Some(self.now.into()));
        let mut tx = self.app.store.begin().await?;
        if !store::change(&*tx, row, changes).await? {
            return Ok(Ok(Next::Now));
        }
        public_ips::service::let_go(&tx, &row.id.0).await?;
        accessors::service::forget(&tx, &row.id.0).await?;
        startup_scripts::runs::service::forget_machine(&tx, &row.id.0).await?;
        snapshots::service::forget_machine(&tx, &row.id.0, self.now).await?;
        let network = row.network_id.as_ref().map(|network| &network.0);
        firewall_rules::service::forget_machine(&mut tx, &row.team_id.0, &row.id.0, network).await?;
        if let Some(network) = &row.network_id {
            namesakes::left(&mut tx, &network.0, &row.name_folded).await?;
        }
        if let Some(event) = machine_events::service::open_of(&*tx, &row.id.0).await? {
            machine_events::service::end(&tx, &event, End::Done, self.now).await?;
        }
        tx.commit().await?;
        Ok(Ok(Next::Never))
    }

    /// A guest that switched itself off wanted its machine off: so do we. Where something else was under
    /// way, that has failed.
    pub(super) async fn honour_guest(&mut self) -> Result<std::result::Result<Next, Fault>> {
        let row = &self.row;
        let tx = self.app.store.begin().await?;
        if !store::still_wanted(&*tx, row).await? {
            return Ok(Ok(Next::Now));
        }
        tracing::info!(machine.id = %row.id.0, "a guest has switched itself off");
        let shown = MachineState::Stopping;
        let mut row = row.clone();
        let open = machine_events::service::open_of(&*tx, &row.id.0).await?;
        if let Some(event) = &open {
            take_back(&tx, &mut row, event.name.0).await?;
        }
        let row = store::aim(&*tx, &row, Intent::Off, row.boots_wanted, shown, self.now).await?;
        if let Some(event) = open {
            let was_ready = row.ready_boot == Some(row.boots_wanted);
            let when = if was_ready { "meanwhile" } else { "before it was ready" };
            let told = format!("the guest of {} switched itself off {when}", row.id.0);
            machine_events::service::end(&tx, &event, End::Error(told), self.now).await?;
        }
        machine_events::service::open(self.app, &tx, &row.team_id.0, &row.id.0, MachineEventName::Stop)
            .await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }

    /// Cuts the power; where a guest had its time to stop cleanly and did not, an event says so.
    pub(super) async fn cut_power(
        &mut self,
        engine: &dyn Engine,
    ) -> Result<std::result::Result<Next, Fault>> {
        let row = &self.row;
        let running = matches!(self.sight.power, Power::On | Power::OnBefore);
        if let Err(fault) = engine.cut_power(&row.id.0).await {
            return Ok(Err(fault));
        }
        // Where nobody has asked the guest, the event under way says so.
        if running && self.sight.button == Button::Overdue && !row.stop_forced {
            let tx = self.app.store.begin().await?;
            let forced = MachineEventName::VmShutdownForce;
            machine_events::service::already_done(self.app, &tx, &row.team_id.0, &row.id.0, forced).await?;
            tx.commit().await?;
        }
        Ok(Ok(Next::Now))
    }
}

/// Writes down a fault of the host. A final one, or one that has lasted too long, ends the open event; where no
/// event is open, a final one is told by an event that has failed. What is told already is told once.
pub(super) async fn stumbled(app: &App, row: &Model, fault: Fault) -> Result<Next> {
    let now = app.clock.now();
    let limits = &app.config.limits;
    let tx = app.store.begin().await?;
    if !store::still_wanted(&*tx, row).await? {
        return Ok(Next::Now);
    }
    let since = row.failing_since.unwrap_or(now.into());
    let failures = row.failures + 1;
    let told = fault.told();
    let event = machine_events::service::open_of(&*tx, &row.id.0).await?;
    let known = row.trouble.as_ref() == Some(&told);
    let longest = Next::In(limits.pause_s_max * 1000);
    if event.is_none()
        && known
        && (fault.is_final() || pause_ms(row.failures, limits.pause_s_max) == limits.pause_s_max * 1000)
    {
        return Ok(longest);
    }
    if known {
        tracing::debug!(machine.id = %row.id.0, failures, error = told, "a step failed again");
    } else {
        tracing::warn!(machine.id = %row.id.0, failures, error = told, "a step failed");
    }
    let too_long = now.seconds_since(since.into()) >= limits.failing_s as f64;
    if let Some(event) = event.as_ref().filter(|event| event.dt_started.is_none()) {
        machine_events::service::begin(&tx, event, now).await?;
    }
    if event.is_none()
        && !known
        && fault.is_final()
        && let Some(name) = in_doubt(row.intent.0)
    {
        let failed = (name, told.clone());
        machine_events::service::tell_failed(app, &tx, &row.team_id.0, &row.id.0, failed).await?;
    }
    let ended = event.filter(|_| fault.is_final() || too_long);
    let mut row = row.clone();
    if let Some(event) = &ended {
        machine_events::service::end(&tx, event, End::Error(told.clone()), now).await?;
        take_back(&tx, &mut row, event.name.0).await?;
        let intent = if event.unordered { row.intent.0 } else { after_failure(event.name.0, row.intent.0) };
        let shown = if intent == row.intent.0 { row.shown_state.0 } else { MachineState::Stopping };
        row = store::aim(&*tx, &row, intent, row.boots_wanted, shown, now).await?;
    }
    app.progress.stumbled(&Object::Machine(row.id.0.clone()), now);
    let mut changes = store::changes(&row);
    changes.failing_since = Set(Some(since));
    changes.failures = Set(failures);
    changes.trouble = Set(Some(told));
    store::change(&*tx, &row, changes).await?;
    tx.commit().await?;
    if ended.is_some() {
        return Ok(Next::Now);
    }
    Ok(Next::In(pause_ms(failures, limits.pause_s_max)))
}

/// Takes back what an order asked for beside the intent, where it will not come about.
pub async fn take_back(tx: &Tx, row: &mut Model, order: MachineEventName) -> Result<()> {
    match order {
        MachineEventName::SnapshotCreate => snapshots::service::give_up_untaken(tx, &row.id.0).await,
        MachineEventName::SnapshotDelete => snapshots::service::keep_whole(tx, &row.id.0).await,
        MachineEventName::TemplateCreate => {
            custom_templates::service::give_up(tx, &row.id.0, row.dt_modified.into()).await
        }
        MachineEventName::SnapshotRestore => {
            if !row.restore_is_begun() {
                row.restores_wanted = row.restores_begun;
                row.restore_to = None;
            }
            snapshots::service::give_up_untaken(tx, &row.id.0).await
        }
        _ => Ok(()),
    }
}

/// What a fault stands in the way of that nobody's order has met: the event that tells it.
fn in_doubt(intent: Intent) -> Option<MachineEventName> {
    match intent {
        Intent::On => Some(MachineEventName::Restart),
        Intent::Off => Some(MachineEventName::Start),
        Intent::Blank | Intent::Gone => None,
    }
}

/// What is wanted once an order has failed.
fn after_failure(order: MachineEventName, intent: Intent) -> Intent {
    match order {
        MachineEventName::Create => Intent::Blank,
        MachineEventName::Start | MachineEventName::Restart => Intent::Off,
        MachineEventName::VmMigrate | MachineEventName::SnapshotRestore if intent == Intent::On => {
            Intent::Off
        }
        _ => intent,
    }
}

/// 1 s, 2 s, 4 s, … up to the limit.
fn pause_ms(failures: i64, pause_s_max: i64) -> i64 {
    let exponent = u32::try_from(failures.clamp(1, 16) - 1).unwrap_or(0);
    (1000i64 << exponent).min(pause_s_max * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let pauses: Vec<_> = [1, 2, 3, 5, 6, 100].map(|failures| pause_ms(failures, 30)).into();
        assert_eq!(pauses, [1000, 2000, 4000, 16000, 30000, 30000]);
    }
}
