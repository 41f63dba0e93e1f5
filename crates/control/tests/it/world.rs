//! A server in a test: its router, its store, a pretended host, and a clock that the test sets.
//!
//! A story runs on SQLite, or on PostgreSQL where `DECKLE_TEST_DATABASE` names one. On SQLite every
//! statement that a story causes is looked at: one that scans a table fails the story.

mod looks;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use deckle_api::Timestamp;
use deckle_api::admin::{ApiKey, Role, Team};
use deckle_api::custom_templates::CustomTemplate;
use deckle_api::firewall_rules::FirewallRule;
use deckle_api::ids::{MachineId, TemplateId};
use deckle_api::machine_events::MachineEvent;
use deckle_api::machines::Machine;
use deckle_api::paging::Page;
use deckle_api::private_networks::PrivateNetwork;
use deckle_api::public_ips::PublicIp;
use deckle_api::shared_drives::SharedDrive;
use deckle_api::snapshots::Snapshot;
use deckle_control::app::App;
use deckle_control::catalogue::Catalogue;
use deckle_control::clock::Clock;
use deckle_control::config::Config;
use deckle_control::reconciler;
use deckle_control::seal::Sealer;
use deckle_control::start::{Start, start};
use deckle_engine::emulator::{Emulator, Fuse, PretendedGpus};
use deckle_engine::seen::Capacity;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::contract;
use crate::hooked::Hooked;

/// The template that every world has.
pub const TEMPLATE: &str = "t0nspur5";
/// How large it is, in GiB.
pub const TEMPLATE_GIB: u64 = 3;

