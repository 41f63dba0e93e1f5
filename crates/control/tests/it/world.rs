//! A server in a test: its router, its store, a pretended host, and a clock that the test sets.
//!
//! A story runs on SQLite, or on PostgreSQL where `DECKLE_TEST_DATABASE` names one. On SQLite every
//! statement that a story causes is looked at: one that scans a table fails the story.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use deckle_api::Timestamp;
use deckle_api::admin::{ApiKey, Role, Team};
use deckle_api::firewall_rules::FirewallRule;
use deckle_api::ids::{MachineId, TemplateId};
use deckle_api::machine_events::MachineEvent;
use deckle_api::machines::Machine;
use deckle_api::paging::Page;
use deckle_api::private_networks::PrivateNetwork;
use deckle_api::public_ips::PublicIp;
use deckle_api::shared_drives::SharedDrive;
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
use crate::dump::{
    address_line, drive_line, event_line, lines, machine_line, network_line, numbered, rule_line,
};
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
        let end = self.clock.now.load(Ordering::SeqCst) + seconds * 1_000_000;
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

    /// Has a request come in the middle of a visit, at the next such moment. The reply comes when it has.
    pub fn meanwhile(&self, moment: Fuse, line: &str) -> Arc<Mutex<Option<u16>>> {
        let (router, reply) = (self.router.clone(), Arc::new(Mutex::new(None)));
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let request = Mutex::new(Some(request.body(Body::empty()).unwrap()));
        let told = reply.clone();
        self.hooked.hook(Some(Arc::new(move |reached| {
            let request = request.lock().unwrap().take_if(|_| reached == moment);
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

    /// How many statements have read something.
    pub fn reads(&self) -> u64 {
        self.statements.reads.load(Ordering::SeqCst)
    }

    /// Has a request come in the middle of a visit, at the `nth` moment from now on. The status of its reply
    /// comes when it has.
    pub fn meanwhile_at(&self, nth: usize, line: &str, body: &Value) -> Arc<Mutex<Option<u16>>> {
        let (router, reply) = (self.router.clone(), Arc::new(Mutex::new(None)));
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let request = Mutex::new(Some(request.body(Body::from(body.to_string())).unwrap()));
        let (told, moments) = (reply.clone(), AtomicU64::new(0));
        self.hooked.hook(Some(Arc::new(move |_| {
            let now = moments.fetch_add(1, Ordering::SeqCst) == nth as u64;
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

    /// How many statements have written something.
    pub fn writes(&self) -> u64 {
        self.statements.writes.load(Ordering::SeqCst)
    }

    async fn unsettled(&self) -> i64 {
        let machines = "SELECT COUNT(*) AS n FROM machines WHERE NOT settled AND dt_deleted IS NULL";
        let networks = "SELECT COUNT(*) AS n FROM private_networks WHERE NOT settled";
        let drives = "SELECT COUNT(*) AS n FROM shared_drives WHERE NOT settled";
        self.number(machines).await + self.number(networks).await + self.number(drives).await
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let store = self.app.store.read();
        let row = store
            .query_one_raw(Statement::from_string(store.get_database_backend(), sql))
            .await
            .unwrap()
            .unwrap();
        row.try_get("", "n").unwrap()
    }

    /// Changes a row as no request can.
    pub async fn run(&self, sql: &str) {
        self.app.store.read().execute_unprepared(sql).await.unwrap();
    }

    /// Whether a text lies in the database as it is: in any row, or left over in a file.
    pub async fn lies_in_clear(&self, text: &str) -> bool {
        let contains = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let Some(schema) = &self.database.schema else {
            let path = self.database.url.strip_prefix("sqlite:").unwrap();
            let files = [path.to_owned(), format!("{path}-wal")];
            return files.iter().any(|file| contains(&std::fs::read(file).unwrap()));
        };
        let tables = format!("SELECT tablename AS text FROM pg_tables WHERE schemaname = '{schema}'");
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for table in self.texts(&tables).await {
            let rows = self.texts(&format!("SELECT \"{table}\"::text AS text FROM \"{table}\"")).await;
            if rows.iter().any(|row| contains(row.as_bytes()) || row.contains(&hex)) {
                return true;
            }
        }
        false
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let store = self.app.store.read();
        let statement = Statement::from_string(store.get_database_backend(), sql);
        let rows = store.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get("", "text").unwrap()).collect()
    }

    /// The whole world as text: what clients see, what only the rows say, and the host.
    pub async fn dump(&self) -> String {
        let mut text = String::new();
        let machines: Page<Machine> = self.list("machines").await;
        writeln!(text, "machines:{}", lines(machines.items, machine_line)).unwrap();
        let networks: Page<PrivateNetwork> = self.list("private-networks").await;
        writeln!(text, "networks:{}", lines(networks.items, network_line)).unwrap();
        let addresses: Page<PublicIp> = self.list("public-ips").await;
        if !addresses.items.is_empty() {
            writeln!(text, "addresses:{}", lines(addresses.items, address_line)).unwrap();
        }
        let drives: Page<SharedDrive> = self.list("shared-drives").await;
        if !drives.items.is_empty() {
            writeln!(text, "shared drives:{}", lines(drives.items, drive_line)).unwrap();
        }
        let rules: Page<FirewallRule> = self.list("firewall-rules").await;
        if !rules.items.is_empty() {
            writeln!(text, "firewall rules:{}", lines(rules.items, rule_line)).unwrap();
        }
        let events: Page<MachineEvent> = self.list("machine-events").await;
        writeln!(text, "events:{}", lines(events.items, event_line)).unwrap();
        let placed = self.number("SELECT COUNT(*) AS n FROM machines WHERE placed").await;
        let public_ips =
            self.number("SELECT COUNT(*) AS n FROM public_ips WHERE machine_id IS NOT NULL").await;
        let slots = self.number("SELECT COUNT(*) AS n FROM network_slots WHERE network_id IS NOT NULL").await;
        writeln!(text, "taken: {placed} places, {public_ips} public addresses, {slots} networks").unwrap();
        text.push_str(&self.host.dump());
        numbered(&text)
    }

    async fn list<T: serde::de::DeserializeOwned>(&self, noun: &str) -> Page<T> {
        let page = self.ok(&format!("GET /v1/{noun}?limit=120&order=asc"), Value::Null).await;
        serde_json::from_value(page).unwrap()
    }

    /// How SQLite finds the rows of each statement so far that contains these words.
    pub async fn plans(&self, words: &[&str]) -> Vec<String> {
        let store = self.app.store.read();
        let mut plans = Vec::new();
        let statements = self.statements.texts.lock().unwrap().clone();
        let of_words =
            |sql: &&String| sql.starts_with("SELECT") && words.iter().all(|word| sql.contains(word));
        for sql in statements.iter().filter(of_words) {
            let explain =
                Statement::from_string(store.get_database_backend(), format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = store.query_all_raw(explain).await.unwrap();
            plans.extend(rows.iter().map(|row| row.try_get::<String>("", "detail").unwrap()));
        }
        plans
    }

    /// Whether the store is SQLite: then a story's statements are looked at.
    pub fn on_sqlite(&self) -> bool {
        self.app.store.read().get_database_backend() == sea_orm::DbBackend::Sqlite
    }

    /// Has SQLite explain each new statement.
    async fn look_for_scans(&self) {
        let store = self.app.store.read();
        if !self.on_sqlite() {
            return;
        }
        let new: Vec<_> = {
            let mut looked_at = self.looked_at.lock().unwrap();
            let statements = self.statements.texts.lock().unwrap().clone();
            statements.into_iter().filter(|sql| looked_at.insert(sql.clone())).collect()
        };
        for sql in new.iter().filter(|sql| sql.starts_with("SELECT") && !sql.contains("COUNT(*) AS n")) {
            let explain =
                Statement::from_string(store.get_database_backend(), format!("EXPLAIN QUERY PLAN {sql}"));
            for row in store.query_all_raw(explain).await.unwrap() {
                let plan: String = row.try_get("", "detail").unwrap();
                let scans = plan.starts_with("SCAN") && !plan.contains("USING");
                let sorts = plan.contains("TEMP B-TREE") && sql.contains("LIMIT");
                let small = ["teams", "users", "api_keys", "seal_proof", "members", "os_templates"];
                let small = small.iter().any(|table| plan == format!("SCAN {table}"));
                assert!(small || (!scans && !sorts), "{plan}: {sql}");
            }
        }
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

/// Of a sweep's many worlds, each one on SQLite and every so-many-th on PostgreSQL, where making a world
/// takes ten times as long: what is broken there is the host, not the database.
pub fn sweep_step() -> usize {
    if std::env::var_os("DECKLE_TEST_DATABASE").is_some() { 7 } else { 1 }
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
