//! Which drives an operator may copy to a file, or replace by one.

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};
use deckle_api::sizes::GB;

use super::store::{self, Model};
use super::{App, Error, Result};

/// The region and the network of a drive that has something to copy.
pub async fn exportable(app: &App, id: &SharedDriveId) -> Result<(String, PrivateNetworkId)> {
    find(app, id).await.map(|row| (row.region, row.network_id.0))
}

/// The same of a drive that may be replaced, and its size in bytes.
pub async fn replaceable(app: &App, id: &SharedDriveId) -> Result<(String, PrivateNetworkId, u64)> {
    let row = find(app, id).await?;
    // One that is to grow has grown by its visits before: the file takes what there is.
    let size_bytes = row.made_gib.min(row.size_gib).unsigned_abs() * GB;
    Ok((row.region, row.network_id.0, size_bytes))
}

async fn find(app: &App, id: &SharedDriveId) -> Result<Model> {
    let row = store::find(app.store.read(), id).await?.filter(|row| row.dt_deleted.is_none());
    let row = row.ok_or_else(|| Error::no_such("shared drive", id).of_field("sharedDriveId"))?;
    match row.made_gib {
        0 => Err(Error::Precondition(format!("sharedDriveId: {id} is not made on its host yet"))),
        _ => Ok(row),
    }
}
