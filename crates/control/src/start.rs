//! The start of a server: its parts put together, its first key made, its objects visited.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deckle_api::admin::{CreateApiKey, CreateTeam};
use deckle_api::ids::TemplateId;
use deckle_engine::Engine;
use tokio::sync::Semaphore;

use crate::app::{App, Parts};
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rates::Rates;
use crate::seal::Sealer;
use crate::store::{Location, Store};
use crate::usage::Meter;
use crate::{gpus, os_templates, reconciler, teams, usage};

/// The first team's name.
const FIRST_TEAM: &str = "Deckle";
/// The first user's mail address.
const FIRST_USER: &str = "owner@deckle.local";

/// What a server is started with.
pub struct Start {
    /// The settings.
    pub config: Config,
    /// The machine types.
    pub catalogue: Catalogue,
    /// Where the store lies.
    pub database: Location,
    /// The schema within a PostgreSQL database, where it is not the user's own.
    pub schema: Option<String>,
    /// What seals secrets.
    pub sealer: Sealer,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// The host that all regions are on.
    pub engine: Arc<dyn Engine>,
    /// The templates that the host has from its start.
    pub templates: Vec<(TemplateId, &'static str, u64)>,
    /// What is told the text of each statement, in tests.
    pub watch: Option<Watch>,
}

/// Is told the text of each statement that the store runs.
pub type Watch = Arc<dyn Fn(&str) + Send + Sync>;

/// Opens the store and plans a visit to every object. The reconciler is not running yet.
pub async fn start(start: Start) -> Result<App> {
    let meter = Arc::new(Meter::new(start.clock.clone(), start.catalogue.clone()));
    let store = Store::open(&start.database, start.schema.as_deref(), reconciler::Wakes::default(), meter);
    let mut store = store.await.map_err(|error| Error::ours("open the store", error))?;
    if let Some(watch) = start.watch {
        store.watch(move |sql| watch(sql));
    }
    store.prove(&start.sealer).await?;
    let host = |code: &String| (code.clone(), start.engine.clone());
    let regions: BTreeMap<_, _> = start.config.regions.iter().map(host).collect();
    let copies = Semaphore::new(start.config.limits.copies.max(1));
    let rates = Rates::of(&start.config.limits, start.clock.clone());
    let app = App::new(Parts {
        config: start.config,
        store,
        sealer: start.sealer,
        clock: start.clock,
        catalogue: start.catalogue,
        regions,
        patience: crate::patience::Patience::default(),
        progress: crate::progress::Progress::default(),
        rates,
        running: crate::idempotency::Running::default(),
        transfers: crate::transfers::Transfers::default(),
        copies,
    });
    os_templates::service::clear_left(&app).await?;
    os_templates::service::adopt(&app, &start.templates).await?;
    gpus::service::begin(&app).await;
    usage::service::begin(&app).await?;
    reconciler::begin(&app).await?;
    Ok(app)
}

/// Makes the first team, its owner and an API key, when there is no team yet. The key is written to a file
/// that only its owner can read, and told once.
pub async fn first_key(app: &App, file: &Path) -> Result<Option<String>> {
    if !teams::service::list(app).await?.is_empty() {
        return Ok(None);
    }
    let team =
        CreateTeam { name: FIRST_TEAM.to_owned(), namespace: None, owner_email: FIRST_USER.to_owned() };
    let team = teams::service::create(app, team).await?;
    let wanted = CreateApiKey {
        team_id: team.id,
        email: FIRST_USER.to_owned(),
        name: "first key".to_owned(),
        scopes: None,
    };
    let key = teams::service::create_key(app, wanted).await?.key.unwrap_or_default();
    write_private(file, &key).map_err(|error| Error::ours(format!("write {}", file.display()), error))?;
    Ok(Some(key))
}

fn write_private(file: &Path, key: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    writeln!(file, "{key}")
}
