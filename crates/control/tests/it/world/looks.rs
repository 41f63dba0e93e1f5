//! What can be seen of a world beside its answers: its rows, its statements, and all of it as text.

use std::fmt::Write as _;

use super::*;
use crate::dump::{
    address_line, drive_line, event_line, lines, machine_line, network_line, numbered, rule_line,
    snapshot_line, template_line,
};

impl World {
    /// How many statements have read something.
    pub fn reads(&self) -> u64 {
        self.statements.reads.load(Ordering::SeqCst)
    }

    /// How many statements have written something.
    pub fn writes(&self) -> u64 {
        self.statements.writes.load(Ordering::SeqCst)
    }

    pub(super) async fn unsettled(&self) -> i64 {
        let machines = "SELECT COUNT(*) AS n FROM machines WHERE NOT settled AND dt_deleted IS NULL";
        let networks = "SELECT COUNT(*) AS n FROM private_networks WHERE NOT settled";
        let drives = "SELECT COUNT(*) AS n FROM shared_drives WHERE NOT settled";
        let templates = "SELECT COUNT(*) AS n FROM templates WHERE team_id IS NOT NULL AND dt_deleted IS NOT NULL AND ready";
        self.number(machines).await
            + self.number(networks).await
            + self.number(drives).await
            + self.number(templates).await
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

    /// A machine's desktop's password as it lies in its row.
    pub async fn sealed_desktop(&self, id: &MachineId) -> Vec<u8> {
        let store = self.app.store.read();
        let sql = format!("SELECT desktop_password AS sealed FROM machines WHERE id = '{id}'");
        let row =
            store.query_one_raw(Statement::from_string(store.get_database_backend(), sql)).await.unwrap();
        row.unwrap().try_get::<Option<Vec<u8>>>("", "sealed").unwrap().unwrap_or_default()
    }

    /// What a query finds in its column `text`.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
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
        let snapshots: Page<Snapshot> = self.list("snapshots").await;
        if !snapshots.items.is_empty() {
            writeln!(text, "snapshots:{}", lines(snapshots.items, snapshot_line)).unwrap();
        }
        let templates: Page<CustomTemplate> = self.list("custom-templates").await;
        if !templates.items.is_empty() {
            writeln!(text, "custom templates:{}", lines(templates.items, template_line)).unwrap();
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
    pub(super) async fn look_for_scans(&self) {
        let store = self.app.store.read();
        if !self.on_sqlite() {
            return;
        }
        let new: Vec<_> = {
            let mut looked_at = self.looked_at.lock().unwrap();
            let statements = self.statements.texts.lock().unwrap().clone();
            statements.into_iter().filter(|sql| looked_at.insert(sql.clone())).collect()
        };
        let finds = |sql: &&String| sql.starts_with("SELECT") || sql.starts_with("DELETE");
        for sql in new.iter().filter(finds).filter(|sql| !sql.contains("COUNT(*) AS n")) {
            let explain =
                Statement::from_string(store.get_database_backend(), format!("EXPLAIN QUERY PLAN {sql}"));
            for row in store.query_all_raw(explain).await.unwrap() {
                let plan: String = row.try_get("", "detail").unwrap();
                let scans = plan.starts_with("SCAN") && !plan.contains("USING");
                let sorts = plan.contains("TEMP B-TREE") && sql.contains("LIMIT");
                let small = ["teams", "users", "api_keys", "seal_proof", "members"];
                let small = small.iter().any(|table| plan == format!("SCAN {table}"));
                assert!(small || (!scans && !sorts), "{plan}: {sql}");
            }
        }
    }
}
