//! What every handler and every visit works with.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use deckle_engine::Engine;
use tokio::sync::Semaphore;

use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::idempotency::Running;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::rates::Rates;
use crate::seal::Sealer;
use crate::store::Store;
use crate::transfers::Transfers;

/// The server's parts. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of a server.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// The rows.
    pub store: Store,
    /// Secrets at rest.
    pub sealer: Sealer,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The machine types.
    pub catalogue: Catalogue,
    /// Each region's host, by the region's code.
    pub regions: BTreeMap<String, Arc<dyn Engine>>,
    /// What was done on hosts in vain.
    pub patience: Patience,
    /// What the last visit to each object did.
    pub progress: Progress,
    /// How many requests each key may still make.
    pub rates: Rates,
    /// The requests with an idempotency key that are under way.
    pub running: Running,
    /// The exports and imports of the operator.
    pub transfers: Transfers,
    /// Turns at copying a whole disk.
    pub copies: Semaphore,
}

impl App {
    /// A server's parts, put together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The host of a region that rows name.
    pub fn engine(&self, region: &str) -> Result<&Arc<dyn Engine>> {
        let gone = || {
            Error::ours(format!("find the host of region {region}"), "the configuration no longer names it")
        };
        self.regions.get(region).ok_or_else(gone)
    }

    /// Every host, once.
    pub fn engines(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        let mut seen: Vec<&Arc<dyn Engine>> = Vec::new();
        for engine in self.regions.values() {
            if !seen.iter().any(|known| Arc::ptr_eq(known, engine)) {
                seen.push(engine);
            }
        }
        seen.into_iter()
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}
