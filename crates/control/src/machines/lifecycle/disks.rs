//! The steps that are about a machine's disk: it is made, grows, and goes; its snapshots are taken and removed;
//! it goes back to one.

use deckle_api::sizes::GB;
use deckle_engine::specs::{DiskSpec, RestoreSpec};
use deckle_engine::{Engine, Error as Fault};
use sea_orm::ActiveValue::Set;

use super::super::store;
use super::Visit;
use super::acts::Acted;
use crate::reconciler::Next;
use crate::snapshots;

impl Visit<'_> {
    pub(super) fn disk(&self) -> DiskSpec {
        DiskSpec {
            machine: self.row.id.0.clone(),
            template: self.row.template_id.0.clone(),
            size_bytes: self.row.disk_gib.unsigned_abs() * GB,
        }
    }

    pub(super) fn larger_disk(&self) -> DiskSpec {
        let gib = self.row.next_disk_gib.unwrap_or(self.row.disk_gib);
        DiskSpec { size_bytes: gib.unsigned_abs() * GB, ..self.disk() }
    }

    /// A deleted disk was never made: written down before it goes, so that a crash in between does not
    /// leave a disk that looks lost.
    pub(super) async fn delete_disk(&mut self, engine: &dyn Engine) -> Acted {
        let mut changes = store::changes(&self.row);
        changes.disk_made = Set(false);
        changes.restores_wanted = Set(0);
        changes.restores_begun = Set(0);
        changes.restore_to = Set(None);
        let tx = self.app.store.begin().await?;
        // A start that was ordered meanwhile wants the disk as it is: made, or to be made again.
        if !store::change(&*tx, &self.row, changes).await? {
            return Ok(Ok(Next::Now));
        }
        snapshots::service::lose_disk(&tx, &self.row.id.0, self.now).await?;
        tx.commit().await?;
        let removed = engine.remove_disk(&self.row.id.0).await;
        Ok(removed.map(|()| Next::Now))
    }

    /// Takes a snapshot, and writes down that it is there.
    pub(super) async fn take_snapshot(&mut self, engine: &dyn Engine) -> Acted {
        let Some(snapshot) = self.snapshots.take.take() else { return Ok(Ok(Next::Now)) };
        if let Err(fault) = engine.ensure_snapshot(&self.row.id.0, &snapshot.id.0).await {
            return Ok(Err(fault));
        }
        let tx = self.app.store.begin().await?;
        // One that was given up meanwhile is removed by a later visit.
        if store::still_wanted(&*tx, &self.row).await? {
            snapshots::service::taken(&tx, &snapshot, self.at_rest()).await?;
            if snapshot.kind.0 == snapshots::Kind::Auto {
                snapshots::service::retire_autos(&tx, &self.row).await?;
            }
            tx.commit().await?;
        }
        Ok(Ok(Next::Now))
    }

    /// Removes a snapshot, and writes down that it is gone. What may be half removed is never kept again.
    pub(super) async fn remove_snapshot(&mut self, engine: &dyn Engine) -> Acted {
        let Some(snapshot) = self.snapshots.remove.take() else { return Ok(Ok(Next::Now)) };
        let tx = self.app.store.begin().await?;
        if !store::still_wanted(&*tx, &self.row).await? {
            return Ok(Ok(Next::Now));
        }
        snapshots::service::removing(&tx, &snapshot).await?;
        tx.commit().await?;
        if let Err(fault) = engine.remove_snapshot(&self.row.id.0, &snapshot.id.0).await {
            return Ok(Err(fault));
        }
        let tx = self.app.store.begin().await?;
        snapshots::service::removed(&tx, &snapshot).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }

    /// Takes the disk back to a snapshot. That it begins is written down first: from then on it is finished,
    /// whatever is ordered, unless its host says that it cannot be.
    pub(super) async fn restore(&mut self, engine: &dyn Engine) -> Acted {
        let id = self.row.id.0.clone();
        let Some(snapshot) = self.row.restore_to.as_ref().map(|to| to.0.clone()) else {
            let why = "its row names no snapshot to go back to";
            return Ok(Err(Fault::lasting(format!("restore {id}"), why)));
        };
        let (wanted, begun) = (self.row.restores_wanted, self.row.restores_begun);
        if wanted != begun && !self.change(|row| row.restores_begun = Set(wanted)).await? {
            return Ok(Ok(Next::Now));
        }
        let spec = RestoreSpec { machine: id, snapshot, generation: self.row.restores() };
        let restored = engine.restore_snapshot(&spec).await;
        if restored.as_ref().is_err_and(Fault::is_final) {
            // It is as it was, or half restored: then its host does not start it before a restore is finished.
            self.change(|row| row.restores_begun = Set(wanted - 1)).await?;
            self.row.restores_begun = wanted - 1;
        }
        Ok(restored.map(|()| Next::Now))
    }
}