/// A moment that tests set, and bits that are random only in looks.
pub struct Hand {
    now: AtomicI64,
    random: AtomicU64,
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        // A microsecond passes with each look, so that no two rows have the same moment.
        Timestamp(self.now.fetch_add(1, Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        let mut mixed = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// The error's code and message.
    pub fn error(&self) -> (u16, &str, &str) {
        let text = |key| self.body[key].as_str().unwrap_or_default();
        (self.status, text("code"), text("message"))
    }
}

pub struct World {
    pub app: App,
    pub host: Arc<Emulator>,
    pub clock: Arc<Hand>,
    pub key: String,
    pub team: Team,
    router: Router,
    admin: Router,
    pub hooked: Arc<Hooked>,
    statements: Arc<Statements>,
    looked_at: Mutex<BTreeSet<String>>,
    config: Config,
    database: Database,
}

/// What the store was asked.
#[derive(Default)]
struct Statements {
    texts: Mutex<BTreeSet<String>>,
    reads: AtomicU64,
    writes: AtomicU64,
}

/// Where a world's rows lie. They go with it.
struct Database {
    url: String,
    schema: Option<String>,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(Config::default(), None).await
    }

    /// A world with settings of its own, and a host that has bounds.
    pub async fn with(config: Config, capacity: Option<Capacity>) -> Self {
        Self::on(config, capacity, None).await
    }

    /// A world whose host has a number of GPUs.
    pub async fn with_gpus(gpus: Vec<PretendedGpus>) -> Self {
        Self::on(Config::default(), None, Some(gpus)).await
    }

    async fn on(mut config: Config, capacity: Option<Capacity>, gpus: Option<Vec<PretendedGpus>>) -> Self {
        // A story's clock stands still: it says itself if its keys are to have limits.
        config.limits.requests_s.get_or_insert(0);
        let clock = Arc::new(Hand { now: AtomicI64::new(1_700_000_000_000_000), random: AtomicU64::new(1) });
        let told = clock.clone();
        let settings = deckle_engine::emulator::Settings {
            pace: deckle_engine::emulator::Pace::Instant,
            capacity,
            gpus,
            state: None,
        };
        let host = Emulator::open(settings, Arc::new(move || told.now())).unwrap();
        let host = Arc::new(host.with_templates([(TEMPLATE.parse().unwrap(), TEMPLATE_GIB << 30)]));
        let hooked = Arc::new(Hooked::new(host.clone()));
        let database = Database::new().await;
        let statements = Arc::default();
        let app = open(&config, &database, clock.clone(), hooked.clone(), &statements).await;
        let mut world = Self {
            router: deckle_control::router(app.clone()),
            admin: deckle_control::admin_router(app.clone()),
            app,
            host,
            clock,
            key: String::new(),
            team: Team {
                id: "te0".parse().unwrap(),
                name: String::new(),
                namespace: String::new(),
                dt_created: Timestamp(0),
                members: Vec::new(),
                limits: Vec::new(),
                caps: Vec::new(),
            },
            hooked,
            statements,
            looked_at: Mutex::default(),
            config,
            database,
        };
        world.team = world.new_team("Paper Mill").await;
        world.key = world.new_key(&world.team, "owner@example.com", json!([])).await;
        world
    }

    /// The server ends without a word and starts again on the same store and the same host.
    pub async fn restart_server(&mut self) {
        self.hooked.hook(None);
        self.app =
            open(&self.config, &self.database, self.clock.clone(), self.hooked.clone(), &self.statements)
                .await;
        self.router = deckle_control::router(self.app.clone());
        self.admin = deckle_control::admin_router(self.app.clone());
    }

    /// The server ends and starts again with other settings.
    pub async fn reconfigure(&mut self, config: Config) {
        self.config = config;
        self.restart_server().await;
    }

    pub async fn new_team(&self, name: &str) -> Team {
        let reply =
            self.admin("POST /admin/teams", json!({"name": name, "ownerEmail": "owner@example.com"})).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        serde_json::from_value(reply.body).unwrap()
    }

    pub async fn new_key(&self, team: &Team, email: &str, scopes: Value) -> String {
        let body = json!({"teamId": team.id, "email": email, "name": "a key", "scopes": scopes});
        let reply = self.admin("POST /admin/keys", body).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        serde_json::from_value::<ApiKey>(reply.body).unwrap().key.unwrap()
    }

    pub async fn new_member(&self, email: &str, role: Role) -> String {
        let path = format!("POST /admin/teams/{}/members", self.team.id);
        let reply = self.admin(&path, json!({"email": email, "role": role})).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        self.new_key(&self.team, email, json!([])).await
    }

    pub async fn admin(&self, line: &str, body: Value) -> Reply {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
        self.answer(self.admin.clone(), request).await
    }

    /// A request with the owner's key.
    pub async fn call(&self, line: &str, body: Value) -> Reply {
        self.call_as(&self.key, line, body).await
    }

    pub async fn call_as(&self, key: &str, line: &str, body: Value) -> Reply {
        let headers =
            [("authorization", format!("Bearer {key}")), ("content-type", "application/json".to_owned())];
        self.send(line, &headers, if body.is_null() { String::new() } else { body.to_string() }).await
    }

    pub async fn send(&self, line: &str, headers: &[(&str, String)], body: impl Into<Body>) -> Reply {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.answer(self.router.clone(), request.body(body.into()).unwrap()).await
    }

    /// What the router answers; it must be what the contract documents.
    async fn answer(&self, router: Router, request: Request<Body>) -> Reply {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let response = router.oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => {
                serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("not JSON: {error}: {bytes:?}"))
            }
        };
        contract::check(&method, &path, status, &body).unwrap_or_else(|wrong| panic!("{wrong}"));
        contract::check_second(&method, &path, status, &headers, &body)
            .unwrap_or_else(|wrong| panic!("{wrong}"));
        self.look_for_scans().await;
        Reply { status, headers, body }
    }

    /// A request that must succeed; its answer.
    pub async fn ok(&self, line: &str, body: Value) -> Value {
        let reply = self.call(line, body).await;
        assert_eq!(reply.status, 200, "{line}: {}", reply.body);
        reply.body
    }

    /// A machine, ordered with changes to the usual request.
    pub async fn create(&self, changes: Value) -> MachineId {
        let ordered = self.ok("POST /v1/machines", machine(changes)).await;
        serde_json::from_value(ordered["data"]["id"].clone()).unwrap()
    }

    pub async fn machine(&self, id: &MachineId) -> Machine {
        serde_json::from_value(self.ok(&format!("GET /v1/machines/{id}"), Value::Null).await).unwrap()
    }

    /// The state of a machine, and of its last event.
    pub async fn state(&self, id: &MachineId) -> (String, String) {
        let reply = self.call(&format!("GET /v1/machines/{id}"), Value::Null).await;
        let events = self.ok(&format!("GET /v1/machine-events?machineId={id}&limit=1"), Value::Null).await;
        let last = &events["items"][0];
        let text = |value: &Value| value.as_str().unwrap_or("(none)").to_owned();
        (text(&reply.body["state"]), format!("{} {}", text(&last["name"]), text(&last["state"])))
    }

    /// Lets visits be made until every object is settled, time passing as it must. An object that cannot
    /// be settled stops the story.
    pub async fn settle(&self) {
        for _ in 0..20_000 {
            if !self.step().await {
                self.look_for_scans().await;
                return;
            }
        }
        panic!("not settled:\n{}", self.dump().await);
    }

    /// Lets a visit be made, or time pass until one is due: whether an object is not settled.
    pub async fn step(&self) -> bool {
        if reconciler::visit_next(&self.app).await {
            return true;
        }
        if self.unsettled().await == 0 {
            return false;
        }
        let due = self.app.store.wakes().next_due().expect("an unsettled object has a visit planned");
        self.clock.now.fetch_max(due.0, Ordering::SeqCst);
        true
    }

    /// Lets every object be visited once more, as the drift timer does.
    pub async fn drift(&self) {
        self.pass_seconds(self.config.limits.drift_s + 1);
        self.settle().await;
    }

    pub fn pass_seconds(&self, seconds: i64) {
        self.clock.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// Lets time pass, with every visit that falls due meanwhile.
    pub async fn live_seconds(&self, seconds: i64) {
        self.live_until(Timestamp(self.clock.now.load(Ordering::SeqCst)).plus_seconds(seconds)).await;
    }

    /// Lets time pass until a moment, with every visit that falls due meanwhile.
    pub async fn live_until(&self, Timestamp(end): Timestamp) {
        loop {
            while reconciler::visit_next(&self.app).await {}
            match self.app.store.wakes().next_due().filter(|due| due.0 <= end) {
                Some(due) => self.clock.now.fetch_max(due.0, Ordering::SeqCst),
                None => break,
            };
        }
        self.clock.now.fetch_max(end, Ordering::SeqCst);
    }

    /// Has the server end without a word at a moment of a visit, the `nth` from now on: whether it came.
    pub async fn kill_at(&mut self, nth: usize) -> bool {
        let (reached, hook) = self.hooked.stop_at(nth);
        self.hooked.hook(Some(hook));
        let killed = tokio::select! {
            biased;
            () = reached.notified() => true,
            () = self.settle() => false,
        };
        self.restart_server().await;
        killed
    }

    /// Has a request come in the middle of a visit, at the next such moment. The status of its reply comes when
    /// it has.
    pub fn meanwhile(&self, moment: Fuse, line: &str) -> Arc<Mutex<Option<u16>>> {
        self.interpose(move |reached| reached == moment, line, Body::empty())
    }

    /// The same at the `nth` moment from now on, whatever that is.
    pub fn meanwhile_at(&self, nth: usize, line: &str, body: &Value) -> Arc<Mutex<Option<u16>>> {
        let moments = AtomicU64::new(0);
        let is_now = move |_| moments.fetch_add(1, Ordering::SeqCst) == nth as u64;
        self.interpose(is_now, line, Body::from(body.to_string()))
    }

    fn interpose(
        &self,
        is_now: impl Fn(Fuse) -> bool + Send + Sync + 'static,
        line: &str,
        body: Body,
    ) -> Arc<Mutex<Option<u16>>> {
        let (router, reply) = (self.router.clone(), Arc::new(Mutex::new(None)));
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let request = Mutex::new(Some(request.body(body).unwrap()));
        let told = reply.clone();
        self.hooked.hook(Some(Arc::new(move |reached| {
            let now = is_now(reached);
            let request = request.lock().unwrap().take_if(|_| now);
            let (router, told) = (router.clone(), told.clone());
            Box::pin(async move {
                if let Some(request) = request {
                    let response = router.oneshot(request).await.unwrap();
                    *told.lock().unwrap() = Some(response.status().as_u16());
                }
            })
        })));
        reply
    }
}

