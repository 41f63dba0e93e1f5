//! What users have stored as files, and files as what users have stored: an operator's exports and imports.
//!
//! They are kept in memory only: one that the end of the server cuts off has changed everything or nothing, and
//! the next visit clears away what it has left on its host. Nobody but the operator waits for it.
//!
//! **Invariants**: a transfer has its object's turn while it is on the host, so that no visit is made meanwhile:
//! what is ordered of the object waits. An object has at most one transfer, and no more than `limits.transfers`
//! are under way.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deckle_api::ids::TransferId;
use deckle_api::transfers::{Transfer, TransferAct, TransferState};

use crate::error::{Error, Result};

/// How many transfers that have ended are remembered.
const KEPT: usize = 100;

/// The transfers since the server's start, the newest last.
#[derive(Debug, Default)]
pub struct Transfers(Mutex<VecDeque<Transfer>>);

impl Transfers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Transfer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, if its object has no other and there is room.
    fn begin(&self, fresh: Transfer, under_way_max: usize) -> Result<Transfer> {
        let mut all = self.lock();
        let mut under_way = 0;
        for other in all.iter().filter(|other| other.is_under_way()) {
            if other.is_of_same(&fresh) {
                let (id, act) = (&other.id, other.act.word());
                return Err(Error::Conflict(format!("its {act} {id} is under way: wait for its end")));
            }
            under_way += 1;
        }
        if under_way >= under_way_max {
            let cure = "wait for the end of one; `deckle admin transfer list` shows them";
            return Err(Error::Conflict(format!("{under_way} (limits.transfers) are under way: {cure}")));
        }
        while all.len() >= KEPT && all.front().is_some_and(|oldest| !oldest.is_under_way()) {
            all.pop_front();
        }
        all.push_back(fresh.clone());
        Ok(fresh)
    }

    fn change(&self, id: &TransferId, change: impl FnOnce(&mut Transfer)) {
        if let Some(transfer) = self.lock().iter_mut().find(|transfer| transfer.id == *id) {
            change(transfer);
        }
    }

    fn find(&self, id: &TransferId) -> Option<Transfer> {
        self.lock().iter().find(|transfer| transfer.id == *id).cloned()
    }

    fn all(&self) -> Vec<Transfer> {
        self.lock().iter().cloned().collect()
    }
}

trait Shown {
    fn is_under_way(&self) -> bool;
    fn is_of_same(&self, other: &Self) -> bool;
}

impl Shown for Transfer {
    fn is_under_way(&self) -> bool {
        matches!(self.state, TransferState::Waiting | TransferState::Running)
    }

    fn is_of_same(&self, other: &Self) -> bool {
        (&self.machine_id, &self.shared_drive_id) == (&other.machine_id, &other.shared_drive_id)
    }
}

/// The rules of exports and imports.
pub mod service {
    use std::path::{Path, PathBuf};

    use deckle_api::ids::{MachineId, SharedDriveId};
    use deckle_api::transfers::{Export, Import};
    use deckle_engine::transfers::{ExportSpec, ImportSpec, Stored};

    use super::*;
    use crate::app::App;
    use crate::error::chain;
    use crate::reconciler::Object;
    use crate::{machines, shared_drives};

    /// Begins to copy a machine's disk or a drive to a file. The answer comes before the end.
    pub async fn export(app: &App, wanted: Export) -> Result<Transfer> {
        let Export { machine_id, shared_drive_id, file, replace } = wanted;
        let act = Act::Export { replace: replace.unwrap_or(false) };
        begin(app, named(machine_id, shared_drive_id)?, file, act).await
    }

    /// Begins to replace a machine's disk or a drive by what a file holds. The answer comes before the end.
    pub async fn import(app: &App, wanted: Import) -> Result<Transfer> {
        let Import { machine_id, shared_drive_id, file } = wanted;
        begin(app, named(machine_id, shared_drive_id)?, file, Act::Import).await
    }

    /// The transfers since the server's start, the newest last, each with how far it is.
    pub async fn list(app: &App) -> Vec<Transfer> {
        let mut all = app.transfers.all();
        for transfer in &mut all {
            look(app, transfer).await;
        }
        all
    }

