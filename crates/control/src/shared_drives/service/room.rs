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
    /// What was promised and not made before the host was asked. An image that was made since is in neither
    /// what was free then nor what is missing now.
    promised_gib: i64,
}

impl Room {
    /// Asks the host of a region, before a transaction is begun.
    pub async fn look(app: &App, region: &str) -> Result<Self> {
        let promised_gib = promised(app, app.store.read(), region).await?;
        let capacity = app.engine(region)?.look_capacity().await;
        let capacity = capacity.map_err(|fault| Error::ours("look at a host's capacity", fault))?;
        let free_gib =
            capacity.map(|capacity| i64::try_from(capacity.disk_free_bytes / GB).unwrap_or(i64::MAX));
        Ok(Self { region: region.to_owned(), free_gib, promised_gib })
    }

    /// Refuses what does not fit beside the drives that are promised and not made yet.
    pub async fn must_hold(&self, app: &App, store: &impl ConnectionTrait, more_gib: i64) -> Result<()> {
        let Some(free_gib) = self.free_gib else { return Ok(()) };
        let left_gib = free_gib - self.promised_gib.max(promised(app, store, &self.region).await?);
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

/// How many GB of the drives on the host of a region are promised and not made yet.
async fn promised(app: &App, rows: &impl ConnectionTrait, region: &str) -> Result<i64> {
    let host = app.engine(region)?;
    let there = |region: &String| app.regions.get(region).is_some_and(|engine| Arc::ptr_eq(engine, host));
    let missing = store::to_make(rows).await?.into_iter();
    Ok(missing.filter(|(region, _)| there(region)).map(|(_, missing_gib)| missing_gib).sum())
}
