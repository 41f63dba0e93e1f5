//! `deckle serve`: the server.

mod metrics;
mod tls;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::serve::Listener;
use clap::{Args, ValueEnum};
use deckle_api::Timestamp;
use deckle_api::ids::TemplateId;
use deckle_control::app::App;
use deckle_control::catalogue::Catalogue;
use deckle_control::clock::SystemClock;
use deckle_control::config::Config;
use deckle_control::reconciler;
use deckle_control::seal::Sealer;
use deckle_control::start::{self, Start};
use deckle_engine::Engine;
use deckle_engine::emulator::{Emulator, Pace, Settings};
use deckle_engine::linux::Linux;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::tls::Certificate;
use crate::state_folder;

/// The templates that an emulator pretends: well-known ids of the hosted service, and their sizes in GiB.
const PRETENDED: [(&str, &str, u64); 3] =
    [("t0nspur5", "Ubuntu 22.04", 3), ("tkni3aa4", "Ubuntu 20.04", 3), ("t04azgph", "Ubuntu 18.04", 2)];

/// How long requests that are under way may go on when the server is asked to end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How long the lock of the state folder is waited for.
const LOCK_MAX: Duration = Duration::from_secs(2);

/// Serves the API.
#[derive(Debug, Args)]
pub struct Serve {
    /// The settings [default: the file that DECKLE_CONFIG names; without one each has its default]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where all state lies [default: /var/lib/deckle, or ~/.local/state/deckle without root]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8484")]
    listen: SocketAddr,
    /// What machines are: real ones on this host, or pretended ones
    #[arg(long, value_enum, default_value_t = EngineName::Linux)]
    engine: EngineName,
    /// How long pretended guests take
    #[arg(long, value_name = "PACE", default_value = "quick")]
    pace: PaceName,
    /// The database: `sqlite:PATH` or `postgres://…` [default: SQLite in the state folder]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// QEMU machines on this host
    Linux,
    /// Machines that are pretended: the API without hardware
    Emulator,
}

impl EngineName {
    /// How many requests a key may make in a second, of what the settings say of it. Who pretends machines
    /// tries things out, or measures: there, nothing said is no limit.
    fn requests_s(self, said: Option<u32>) -> Option<u32> {
        match self {
            Self::Linux => said,
            Self::Emulator => said.or(Some(0)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PaceName {
    /// Milliseconds
    Quick,
    /// About as long as real ones
    Real,
}

impl Serve {
    /// Serves until it is asked to end.
    pub async fn run(&self) -> Result<()> {
        begin_log();
        let state = state_folder::or_default(self.state.clone());
        let _lock = lock(&state).await?;
        let mut config = config(self.config.as_deref(), &state)?;
        config.limits.requests_s = self.engine.requests_s(config.limits.requests_s);
        // What may be wrong with the settings is told before the first key is made.
        let doors = Doors::open(self.listen, &config).await?;
        let app = start::start(Start {
            catalogue: catalogue(&config)?,
            database: self.database(&state).parse().map_err(anyhow::Error::msg)?,
            schema: None,
            sealer: Sealer::of_file(&state.join("seal.key")).context("open the seal key")?,
            clock: Arc::new(SystemClock),
            engine: self.engine(&state, &config).await?,
            templates: if self.engine == EngineName::Emulator { pretended() } else { Vec::new() },
            watch: None,
            config,
        })
        .await
        .map_err(told)?;
        let key_file = state.join("owner.key");
        if let Some(key) = start::first_key(&app, &key_file).await.map_err(told)? {
            println!("first API key (also in {}): {key}", key_file.display());
        }
        serve(app, &state, doors).await
    }

    fn database(&self, state: &Path) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", state.join("deckle.db").display()))
    }

    async fn engine(&self, state: &Path, config: &Config) -> Result<Arc<dyn Engine>> {
        match self.engine {
            EngineName::Linux => {
                let linux = Linux::open(config.linux.clone()).await;
                Ok(Arc::new(
                    linux.map_err(|fault| anyhow::anyhow!("{}; `deckle doctor` says more", fault.told()))?,
                ))
            }
            EngineName::Emulator => {
                let pace = if self.pace == PaceName::Real { Pace::Real } else { Pace::Quick };
                let gpus = config.emulator.gpus.clone();
                let settings = Settings { pace, capacity: None, gpus, state: Some(state.join("emulator")) };
                let emulator = Emulator::open(settings, Arc::new(Timestamp::of_system_clock));
                let emulator = emulator.map_err(|fault| anyhow::anyhow!(fault.told()))?;
                Ok(Arc::new(emulator.with_templates(pretended().into_iter().map(|(id, _, size)| (id, size)))))
            }
        }
    }
}

/// Where the server is reached over the network, and how it shows who it is.
struct Doors {
    api: TcpListener,
    certificate: Option<Certificate>,
    metrics: Option<TcpListener>,
}

impl Doors {
    async fn open(api: SocketAddr, config: &Config) -> Result<Self> {
        let open = |address| async move {
            TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))
        };
        let metrics = match config.metrics {
            Some(address) => Some(open(address).await?),
            None => None,
        };
        let certificate = config.tls.as_ref().map(Certificate::read).transpose()?;
        Ok(Self { api: open(api).await?, certificate, metrics })
    }
}

/// Answers the API and the operator, and visits objects, until the server is asked to end.
async fn serve(app: App, state: &Path, Doors { api, certificate, metrics }: Doors) -> Result<()> {
    let admin = admin_socket(&state.join("admin.sock"))?;
    let (end, ended) = watch::channel(false);
    let address = api.local_addr()?;
    let routes = deckle_control::router(app.clone());
    let (scheme, api) = match certificate {
        None => ("http", answer(api, routes, ended.clone())),
        Some(certificate) => ("https", answer(tls::listen(api, certificate)?, routes, ended.clone())),
    };
    let admin = answer(admin, deckle_control::admin_router(app.clone()), ended.clone());
    if let Some(metrics) = metrics {
        println!("metrics on http://{}/metrics", metrics.local_addr()?);
        answer(metrics, metrics::routes(app.clone(), metrics::begin()?), ended.clone());
    }
    let visits = tokio::spawn(reconciler::run(app));
    println!("listening on {scheme}://{address}");
    asked_to_end().await?;
    tracing::info!("ending; machines go on");
    end.send_replace(true);
    let answers = async { (api.await, admin.await) };
    if tokio::time::timeout(LAST_ANSWERS, answers).await.is_err() {
        tracing::warn!("requests were still under way after {LAST_ANSWERS:?}");
    }
    visits.abort();
    Ok(())
}

/// Answers what comes in on a listener, until the server is asked to end.
fn answer<L>(listener: L, routes: Router, mut ended: watch::Receiver<bool>) -> JoinHandle<io::Result<()>>
where
    L: Listener<Addr: fmt::Debug>,
{
    let end = async move {
        let _ = ended.wait_for(|ended| *ended).await;
    };
    tokio::spawn(axum::serve(listener, routes).with_graceful_shutdown(end).into_future())
}

/// The settings of the file asked for, else of the one that `DECKLE_CONFIG` names, else the defaults, for a
/// server with that state folder.
pub fn config(asked: Option<&Path>, state: &Path) -> Result<Config> {
    let named = state_folder::given("DECKLE_CONFIG").map(PathBuf::from);
    let mut config = match asked.or(named.as_deref()) {
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            Config::read(&text).with_context(|| format!("read {}", file.display()))?
        }
        None => Config::default(),
    };
    if let Some((setting, wrong)) = config.contradictions().into_iter().next() {
        bail!("the setting {setting}: {wrong}");
    }
    let linux = &mut config.linux;
    if linux.desktop_address.is_unspecified() && linux.desktop_hostname.is_none() {
        linux.desktop_hostname = own_name();
    }
    config.linux.private_pool = config.private_pool;
    config.linux.public_pools = config.all_public_pools();
    if config.linux.state.as_os_str().is_empty() {
        config.linux.state = state.to_owned();
    }
    Ok(config)
}

