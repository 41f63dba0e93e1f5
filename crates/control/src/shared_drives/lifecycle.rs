//! How a shared drive comes to its host, stays there, and goes.

use deckle_api::Timestamp;
use deckle_api::ids::SharedDriveId;
use deckle_api::sizes::GB;
use deckle_engine::seen::{DriveSeen, NetworkSeen, ShareSeen};
use deckle_engine::specs::{DriveSpec, NetworkSpec, ShareSpec};
use deckle_engine::{Engine, Error as Fault};
use sea_orm::ActiveValue::Set;

use super::policy::{self, Image, Intent, Share, Sight, Step};
use super::service;
use super::store::{self, Model};
use crate::app::App;
use crate::error::{Error, Result};
use crate::private_networks;
use crate::progress::Words;
use crate::reconciler::{Next, Object};

/// How long a drive that stumbled over a passing fault is left alone, in milliseconds.
const PAUSE_MS: i64 = 1000;

/// How an act went: what is next, or the host's fault.
type Acted = Result<std::result::Result<Next, Fault>>;

/// All that a visit works with.
struct Visit<'a> {
    app: &'a App,
    engine: &'a dyn Engine,
    row: Model,
    network: NetworkSpec,
    seen: DriveSeen,
}

/// Looks at a drive and takes one step.
pub async fn visit(app: &App, id: &SharedDriveId) -> Result<Next> {
    let row = store::find(app.store.read(), id).await?.filter(|row| !row.forgotten);
    let Some(row) = row else { return Ok(Next::Never) };
    match take_step(app, &row).await? {
        Ok(next) => Ok(next),
        Err(fault) => stumbled(app, &row, &fault).await,
    }
}

async fn take_step(app: &App, row: &Model) -> Acted {
    let object = Object::SharedDrive(row.id.0.clone());
    let note = |words| app.progress.note(&object, words, row.trouble.is_some(), app.clock.now());
    let engine = app.engine(&row.region)?.as_ref();
    let network = private_networks::service::spec_of(app.store.read(), &row.network_id.0).await?;
    let seen = match engine.look_drive(&row.id.0, &row.network_id.0).await {
        Ok(seen) => seen,
        Err(fault) => {
            note("looks at the drive on its host".into());
            return Ok(Err(fault));
        }
    };
    let share = share(row, seen.share);
    // The network has visits of its own: where a drive is shared, it is there. What goes needs none.
    let unneeded = share == Share::Right || row.intent.0 == Intent::Gone;
    let whole = match unneeded {
        true => true,
        false => match engine.look_network(&network).await {
            Ok(network) => network == NetworkSeen::Whole,
            Err(fault) => {
                note("looks at its network on its host".into());
                return Ok(Err(fault));
            }
        },
    };
    let step = policy::next(row.intent.0, Sight { image: image(row, &seen), share, network: whole });
    note(words(step, row));
    let visit = Visit { app, engine, row: row.clone(), network, seen };
    visit.note(step).await?;
    match visit.take(step).await? {
        Ok(next) => Ok(visit.went_well(step, next)),
        fault => Ok(fault),
    }
}

/// A step in words for people who wait for the drive.
fn words(step: Step, row: &Model) -> Words {
    match step {
        Step::Make | Step::Record => "makes the image".into(),
        Step::Grow => "makes the image larger".into(),
        Step::AwaitNetwork => Words::of_network(&row.network_id.0),
        Step::Share => "shares the drive in its network".into(),
        Step::Unshare => "takes the share away".into(),
        Step::Remove => "removes the image".into(),
        Step::Settle => "finds the drive as it should be".into(),
        Step::Forget => "forgets the drive".into(),
        Step::TellLost => "misses the drive's image".into(),
    }
}

fn image(row: &Model, seen: &DriveSeen) -> Image {
    let Some(image) = seen.image else {
        return if row.made_gib == 0 { Image::NotMade } else { Image::Lost };
    };
    match gib(image.size_bytes) {
        there if row.made_gib == 0 || there > row.made_gib => Image::Unrecorded,
        there if there < row.size_gib => Image::Small,
        _ => Image::There,
    }
}

fn share(row: &Model, seen: Option<ShareSeen>) -> Share {
    match seen {
        None => Share::Absent,
        Some(share) if share.password_number == row.password_number.unsigned_abs() => Share::Right,
        Some(_) => Share::Old,
    }
}

fn gib(bytes: u64) -> i64 {
    i64::try_from(bytes / GB).unwrap_or(i64::MAX)
}

