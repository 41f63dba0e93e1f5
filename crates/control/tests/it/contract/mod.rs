//! The description that Deckle generates, compared with the contract operation by operation.
//!
//! `contract/v1.openapi.json` is what the v1 API must be; `contract/not-built.txt` lists its operations
//! that are not built yet, and may only shrink. What a difference means is decided in the code, never
//! here: [`normal`] makes equal only what means the same.

mod answers;
mod differences;
mod normal;
mod second;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use normal::Document;

pub use answers::check;
pub use second::check as check_second;

/// Operations that the contract does not have are marked by this tag.
const BEYOND: &str = "Beyond the reference";

/// What the v1 API must be.
fn contract() -> Document {
    Document::read(&read("contract/v1.openapi.json"))
}

/// What the v1 API says that it is.
fn ours() -> Document {
    Document::new(deckle_control::openapi_v1())
}

fn read(file: &str) -> String {
    let path = in_project(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn in_project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

#[test]
fn every_built_operation_is_the_contracts() {
    let (contract, ours) = (contract().operations(), ours().operations());
    let both = contract.iter().filter_map(|(name, theirs)| Some((name, theirs, ours.get(name)?)));
    let wrong: Vec<String> = both
        .flat_map(|(name, theirs, ours)| {
            let found = differences::differences(theirs, ours);
            found.into_iter().map(move |difference| format!("{name}: {difference}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} differences from the contract:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_not_built_is_listed_and_nothing_else_is() {
    let (contract, ours) = (contract().operations(), ours().operations());
    let text = read("contract/not-built.txt");
    let listed: Vec<&str> = text.lines().collect();
    assert!(listed.is_sorted_by(|one, other| one < other), "contract/not-built.txt is not sorted");
    let listed: BTreeSet<&str> = listed.into_iter().collect();
    let missing: BTreeSet<&str> =
        contract.keys().filter(|name| !ours.contains_key(*name)).map(String::as_str).collect();
    let built: Vec<_> = listed.iter().filter(|name| ours.contains_key(**name)).collect();
    assert!(built.is_empty(), "built, but still in contract/not-built.txt: {built:?}");
    let strange: Vec<_> = listed.iter().filter(|name| !contract.contains_key(**name)).collect();
    assert!(strange.is_empty(), "in contract/not-built.txt, but not in the contract: {strange:?}");
    let unlisted: Vec<_> = missing.difference(&listed).collect();
    assert!(unlisted.is_empty(), "in the contract, but no longer built: {unlisted:?}");
}

#[test]
fn what_goes_beyond_the_contract_says_so() {
    let (contract, ours) = (contract().operations(), ours().operations());
    for (name, operation) in ours.iter().filter(|(name, _)| !contract.contains_key(*name)) {
        assert_eq!(operation["tags"], serde_json::json!([BEYOND]), "{name} is not in the contract");
    }
}

#[test]
fn the_head_is_the_contracts() {
    let contract: serde_json::Value = serde_json::from_str(&read("contract/v1.openapi.json")).unwrap();
    let ours = deckle_control::openapi_v1();
    for place in ["/openapi", "/servers", "/components/securitySchemes"] {
        assert_eq!(ours.pointer(place), contract.pointer(place), "{place}");
    }
}

/// `cargo xtask openapi` has this test write the files: it sets `UPDATE_GOLDEN`.
#[test]
fn the_checked_in_document_is_the_generated_one() {
    is_generated("openapi/v1.json", &deckle_control::openapi_v1());
    is_generated("openapi/v2.json", &deckle_control::openapi_v2());
}

fn is_generated(file: &str, document: &serde_json::Value) {
    let generated = serde_json::to_string_pretty(document).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(in_project("openapi")).unwrap();
        return std::fs::write(in_project(file), generated).unwrap();
    }
    let checked_in = read(file);
    let first = checked_in.lines().zip(generated.lines()).position(|(old, new)| old != new);
    let line = first.unwrap_or_else(|| checked_in.lines().count().min(generated.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(its end)").to_owned();
    assert!(
        checked_in == generated,
        "{file}:{}: the code says `{}`, the file `{}`; `cargo xtask openapi` writes it anew, then read the \
         difference before it is committed",
        line + 1,
        at(&generated).trim(),
        at(&checked_in).trim(),
    );
}