async fn open(
    config: &Config,
    database: &Database,
    clock: Arc<Hand>,
    host: Arc<Hooked>,
    statements: &Arc<Statements>,
) -> App {
    let seen = statements.clone();
    start(Start {
        config: config.clone(),
        catalogue: Catalogue::built_in(),
        database: database.url.parse().unwrap(),
        schema: database.schema.clone(),
        sealer: Sealer::new([7; 32]),
        clock,
        engine: host,
        templates: vec![(template(), "Ubuntu 22.04", TEMPLATE_GIB << 30)],
        watch: Some(Arc::new(move |sql: &str| {
            seen.texts.lock().unwrap().insert(sql.to_owned());
            let kind = if sql.starts_with("SELECT") { &seen.reads } else { &seen.writes };
            kind.fetch_add(1, Ordering::SeqCst);
        })),
    })
    .await
    .unwrap()
}

pub fn template() -> TemplateId {
    TEMPLATE.parse().unwrap()
}

impl Database {
    /// A database of the world's own: a file, or a schema of the PostgreSQL that the environment names.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let Ok(url) = std::env::var("DECKLE_TEST_DATABASE") else {
            let url = format!("sqlite:{}", folder.path().join("store.db").display());
            return Self { url, schema: None, _folder: folder };
        };
        let schema = format!("w{:016x}", getrandom::u64().unwrap());
        tell(&url, &[format!("CREATE SCHEMA {schema}")]).await;
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}application_name={schema}");
        Self { url, schema: Some(schema), _folder: folder }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(schema) = self.schema.take() else { return };
        // What a killed server left open would hold the schema for ever.
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = '{schema}' AND pid <> pg_backend_pid()"
        );
        let (url, drop) = (self.url.clone(), [end, format!("DROP SCHEMA {schema} CASCADE")]);
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(tell(&url, &drop));
        });
        // A story that has failed says more than what its schema left.
        let _ = dropped.join();
    }
}

