//! Queries live in `store`: a file of that name, a file in a folder of that name, or the inner `mod store`
//! of a noun that is one file.

use super::Finding;
use super::paths::{Named, paths};
use super::tree::Tree;

const FOLDERS: [&str; 2] = ["crates/control/src/", "crates/deckle/src/"];
/// What others may name of the database library: an error, a row's value, and what a store is called with.
const PLAIN: [&str; 4] = ["DbErr", "ActiveValue", "Set", "ConnectionTrait"];
/// Methods of a connection that take a statement.
const STATEMENTS: [&str; 6] =
    [".execute(", ".execute_raw(", ".execute_unprepared(", ".query_one(", ".query_all(", ".query_one_raw("];
const CURE: &str = "move the query into the noun's store, under a name that says what it finds or changes";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in FOLDERS.iter().flat_map(|folder| tree.sources_in(folder)) {
        for named in paths(source).iter().filter(|named| queries(named)) {
            let wrong = format!("{} outside a store", named.shown());
            findings.push(Finding::new(&source.file, named.line, wrong, CURE));
        }
        if is_store(&source.module()) {
            continue;
        }
        for (line, text) in source.code.lines().enumerate() {
            for statement in STATEMENTS.iter().filter(|statement| text.contains(**statement)) {
                let wrong = format!("`{statement}…)` outside a store");
                findings.push(Finding::new(&source.file, line + 1, wrong, CURE));
            }
        }
    }
    findings
}

fn queries(named: &Named) -> bool {
    let plain = named.to.get(1).is_none_or(|name| PLAIN.contains(&name.as_str()));
    named.leads_to(&["sea_orm"]) && !plain && !is_store(&named.from) && !named.in_tests()
}

fn is_store(module: &[String]) -> bool {
    module.iter().any(|name| name == "store")
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    const QUERY: &str =
        "use sea_orm::{ActiveValue::Set, DbErr, EntityTrait};\nuse sea_orm::entity::prelude::*;";

    #[test]
    fn a_service_does_not_query() {
        let told =
            ["1: sea_orm::EntityTrait outside a store", "2: sea_orm::entity::prelude::* outside a store"];
        assert_eq!(found(check, "crates/control/src/teams/service.rs", QUERY), told);
        let raw = "async fn f(tx: &Tx) {\n    tx.execute_unprepared(sql).await;\n}";
        let told = ["2: `.execute_unprepared(…)` outside a store"];
        assert_eq!(found(check, "crates/control/src/teams/service.rs", raw), told);
    }

    #[test]
    fn a_store_does() {
        for file in ["teams/store.rs", "store/paging.rs", "machines/store/rows.rs"] {
            assert!(found(check, &format!("crates/control/src/{file}"), QUERY).is_empty(), "{file}");
        }
        let inner = format!("mod store {{\n{QUERY}\n}}");
        assert!(found(check, "crates/control/src/regions.rs", &inner).is_empty());
    }
}
