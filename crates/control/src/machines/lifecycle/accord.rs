//! What a machine does of its own accord: each opens the event that says so, as an order does.

use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::{AutoSnapshotFrequency, MachineState};
use sea_orm::ActiveValue::Set;

use super::super::policy::{Disk, Intent, Power};
use super::super::{slots, store};
use super::Visit;
use super::acts::Acted;
use crate::error::Result;
use crate::machine_events;
use crate::reconciler::Next;
use crate::snapshots;

impl Visit<'_> {
    /// Wants the machine off. One that is shut down by force has its power cut without a word to its guest.
    pub(super) async fn shut_down(&mut self) -> Acted {
        let row = &self.row;
        let tx = self.app.store.begin().await?;
        if !store::still_wanted(&*tx, row).await? {
            return Ok(Ok(Next::Now));
        }
        let forced = row.auto_shutdown_force == Some(true);
        let shown = MachineState::Stopping;
        let aimed = store::aim(&*tx, row, Intent::Off, row.boots_wanted, shown, self.now).await?;
        if forced {
            let mut changes = store::changes(&aimed);
            changes.stop_forced = Set(true);
            store::change(&*tx, &aimed, changes).await?;
        }
        let name = if forced { MachineEventName::VmShutdownForce } else { MachineEventName::Stop };
        machine_events::service::open(self.app, &tx, &row.team_id.0, &row.id.0, name).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }

    /// Orders the snapshot of a slot, or lets the slot pass. However many slots have passed meanwhile, it is one
    /// snapshot, and the next slot is one of the same grid.
    pub(super) async fn keep_slot(&mut self) -> Acted {
        let row = &self.row;
        let frequency =
            row.auto_snapshot_frequency.as_ref().map_or(AutoSnapshotFrequency::Daily, |often| often.0);
        let since = row.auto_snapshot_since.unwrap_or(row.dt_created);
        let next = slots::next(frequency, since.into(), self.now);
        if !self.has_news().await? {
            return self.write(|row| row.auto_snapshot_due = Set(Some(next.into()))).await;
        }
        let tx = self.app.store.begin().await?;
        if !store::still_wanted(&*tx, row).await? {
            return Ok(Ok(Next::Now));
        }
        let name = slots::name(self.now);
        snapshots::service::order(self.app, &tx, row, &name, snapshots::Kind::Auto).await?;
        let mut changes = store::tried_anew(row);
        changes.auto_snapshot_due = Set(Some(next.into()));
        store::revise(&*tx, row, changes, self.now).await?;
        let event = MachineEventName::SnapshotCreate;
        machine_events::service::open(self.app, &tx, &row.team_id.0, &row.id.0, event).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }

    /// Whether there is something to take a snapshot of that the last auto-snapshot does not have.
    async fn has_news(&self) -> Result<bool> {
        let kept = self.row.auto_snapshot_save_count.unwrap_or(0);
        if kept == 0 || self.sight.disk != Disk::There {
            return Ok(false);
        }
        let Some(now) = self.at_rest() else { return Ok(true) };
        let last = snapshots::service::last_auto(self.app.store.read(), &self.row.id.0).await?;
        Ok(last.and_then(|last| last.at_rest).is_none_or(|then| then != now))
    }

    /// What the disk of a machine that is off is: as long as that stays the same, so does what is on it.
    pub(super) fn at_rest(&self) -> Option<String> {
        let disk =
            self.seen.disk.filter(|_| self.row.intent.0 == Intent::Off && self.sight.power == Power::Off)?;
        let (boots, restores) = (self.row.boots_wanted, disk.generation);
        Some(format!("boot {boots}, restore {restores}, {} bytes", disk.size_bytes))
    }
}
