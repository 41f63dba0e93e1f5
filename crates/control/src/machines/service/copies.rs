//! Which machines' disks an operator may copy to a file, or replace by one.

use deckle_api::ids::MachineId;
use deckle_api::sizes::GB;

use super::store::{self, Model};
use super::{App, Error, Intent, Result, machine_events};

/// The region of a machine that has a disk to copy.
pub async fn exportable(app: &App, id: &MachineId) -> Result<String> {
    find(app, id).await.map(|row| row.region)
}

/// The region of a machine whose disk may be replaced, and the disk's size in bytes.
pub async fn replaceable(app: &App, id: &MachineId) -> Result<(String, u64)> {
    let row = find(app, id).await?;
    if let Some(open) = machine_events::service::open_of(app.store.read(), id).await? {
        return Err(super::in_the_way(&row, open));
    }
    if row.intent.0 != Intent::Off || !row.settled {
        return Err(Error::Precondition(format!(
            "machineId: {id} must be off to have its disk replaced: stop it first"
        )));
    }
    Ok((row.region, row.disk_gib.unsigned_abs() * GB))
}

async fn find(app: &App, id: &MachineId) -> Result<Model> {
    let row = store::find(app.store.read(), id).await?;
    let row = row.ok_or_else(|| Error::no_such("machine", id).of_field("machineId"))?;
    match row.disk_made {
        true => Ok(row),
        false => Err(Error::Precondition(format!("machineId: {id} has no disk yet"))),
    }
}
