//! The rules of snapshots.

mod orders;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SnapshotId};
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::store::{self, Intent, Kind, Model};
use crate::app::App;
use crate::error::{Error, Result};
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

/// Says that the disk has a snapshot, and what the disk of a machine that was off was.
pub async fn taken(tx: &Tx, row: &Model, at_rest: Option<String>) -> Result<()> {
    let mut changes = store::changes(row);
    changes.made = Set(true);
    changes.at_rest = Set(at_rest);
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

/// A machine's last auto-snapshot, if it has one.
pub async fn last_auto(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Option<Model>> {
    let rows = store::of_machine(store, machine).await?;
    Ok(rows.into_iter().rfind(|row| row.kind.0 == Kind::Auto && row.is_whole()))
}

/// Orders that the oldest auto-snapshots of a machine go, those beyond the number that is kept. The one that is
/// its restore point stays, and does not count; so does the one that was just taken.
pub async fn retire_autos(tx: &Tx, machine: &MachineRow) -> Result<()> {
    let point = machine.restore_point_snapshot_id.as_ref().filter(|_| machine.restore_point_enabled);
    let kept = usize::try_from(machine.auto_snapshot_save_count.unwrap_or(1)).unwrap_or(1).max(1);
    let mut autos = store::of_machine(&**tx, &machine.id.0).await?;
    autos.retain(|row| row.kind.0 == Kind::Auto && row.is_whole() && point != Some(&row.id));
    for row in autos.iter().rev().skip(kept) {
        let mut changes = store::changes(row);
        changes.intent = Set(Text(Intent::Gone));
        store::change(&**tx, changes).await?;
    }
    Ok(())
}

/// The snapshot of a machine that has this id and that its disk has.
pub async fn whole_of(tx: &Tx, machine: &MachineId, id: &SnapshotId) -> Result<Model> {
    let rows = store::of_machine(&**tx, machine).await?;
    match rows.into_iter().find(|row| row.id.0 == *id) {
        Some(row) if row.is_whole() => Ok(row),
        Some(row) if row.intent.0 == Intent::Gone => {
            Err(Error::Precondition(format!("{id} is being deleted")))
        }
        Some(_) => Err(Error::Precondition(format!("{id} is not taken yet; wait until its event ends"))),
        None => Err(Error::NotFound(format!("{machine} has no snapshot {id}"))),
    }
}

/// The snapshot that was taken of a machine's new disk, if its disk has one.
pub async fn initial_of(tx: &Tx, machine: &MachineId) -> Result<Option<Model>> {
    let rows = store::of_machine(&**tx, machine).await?;
    Ok(rows.into_iter().find(|row| row.kind.0 == Kind::Initial && row.is_whole()))
}

/// Gives up the snapshots of a machine that are ordered and not taken: they are not shown any more. Half of one
/// may be there. An initial one comes with the disk, and may be what the machine goes back to: it is taken as long as there is a disk.
pub async fn give_up_untaken(tx: &Tx, machine: &MachineId) -> Result<()> {
    for row in store::of_machine(&**tx, machine).await? {
        if row.intent.0 == Intent::Present && !row.made && row.kind.0 != Kind::Initial {
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