/// What this host calls itself, where it says so.
fn own_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "(none)")
}

fn begin_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| "info,sqlx=warn,sea_orm=warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The state folder is one server's at a time. Guests' processes may pass through it, and read nothing.
///
/// A killed server's lock may outlive it for a moment: a program that it was about to start has the open
/// file until it is that program.
pub async fn lock(state: &Path) -> Result<File> {
    fs::create_dir_all(state).with_context(|| format!("make the state folder {}", state.display()))?;
    fs::set_permissions(state, fs::Permissions::from_mode(0o711))?;
    let file = File::create(state.join("lock")).context("open the lock of the state folder")?;
    // Who can open it can hold it.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_MAX => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(TryLockError::WouldBlock) => {
                bail!("another server has the state folder {}", state.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).context("lock the state folder"),
        }
    }
}

fn catalogue(config: &Config) -> Result<Catalogue> {
    let Some(file) = &config.machine_types else { return Ok(Catalogue::built_in()) };
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Catalogue::read(&text).with_context(|| format!("read {}", file.display()))
}

fn pretended() -> Vec<(TemplateId, &'static str, u64)> {
    let known = |(id, name, gib): (&str, &'static str, u64)| Some((id.parse().ok()?, name, gib << 30));
    PRETENDED.into_iter().filter_map(known).collect()
}

/// Who can open it is the operator.
fn admin_socket(path: &Path) -> Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("clear admin.sock");
        }
        _ => {}
    }
    let socket = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

async fn asked_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn told(error: deckle_control::error::Error) -> anyhow::Error {
    anyhow::anyhow!(deckle_control::error::chain(&error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{EngineName, config, own_name};

    #[test]
    fn clients_are_told_the_hosts_name_where_desktops_listen_on_every_address() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            let file = folder.path().join("config.toml");
            std::fs::write(&file, text).unwrap();
            config(Some(&file), Path::new("/nowhere")).unwrap().linux.desktop_hostname
        };
        assert!(own_name().is_some());
        assert_eq!(told("[linux]\ndesktop_address = '0.0.0.0'"), own_name());
        assert_eq!(
            told("[linux]\ndesktop_address = '::'\ndesktop_hostname = 'desk'").as_deref(),
            Some("desk")
        );
        assert_eq!(told("[linux]\ndesktop_address = '10.0.0.5'"), None);
        assert_eq!(told(""), None);
    }

    #[test]
    fn keys_have_limits_but_on_the_emulator() {
        assert_eq!(EngineName::Emulator.requests_s(None), Some(0));
        assert_eq!(EngineName::Linux.requests_s(None), None, "the default of the settings");
        for engine in [EngineName::Emulator, EngineName::Linux] {
            assert_eq!(engine.requests_s(Some(7)), Some(7));
        }
    }
}
