//! Brings a schema up to date: numbered files, each run once, in order, in a transaction of its own.
//!
//! The files are written for both databases. Where the two differ in a word, the word is put in here:
//! text is compared byte by byte on both, and bytes have another name on each.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};

/// The migrations, in order. A released one is never edited.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_machines", include_str!("migrations/0001_machines.sql")),
    ("0002_networks", include_str!("migrations/0002_networks.sql")),
    ("0003_gpus", include_str!("migrations/0003_gpus.sql")),
    ("0004_accessors", include_str!("migrations/0004_accessors.sql")),
    ("0005_disks", include_str!("migrations/0005_disks.sql")),
    ("0006_drift", include_str!("migrations/0006_drift.sql")),
    ("0007_retention", include_str!("migrations/0007_retention.sql")),
    ("0008_snapshots", include_str!("migrations/0008_snapshots.sql")),
    ("0009_templates", include_str!("migrations/0009_templates.sql")),
    ("0010_by_themselves", include_str!("migrations/0010_by_themselves.sql")),
    ("0011_desktops", include_str!("migrations/0011_desktops.sql")),
    ("0012_usage", include_str!("migrations/0012_usage.sql")),
    ("0013_runs", include_str!("migrations/0013_runs.sql")),
    ("0014_windows", include_str!("migrations/0014_windows.sql")),
];

pub(super) async fn run(write: &DatabaseConnection) -> Result<(), DbErr> {
    let postgres = super::is_postgres(write.get_database_backend());
    let ledger = "CREATE TABLE IF NOT EXISTS migrations (name TEXT NOT NULL PRIMARY KEY)";
    write.execute_unprepared(&dialect(ledger, postgres)).await?;
    for (name, sql) in MIGRATIONS {
        let tx = write.begin().await?;
        let ledger = format!("INSERT INTO migrations (name) VALUES ('{name}') ON CONFLICT DO NOTHING");
        if tx.execute_unprepared(&ledger).await?.rows_affected() == 1 {
            tx.execute_unprepared(&dialect(sql, postgres)).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

fn dialect(sql: &str, postgres: bool) -> String {
    if postgres {
        sql.replace(" TEXT", " TEXT COLLATE \"C\"").replace(" BLOB", " BYTEA")
    } else {
        sql.to_owned()
    }
}
