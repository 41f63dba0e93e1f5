//! What a host has free for drives: their blocks are reserved, so no more is promised than that.

use std::sync::Arc;

use deckle_api::sizes::GB;
use sea_orm::ConnectionTrait;

use super::super::store;
use crate::app::App;
use crate::error::{Error, Result};

/// What the host of a region has free.
#[derive(Debug)]
pub struct Room {
    region: String,
    /// Free whole GB; without a bound where it is absent.
    free_gib: Option<i64>,
}

impl Room {
    /// Asks the host of a region, before a transaction is begun.
    pub async fn look(app: &App, region: &str) -> Result<Self> {
        let capacity = app.engine(region)?.look_capacity().await;
        let capacity = capacity.map_err(|fault| Error::ours("look at a host's capacity", fault))?;
        let free_gib =
            capacity.map(|capacity| i64::try_from(capacity.disk_free_bytes / GB).unwrap_or(i64::MAX));
        Ok(Self { region: region.to_owned(), free_gib })
    }

    /// Refuses what does not fit beside the drives that are promised and not made yet.
    pub async fn must_hold(&self, app: &App, store: &impl ConnectionTrait, more_gib: i64) -> Result<()> {
        let Some(free_gib) = self.free_gib else { return Ok(()) };
        let host = app.engine(&self.region)?;
        let mut left_gib = free_gib;
        for (region, missing_gib) in store::to_make(store).await? {
            if app.regions.get(&region).is_some_and(|engine| Arc::ptr_eq(engine, host)) {
                left_gib -= missing_gib;
            }
        }
        if more_gib <= left_gib {
            return Ok(());
        }
        Err(Error::Precondition(format!(
            "size: {more_gib} GB more are needed, and the host of {} has {} GB free for drives; ask for less, or delete what is no longer needed",
            self.region,
            left_gib.max(0)
        )))
    }
}
