//! Calls go down: http, then service, then store; lifecycle to store and engine. Another noun is reached
//! through its service.

use super::Finding;
use super::paths::{Named, paths};
use super::tree::Tree;

const CONTROL: &str = "crates/control/src/";
/// Folders beside the nouns that are a layer themselves.
const SHARED: [&str; 2] = ["http", "store"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources_in(CONTROL) {
        for named in paths(source).iter().filter(|named| !named.in_tests()) {
            let verdict = upward(named).or_else(|| across(named));
            findings.extend(verdict.map(|(wrong, cure)| Finding::new(&source.file, named.line, wrong, cure)));
        }
    }
    findings
}

/// The layer that a module of the crate is in.
fn layer(module: &[String]) -> &str {
    match module {
        [shared, ..] if SHARED.contains(&shared.as_str()) => shared,
        [_, layer, ..] => layer,
        _ => "",
    }
}

/// The layer that a path leads into; a crate of another layer counts as its module would.
fn target(named: &Named) -> &str {
    match named.to.first().map(String::as_str) {
        Some("crate") => layer(&named.to[1..]),
        Some(other) => other,
        None => "",
    }
}

/// A path from a layer to one above it, or past the one below it.
fn upward(named: &Named) -> Option<(String, &'static str)> {
    let from = layer(&named.from);
    let cure = match (from, target(named)) {
        ("http", "store" | "sea_orm") => "call the noun's service, and let it call the store",
        ("store", "axum" | "http") => "take plain values from the service; http turns answers into JSON",
        ("store", "service" | "lifecycle") => {
            "let the service or the lifecycle call the store, not the other way"
        }
        ("service" | "lifecycle", "axum") => "take and return our own types; the handler reads and shows",
        ("service" | "lifecycle", "http") if !named.leads_to(&["crate", "http"]) => {
            "take and return our own types; the handler reads and shows"
        }
        ("lifecycle", "http") => "nobody asks a lifecycle: it works from rows",
        _ => return None,
    };
    Some((format!("{from} uses {}", named.shown()), cure))
}

/// A path into the inside of another noun.
fn across(named: &Named) -> Option<(String, &'static str)> {
    let [root, noun, inner, ..] = named.to.as_slice() else { return None };
    let own = named.from.first().map_or("", String::as_str);
    if root != "crate" || noun == own || SHARED.contains(&noun.as_str()) {
        return None;
    }
    let cure = match (inner.as_str(), own) {
        // The table of contents and the description of the API name every noun's handlers.
        ("http", "" | "http") | ("lifecycle", "reconciler") => return None,
        ("store" | "lifecycle" | "http", _) => {
            "call that noun's service; give it a function for what you need"
        }
        _ => return None,
    };
    let own = if own.is_empty() { "the crate's root" } else { own };
    Some((format!("{own} reaches past {noun}'s service: {}", named.shown()), cure))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn a_handler_calls_no_store() {
        let text = "use super::{service, store};\nuse sea_orm::EntityTrait;\nuse crate::store::Tx;\n";
        assert_eq!(
            found(check, "crates/control/src/machines/http.rs", text),
            [
                "1: http uses crate::machines::store",
                "2: http uses sea_orm::EntityTrait",
                "3: http uses crate::store::Tx"
            ]
        );
    }

    #[test]
    fn a_store_knows_no_http_and_no_service() {
        let text = "use axum::Json;\nuse crate::http::Caller;\nuse super::service;\nuse crate::store::Tx;";
        let told = [
            "1: store uses axum::Json",
            "2: store uses crate::http::Caller",
            "3: store uses crate::teams::service",
        ];
        assert_eq!(found(check, "crates/control/src/teams/store.rs", text), told);
    }

    #[test]
    fn a_service_answers_in_our_own_types() {
        let text = "use crate::http::Caller;\nfn f() -> axum::Json<u8> { super::http::g() }";
        assert_eq!(
            found(check, "crates/control/src/teams/service.rs", text),
            ["2: service uses axum::Json", "2: service uses crate::teams::http::g"]
        );
    }

    #[test]
    fn another_noun_is_reached_through_its_service() {
        let text = "use crate::{teams, regions};\nfn f() { teams::store::find(); teams::service::find(); }";
        assert_eq!(
            found(check, "crates/control/src/machines/service.rs", text),
            ["2: machines reaches past teams's service: crate::teams::store::find"]
        );
        let single = "use crate::machines::lifecycle;";
        assert_eq!(found(check, "crates/control/src/regions.rs", single).len(), 1);
        assert!(found(check, "crates/control/src/reconciler.rs", single).is_empty());
        let contents = "mod machines;\nfn router() { machines::http::routes(); }";
        assert!(found(check, "crates/control/src/lib.rs", contents).is_empty());
        let leak = "mod machines;\nfn f() { machines::store::find(); }";
        assert_eq!(found(check, "crates/control/src/lib.rs", leak).len(), 1);
    }

    #[test]
    fn tests_may_reach_anywhere() {
        let text = "mod tests { use crate::teams::store; }";
        assert!(found(check, "crates/control/src/machines/http.rs", text).is_empty());
    }
}
