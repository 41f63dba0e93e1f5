//! How long rows are kept: what is old, and what nothing refers to any more, is deleted.
//!
//! A visit of its own does it, at a server's start and then every hour: a batch a visit, so that nobody who
//! writes waits for long. A server that ends in between goes on at its next start.
//!
//! **To add a table**: a line in [`RULES`], and its index in a migration. What refers to a table with a line
//! there is named in that line: a test compares them with the schema.

mod store;

use crate::app::App;
use crate::config::Limits;
use crate::error::Result;
use crate::reconciler::Next;

/// How long after a visit that has found nothing to delete the next one comes, in milliseconds: an hour.
const PAUSE_MS: i64 = 3_600_000;
const DAY_S: i64 = 86_400;

/// Which rows of a table are kept, and for how long. All its texts are ours, and stand in statements as they are.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The table.
    pub table: &'static str,
    /// The columns of its primary key.
    pub key: &'static str,
    /// The column with the moment from which on a row is kept for a while. A row without one is kept.
    pub since: &'static str,
    /// What must hold of a row besides.
    pub only: &'static str,
    /// For how many seconds; for ever where there is no number.
    pub kept_s: fn(&Limits) -> Option<i64>,
    /// The columns that refer to the table's `id`: what one of them refers to is kept.
    pub referred_by: &'static [(&'static str, &'static str)],
}

/// What is deleted, in the order of the references: what refers to others goes before them.
pub const RULES: &[Rule] = &[
    Rule::of("idempotency", "dt_created", |limits| Some(limits.idempotency_s))
        .with_key("api_key_id, path, idempotency_key"),
    Rule::of("sessions", "dt_expires", |_| Some(0)),
    Rule::of("machine_events", "dt_finished", |limits| days(limits.events_days)),
    Rule::of("startup_script_runs", "dt_created", |limits| days(limits.runs_days)),
    Rule::of("usage_records", "dt_to", |limits| days(limits.usage_days)).with_key("number"),
    Rule::of("snapshots", "dt_deleted", |limits| days(limits.deleted_days)),
    Rule::of("machines", "dt_deleted", |limits| days(limits.deleted_days)).but_for(OF_MACHINES),
    Rule::of("shared_drives", "dt_deleted", |limits| days(limits.deleted_days)).only("forgotten"),
    Rule::of("private_networks", "dt_deleted", |limits| days(limits.deleted_days))
        .only("forgotten")
        .but_for(OF_NETWORKS),
    Rule::of("startup_scripts", "dt_deleted", |limits| days(limits.deleted_days)).but_for(OF_SCRIPTS),
    Rule::of("templates", "dt_deleted", |limits| days(limits.deleted_days))
        .only("NOT ready AND capture IS NULL")
        .but_for(&[("machines", "template_id")]),
];

const OF_MACHINES: &[(&str, &str)] = &[
    ("public_ips_leaving", "machine_id"),
    ("firewall_rules", "machine_id"),
    ("gpus", "machine_id"),
    ("accessors", "machine_id"),
    ("snapshots", "machine_id"),
    ("startup_scripts_served", "machine_id"),
    ("startup_script_runs", "machine_id"),
];

const OF_NETWORKS: &[(&str, &str)] = &[
    ("machines", "network_id"),
    ("machines", "moving_to"),
    ("shared_drives", "network_id"),
    ("firewall_rules", "network_id"),
];

const OF_SCRIPTS: &[(&str, &str)] = &[
    ("machines", "startup_script_id"),
    ("startup_scripts_served", "script_id"),
    ("startup_script_runs", "script_id"),
];

impl Rule {
    /// Rows of a table with an `id`, which are kept for so long from a moment on.
    const fn of(table: &'static str, since: &'static str, kept_s: fn(&Limits) -> Option<i64>) -> Self {
        Self { table, key: "id", since, only: "TRUE", kept_s, referred_by: &[] }
    }

    /// The same of a table with another key.
    const fn with_key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// Only rows of which something holds besides.
    const fn only(self, only: &'static str) -> Self {
        Self { only, ..self }
    }

    /// Only rows that nothing refers to, in any of those columns.
    const fn but_for(self, referred_by: &'static [(&'static str, &'static str)]) -> Self {
        Self { referred_by, ..self }
    }
}

/// 0 days are for ever.
fn days(days: u16) -> Option<i64> {
    (days > 0).then(|| i64::from(days) * DAY_S)
}

/// Deletes a batch of old rows. A table that fails does not keep the others from their turn.
pub async fn visit(app: &App) -> Result<Next> {
    let mut failed = None;
    for rule in RULES {
        match prune(app, rule).await {
            Ok(0) => {}
            Ok(rows) => {
                tracing::info!(table = rule.table, rows, "old rows were deleted");
                return Ok(Next::Now);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(Next::In(PAUSE_MS)), Err)
}

/// Deletes the oldest rows that a rule lets go, as many as a transaction may: how many.
async fn prune(app: &App, rule: &Rule) -> Result<u64> {
    let Some(kept_s) = (rule.kept_s)(&app.config.limits) else { return Ok(0) };
    let before = app.clock.now().plus_seconds(kept_s.saturating_neg());
    // Most looks find nothing: they keep nobody from writing.
    if !store::has_old(app.store.read(), rule, before).await? {
        return Ok(0);
    }
    let tx = app.store.begin().await?;
    let rows = store::delete_old(&*tx, rule, before, app.config.limits.prune_rows).await?;
    tx.commit().await?;
    Ok(rows)
}

#[cfg(test)]
mod tests;