async fn tell(url: &str, statements: &[String]) {
    let mut options = sea_orm::ConnectOptions::new(url);
    let admin = sea_orm::Database::connect(options.max_connections(1).to_owned()).await.unwrap();
    for sql in statements {
        admin.execute_unprepared(sql).await.unwrap();
    }
    admin.close().await.unwrap();
}

/// Of a sweep's many worlds, every so-many-th is made (an odd number: calls fail before and after their effect in
/// turn), each one where nobody waits (`DECKLE_SWEEP_ALL`). On
/// PostgreSQL making a world takes ten times as long: what is broken there is the host, not the database.
pub fn sweep_step() -> usize {
    match (std::env::var_os("DECKLE_SWEEP_ALL"), is_slow()) {
        (Some(_), false) => 1,
        (None, false) => 3,
        (_, true) => 13,
    }
}

/// Whether a world is made slowly: on PostgreSQL.
pub fn is_slow() -> bool {
    std::env::var_os("DECKLE_TEST_DATABASE").is_some()
}

/// The usual request for a machine, with changes; a change to null leaves the field out.
pub fn machine(changes: Value) -> Value {
    let mut wanted = json!({
        "name": "web", "machineType": "C2", "templateId": TEMPLATE, "diskSize": 50, "region": "ny2",
    });
    for (field, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(wanted.as_object_mut().unwrap().remove(field)),
            value => wanted[field] = value.clone(),
        }
    }
    wanted
}
