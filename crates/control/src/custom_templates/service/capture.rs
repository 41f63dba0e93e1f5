//! What a machine's visits may ask and say of the templates that are made of it.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TemplateId};
use sea_orm::ConnectionTrait;

use super::super::store::{self, Capture};
use crate::error::Result;
use crate::store::Tx;

/// What is to be done about the templates of a machine next.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// The one to make.
    pub make: Option<TemplateId>,
    /// The first one to remove.
    pub discard: Option<TemplateId>,
}

/// What is to be done about the templates of a machine next.
pub async fn pending(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Pending> {
    let rows = store::in_capture(store, machine).await?;
    let first = |wanted: Capture| {
        let row = rows.iter().find(|row| row.capture.as_ref().is_some_and(|capture| capture.0 == wanted));
        row.map(|row| row.id.0.clone())
    };
    Ok(Pending { make: first(Capture::Wanted), discard: first(Capture::GivenUp) })
}

/// Says that a template's image is there, as large as that.
pub async fn made(tx: &Tx, id: &TemplateId, size_bytes: u64) -> Result<()> {
    Ok(store::made(&**tx, id, i64::try_from(size_bytes).unwrap_or(i64::MAX)).await?)
}

/// Says that what was made of a machine can be used: its event is done.
pub async fn publish(tx: &Tx, machine: &MachineId) -> Result<()> {
    Ok(store::publish(&**tx, machine).await?)
}

/// Gives up what was to be made of a machine: its event has ended otherwise. An image may be there already.
pub async fn give_up(tx: &Tx, machine: &MachineId, now: Timestamp) -> Result<()> {
    Ok(store::give_up(&**tx, machine, now).await?)
}

/// Says that nothing is left of a template that was given up.
pub async fn discarded(tx: &Tx, id: &TemplateId) -> Result<()> {
    Ok(store::forget(&**tx, id).await?)
}