impl Visit<'_> {
    /// A settled drive that is not as it should be is settled no longer.
    async fn note(&self, step: Step) -> Result<()> {
        if !self.row.settled || step == Step::Settle {
            return Ok(());
        }
        // What cannot be mended is told where that is written down.
        if step != Step::TellLost {
            tracing::warn!(drive.id = %self.row.id.0, step = ?step, "a settled drive is not as it should be");
        }
        self.write(|row| row.settled = Set(false)).await.map(drop)
    }

    /// Changes the row, if it had no order since it was read: whether it had none.
    async fn write(&self, change: impl FnOnce(&mut store::ActiveModel)) -> Result<bool> {
        let mut changes = store::changes(&self.row);
        change(&mut changes);
        let tx = self.app.store.begin().await?;
        let same = store::change(&*tx, &self.row, changes).await?;
        tx.commit().await?;
        Ok(same)
    }

    async fn take(&self, step: Step) -> Acted {
        let (id, network) = (&self.row.id.0, &self.row.network_id.0);
        let acted = match step {
            Step::Make | Step::Grow => self.engine.ensure_drive(&self.drive()).await,
            Step::Record => return self.record().await,
            Step::AwaitNetwork => return self.await_network().await,
            Step::Share => return self.share().await,
            Step::Unshare => self.engine.remove_share(id, network).await,
            Step::Remove => self.engine.remove_drive(id).await,
            Step::Settle => return self.settle().await,
            Step::Forget => return self.forget().await,
            Step::TellLost => {
                let why = "its image was made and is missing from its host; it is not made again: restore it, or delete the drive";
                Err(Fault::lasting(format!("share {id}"), why))
            }
        };
        Ok(acted.map(|()| Next::Now))
    }

    fn drive(&self) -> DriveSpec {
        DriveSpec {
            drive: self.row.id.0.clone(),
            network: self.row.network_id.0.clone(),
            size_bytes: self.row.size_gib.unsigned_abs() * GB,
        }
    }

    async fn share(&self) -> Acted {
        let password = match service::opened(self.app, &self.row) {
            Ok(password) => password,
            Err(Error::Ours { act, source }) => return Ok(Err(Fault::lasting(act, source))),
            Err(error) => return Err(error),
        };
        let spec = ShareSpec {
            drive: self.row.id.0.clone(),
            network: self.row.network_id.0.clone(),
            cidr: self.network.cidr,
            username: self.row.username.clone(),
            password,
            password_number: self.row.password_number.unsigned_abs(),
        };
        Ok(self.engine.ensure_share(&spec).await.map(|()| Next::Now))
    }

    async fn record(&self) -> Acted {
        let made_gib = self.seen.image.map_or(0, |image| gib(image.size_bytes));
        self.write(|row| row.made_gib = Set(made_gib)).await.map(|_| Ok(Next::Now))
    }

    /// The network has visits of its own. What stops them stops the drive.
    async fn await_network(&self) -> Acted {
        let (store, network) = (self.app.store.read(), &self.row.network_id.0);
        if let Some(trouble) = private_networks::service::trouble_since(store, network, Timestamp(0)).await? {
            let fault = if trouble.lasts { Fault::lasting } else { Fault::passing };
            return Ok(Err(fault(format!("share {} in {network}", self.row.id.0), trouble.told)));
        }
        self.app.store.wakes().wake(Object::PrivateNetwork(network.clone()));
        Ok(Ok(Next::In(self.app.config.limits.look_again_ms)))
    }

    async fn settle(&self) -> Acted {
        let row = &self.row;
        if row.settled && row.trouble.is_none() {
            return Ok(Ok(Next::Settled));
        }
        let settled = self.write(|row| {
            row.settled = Set(true);
            row.trouble = Set(None);
            row.trouble_lasts = Set(false);
            row.dt_trouble = Set(None);
        });
        Ok(Ok(if settled.await? { Next::Settled } else { Next::Now }))
    }

    /// Says that nothing of the drive is left. The calls are made once more: half a share is seen as none,
    /// and a crash may have left something beside an image. Its network may wait for this to go itself.
    async fn forget(&self) -> Acted {
        let (id, network) = (&self.row.id.0, &self.row.network_id.0);
        if let Err(fault) = self.engine.remove_share(id, network).await {
            return Ok(Err(fault));
        }
        if let Err(fault) = self.engine.remove_drive(id).await {
            return Ok(Err(fault));
        }
        let mut changes = store::changes(&self.row);
        changes.settled = Set(true);
        changes.made_gib = Set(0);
        changes.forgotten = Set(true);
        let mut tx = self.app.store.begin().await?;
        if !store::change(&*tx, &self.row, changes).await? {
            return Ok(Ok(Next::Now));
        }
        tx.wake(Object::PrivateNetwork(network.clone()));
        tx.commit().await?;
        Ok(Ok(Next::Never))
    }

    /// An act that was done again and again, and that the next look does not show, is a fault all the same.
    fn went_well(&self, step: Step, next: Next) -> std::result::Result<Next, Fault> {
        let (patience, row) = (&self.app.patience, &self.row);
        let object = Object::SharedDrive(row.id.0.clone());
        match step {
            Step::Settle | Step::Forget => {
                patience.renew(&object);
                if next != Next::Now {
                    self.app.progress.renew(&object);
                }
            }
            Step::Make | Step::Grow | Step::Share | Step::Unshare | Step::Remove => {
                if let Some(times) = patience.lost(&object, row.orders, &format!("{step:?}")) {
                    let why = format!("its host said {times} times that it was done, and does not show it");
                    return Err(Fault::passing(format!("{step:?} {}", row.id.0), why));
                }
            }
            Step::Record | Step::AwaitNetwork | Step::TellLost => {}
        }
        Ok(next)
    }
}

/// Writes down a fault of the host, and how long the drive is left alone.
async fn stumbled(app: &App, row: &Model, fault: &Fault) -> Result<Next> {
    app.progress.stumbled(&Object::SharedDrive(row.id.0.clone()), app.clock.now());
    let (told, lasts) = (fault.told(), fault.is_final());
    let pause = Next::In(if lasts { app.config.limits.pause_s_max * 1000 } else { PAUSE_MS });
    if !row.settled && row.trouble.as_ref() == Some(&told) {
        return Ok(pause);
    }
    tracing::warn!(drive.id = %row.id.0, error = told, "a drive is not as it should be");
    let mut changes = store::changes(row);
    changes.settled = Set(false);
    changes.trouble = Set(Some(told));
    changes.trouble_lasts = Set(lasts);
    changes.dt_trouble = Set(Some(app.clock.now().into()));
    let tx = app.store.begin().await?;
    let same = store::change(&*tx, row, changes).await?;
    tx.commit().await?;
    Ok(if same { pause } else { Next::Now })
}
