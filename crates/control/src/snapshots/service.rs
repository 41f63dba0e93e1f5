//! The rules of snapshots.

mod orders;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SnapshotId};
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::store::{self, Intent, Kind, Model};
use crate::app::App;
use crate::error::Result;
use crate::machines::MachineRow;
use crate::store::{Text, Tx};

pub use orders::{create, delete, get, list, restore, update};

/// What is to be done to the snapshots of a machine next.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// The first one to take.
    pub take: Option<Model>,
    /// The first one to remove.
    pub remove: Option<Model>,
}

/// What is to be done to the snapshots of a machine next.
pub async fn pending(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Pending> {
    let rows = store::of_machine(store, machine).await?;
    let first = |wanted: fn(&Model) -> bool| rows.iter().find(|row| wanted(row)).cloned();
    Ok(Pending {
        take: first(|row| row.intent.0 == Intent::Present && !row.made),
        remove: first(|row| row.intent.0 == Intent::Gone && !row.removed),
    })
}

/// Orders a snapshot of a machine. Its visits take it.
pub async fn order(app: &App, tx: &Tx, machine: &MachineRow, name: &str, kind: Kind) -> Result<Model> {
    let row = Model {
        id: Text(SnapshotId::mint(app.clock.random())),
        team_id: machine.team_id.clone(),
        machine_id: machine.id.clone(),
        name: name.to_owned(),
        kind: Text(kind),
        intent: Text(Intent::Present),
        made: false,
        at_rest: None,
        given_up: false,
        removed: false,
        dt_created: app.clock.now().into(),
        dt_deleted: None,
    };
    Ok(store::insert(&**tx, row).await?)
}

/// Says that the disk has a snapshot.
pub async fn taken(tx: &Tx, row: &Model) -> Result<()> {
    let mut changes = store::changes(row);
    changes.made = Set(true);
    Ok(store::change(&**tx, changes).await?)
}

/// Says that a snapshot may be half removed from now on.
pub async fn removing(tx: &Tx, row: &Model) -> Result<()> {
    let mut changes = store::changes(row);
    changes.made = Set(false);
    Ok(store::change(&**tx, changes).await?)
}

/// Says that nothing of a snapshot is left. Its row goes when its machine settles, and the event ends.
pub async fn removed(tx: &Tx, row: &Model) -> Result<()> {
    let mut changes = store::changes(row);
    changes.removed = Set(true);
    Ok(store::change(&**tx, changes).await?)
}

/// Says that a machine is as it should be: rows whose snapshots are removed go. One that has no disk has no
/// snapshots either.
pub async fn machine_settled(tx: &Tx, machine: &MachineId, has_no_disk: bool, now: Timestamp) -> Result<()> {
    for row in store::of_machine(&**tx, machine).await? {
        if row.intent.0 == Intent::Gone && (row.removed || has_no_disk) {
            let mut changes = store::changes(&row);
            changes.dt_deleted = Set(Some(now.into()));
            store::change(&**tx, changes).await?;
        }
    }
    Ok(())
}

/// Gives up the snapshots of a machine that are ordered and not taken: they are not shown any more. Half of one
/// may be there.
pub async fn give_up_untaken(tx: &Tx, machine: &MachineId) -> Result<()> {
    for row in store::of_machine(&**tx, machine).await? {
        if row.intent.0 == Intent::Present && !row.made {
            let mut changes = store::changes(&row);
            changes.intent = Set(Text(Intent::Gone));
            changes.given_up = Set(true);
            store::change(&**tx, changes).await?;
        }
    }
    Ok(())
}

/// Keeps the snapshots of a machine whose removal is ordered and not begun.
pub async fn keep_whole(tx: &Tx, machine: &MachineId) -> Result<()> {
    for row in store::of_machine(&**tx, machine).await? {
        if row.intent.0 == Intent::Gone && row.made {
            let mut changes = store::changes(&row);
            changes.intent = Set(Text(Intent::Present));
            store::change(&**tx, changes).await?;
        }
    }
    Ok(())
}

/// Says that a machine's disk is about to be removed, and its snapshots with it. What is wanted of the machine
/// when it has a disk again is taken then.
pub async fn lose_disk(tx: &Tx, machine: &MachineId, now: Timestamp) -> Result<()> {
    for row in store::of_machine(&**tx, machine).await? {
        let mut changes = store::changes(&row);
        changes.made = Set(false);
        if row.intent.0 == Intent::Gone {
            changes.dt_deleted = Set(Some(now.into()));
        }
        store::change(&**tx, changes).await?;
    }
    Ok(())
}

/// Says that nothing is left of a machine, and so of its snapshots.
pub async fn forget_machine(tx: &Tx, machine: &MachineId, now: Timestamp) -> Result<()> {
    Ok(store::forget_machine(&**tx, machine, now).await?)
}
