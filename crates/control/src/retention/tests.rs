use std::collections::BTreeSet;
use std::sync::Arc;

use sea_orm::{ConnectionTrait, Statement};

use super::*;
use crate::catalogue::Catalogue;
use crate::clock::SystemClock;
use crate::reconciler::Wakes;
use crate::store::Store;
use crate::usage::Meter;

/// The texts in a column of what SQLite answers.
async fn texts(store: &Store, sql: &str, column: &str) -> Vec<String> {
    let sql = Statement::from_string(store.read().get_database_backend(), sql);
    let rows = store.read().query_all_raw(sql).await.unwrap();
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}

async fn empty() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let location = format!("sqlite:{}", folder.path().join("store.db").display()).parse().unwrap();
    let meter = Meter::new(Arc::new(SystemClock), Catalogue::built_in());
    (Store::open(&location, None, Wakes::default(), Arc::new(meter)).await.unwrap(), folder)
}

#[tokio::test]
async fn every_column_that_refers_to_a_table_is_named_and_has_an_index() {
    let (store, _folder) = empty().await;
    let mut referring: BTreeSet<(String, String, String)> = BTreeSet::new();
    for table in texts(&store, "SELECT name FROM sqlite_schema WHERE type = 'table'", "name").await {
        let keys =
            format!("SELECT \"table\" AS parent, \"from\" AS child FROM pragma_foreign_key_list('{table}')");
        let (parents, columns) = (texts(&store, &keys, "parent").await, texts(&store, &keys, "child").await);
        let pairs = parents.into_iter().zip(columns);
        referring.extend(pairs.map(|(parent, column)| (parent, table.clone(), column)));
    }
    referring.retain(|(parent, ..)| RULES.iter().any(|rule| rule.table == parent));
    let named = RULES.iter().flat_map(|rule| {
        let of_table = rule.referred_by.iter();
        of_table.map(|(by, column)| (rule.table.to_owned(), (*by).to_owned(), (*column).to_owned()))
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), referring);
    for (_, table, column) in referring {
        let looked_for = format!("EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = $1");
        for step in texts(&store, &looked_for, "detail").await {
            assert!(step.starts_with("SEARCH"), "{table}.{column}: {step}");
        }
    }
}

#[tokio::test]
async fn old_rows_are_found_by_an_index_in_the_order_of_their_age() {
    let (store, _folder) = empty().await;
    for rule in RULES {
        let steps = texts(&store, &format!("EXPLAIN QUERY PLAN {}", store::delete(rule)), "detail").await;
        let bad = |step: &String| step.contains("SCAN") || step.contains("FOR ORDER BY");
        assert!(!steps.iter().any(bad), "{}: {steps:?}", rule.table);
        let by_age = format!("({}<?)", rule.since);
        assert!(steps.iter().any(|step| step.contains(&by_age)), "{}: {steps:?}", rule.table);
    }
}

#[test]
fn what_refers_to_others_goes_before_them() {
    for (nth, rule) in RULES.iter().enumerate() {
        for (by, _) in rule.referred_by {
            let before = RULES.iter().position(|other| other.table == *by);
            assert!(before.is_none_or(|before| before < nth), "{by} before {}", rule.table);
        }
    }
}

#[test]
fn no_days_are_for_ever() {
    assert_eq!([0, 1, u16::MAX].map(days), [None, Some(86_400), Some(5_662_224_000)]);
}