    /// One of them.
    pub async fn get(app: &App, id: &TransferId) -> Result<Transfer> {
        let found = app.transfers.find(id);
        let mut transfer = found.ok_or_else(|| {
            Error::NotFound(format!("there is no transfer {id} since the server's start; one before that was cut off, or has ended"))
        })?;
        look(app, &mut transfer).await;
        Ok(transfer)
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Act {
        Export { replace: bool },
        Import,
    }

    impl Act {
        fn shown(self) -> TransferAct {
            match self {
                Self::Export { .. } => TransferAct::Export,
                Self::Import => TransferAct::Import,
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Named {
        Machine(MachineId),
        Drive(SharedDriveId),
    }

    fn named(machine: Option<MachineId>, drive: Option<SharedDriveId>) -> Result<Named> {
        match (machine, drive) {
            (Some(id), None) => Ok(Named::Machine(id)),
            (None, Some(id)) => Ok(Named::Drive(id)),
            _ => Err(Error::field("machineId", "expected either machineId or sharedDriveId")),
        }
    }

    impl Named {
        fn object(&self) -> Object {
            match self {
                Self::Machine(id) => Object::Machine(id.clone()),
                Self::Drive(id) => Object::SharedDrive(id.clone()),
            }
        }
    }

    /// What is asked of which region's host.
    enum Order {
        Export(String, ExportSpec),
        Import(String, ImportSpec),
    }

    /// What is to be asked of the host, if what is wanted may be done now.
    async fn order(app: &App, named: &Named, file: &Path, act: Act) -> Result<Order> {
        let file = file.to_owned();
        Ok(match (named, act) {
            (Named::Machine(id), Act::Export { replace }) => {
                let region = machines::service::exportable(app, id).await?;
                Order::Export(region, ExportSpec { of: Stored::Disk(id.clone()), file, replace })
            }
            (Named::Machine(id), Act::Import) => {
                let (region, size_bytes) = machines::service::replaceable(app, id).await?;
                Order::Import(region, ImportSpec { of: Stored::Disk(id.clone()), file, size_bytes })
            }
            (Named::Drive(id), Act::Export { replace }) => {
                let (region, network) = shared_drives::service::exportable(app, id).await?;
                Order::Export(region, ExportSpec { of: Stored::Drive(id.clone(), network), file, replace })
            }
            (Named::Drive(id), Act::Import) => {
                let (region, network, size_bytes) = shared_drives::service::replaceable(app, id).await?;
                Order::Import(region, ImportSpec { of: Stored::Drive(id.clone(), network), file, size_bytes })
            }
        })
    }

    async fn begin(app: &App, named: Named, file: PathBuf, act: Act) -> Result<Transfer> {
        if !file.is_absolute() {
            return Err(Error::field("file", "expected an absolute path on the server's host"));
        }
        // Refused at once where that is plain; looked at again when it has the object's turn.
        order(app, &named, &file, act).await?;
        let (machine_id, shared_drive_id) = match &named {
            Named::Machine(id) => (Some(id.clone()), None),
            Named::Drive(id) => (None, Some(id.clone())),
        };
        let fresh = Transfer {
            id: TransferId::mint(app.clock.random()),
            act: act.shown(),
            machine_id,
            shared_drive_id,
            file: file.clone(),
            state: TransferState::Waiting,
            done_bytes: None,
            total_bytes: None,
            error: None,
            dt_created: app.clock.now(),
            dt_finished: None,
        };
        let transfer = app.transfers.begin(fresh, app.config.limits.transfers)?;
        let under_way = UnderWay { app: app.clone(), id: transfer.id.clone(), outcome: None };
        // On its own: whoever asked for it may stop waiting.
        tokio::spawn(under_way.carry_out(named, file, act));
        Ok(transfer)
    }

    /// A transfer that is under way. It has ended when this is dropped, also by a panic.
    struct UnderWay {
        app: App,
        id: TransferId,
        outcome: Option<Result<(), String>>,
    }

    impl UnderWay {
        async fn carry_out(mut self, named: Named, file: PathBuf, act: Act) {
            let words = format!("waits for the {} {}", act.shown().word(), self.id);
            let wakes = self.app.store.wakes();
            let turn = wakes.claim(named.object(), &words, self.app.clock.as_ref()).await;
            self.app.transfers.change(&self.id, |transfer| transfer.state = TransferState::Running);
            let outcome = self.take_place(&named, &file, act).await;
            match &outcome {
                Ok(()) => {
                    tracing::info!(transfer.id = %self.id, object = %named.object(), file = %file.display(), "a transfer is done")
                }
                Err(told) => {
                    tracing::info!(transfer.id = %self.id, object = %named.object(), error = told, "a transfer has failed")
                }
            }
            drop(turn);
            self.outcome = Some(outcome);
        }

        /// Why it failed, in full: the operator is told.
        async fn take_place(&self, named: &Named, file: &Path, act: Act) -> Result<(), String> {
            let order = order(&self.app, named, file, act).await.map_err(|error| chain(&error))?;
            let (Order::Export(region, _) | Order::Import(region, _)) = &order;
            let engine = self.app.engine(region).map_err(|error| chain(&error))?;
            let done = match &order {
                Order::Export(_, spec) => engine.export(spec).await,
                Order::Import(_, spec) => engine.import(spec).await,
            };
            done.map_err(|fault| fault.told())
        }
    }

    impl Drop for UnderWay {
        fn drop(&mut self) {
            let cut_off = || Err("it was cut off; the server's log says more".to_owned());
            let outcome = self.outcome.take().unwrap_or_else(cut_off);
            let now = self.app.clock.now();
            self.app.transfers.change(&self.id, |transfer| {
                transfer.state = if outcome.is_ok() { TransferState::Done } else { TransferState::Error };
                transfer.error = outcome.err();
                transfer.dt_finished = Some(now);
            });
        }
    }

    /// Adds how far a transfer is. What its host does not say is left out.
    async fn look(app: &App, transfer: &mut Transfer) {
        if transfer.state != TransferState::Running {
            return;
        }
        let Ok((region, of)) = stored(app, transfer).await else { return };
        let Ok(engine) = app.engine(&region) else { return };
        match engine.look_transfer(&of).await {
            Ok(Some(seen)) if seen.total_bytes > 0 => {
                transfer.done_bytes = Some(seen.done_bytes);
                transfer.total_bytes = Some(seen.total_bytes);
            }
            Ok(_) => {}
            Err(fault) => {
                tracing::debug!(transfer.id = %transfer.id, error = fault.told(), "how far it is, is not known")
            }
        }
    }

    async fn stored(app: &App, transfer: &Transfer) -> Result<(String, Stored)> {
        if let Some(id) = &transfer.machine_id {
            return Ok((machines::service::exportable(app, id).await?, Stored::Disk(id.clone())));
        }
        let id = transfer.shared_drive_id.as_ref();
        let id = id.ok_or_else(|| Error::ours("look at a transfer", "it is of nothing"))?;
        let (region, network) = shared_drives::service::exportable(app, id).await?;
        Ok((region, Stored::Drive(id.clone(), network)))
    }
}
