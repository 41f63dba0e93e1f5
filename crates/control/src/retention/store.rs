//! The statements that find and delete old rows.

use deckle_api::Timestamp;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::Rule;

/// Whether there is a row that a rule lets go, of those from before a moment.
pub async fn has_old(store: &impl ConnectionTrait, rule: &Rule, before: Timestamp) -> Result<bool, DbErr> {
    let (table, old) = (rule.table, old(rule));
    let sql = format!("SELECT 1 AS found FROM {table} WHERE {old} LIMIT 1");
    let found = Statement::from_sql_and_values(store.get_database_backend(), sql, [before.0.into()]);
    Ok(store.query_one_raw(found).await?.is_some())
}

/// Deletes the oldest rows that a rule lets go, of those from before a moment, and at most so many: how many.
pub async fn delete_old(
    store: &impl ConnectionTrait,
    rule: &Rule,
    before: Timestamp,
    rows_max: u32,
) -> Result<u64, DbErr> {
    let values = [before.0.into(), i64::from(rows_max).into()];
    let delete = Statement::from_sql_and_values(store.get_database_backend(), delete(rule), values);
    Ok(store.execute_raw(delete).await?.rows_affected())
}

/// The statement that deletes: its first value is a moment, its second a number of rows.
pub(super) fn delete(rule: &Rule) -> String {
    let Rule { table, key, since, .. } = rule;
    let old = old(rule);
    format!(
        "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {old} ORDER BY {since} LIMIT $2)"
    )
}

fn old(rule: &Rule) -> String {
    let Rule { table, since, only, referred_by, .. } = rule;
    let unused = referred_by
        .iter()
        .map(|(by, column)| format!(" AND NOT EXISTS (SELECT 1 FROM {by} WHERE {by}.{column} = {table}.id)"));
    format!("{since} < $1 AND {only}{}", unused.collect::<String>())
}
