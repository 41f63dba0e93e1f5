//! Crates forbid things to each other: which of them may not depend on what.

use super::Finding;
use super::paths::paths;
use super::tree::Tree;

/// A crate, what it may not depend on, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "api",
        &["tokio", "axum", "sea-orm", "deckle-control", "deckle-engine"],
        "the api crate is words: put what runs into control or engine",
    ),
    (
        "control",
        &["nix", "libc", "rustix", "rtnetlink", "netlink-packet-route"],
        "the mind cannot touch the host: ask the engine",
    ),
    (
        "engine",
        &["axum", "sea-orm", "sqlx", "utoipa-axum", "deckle-control"],
        "the hands have no HTTP server and no SQL: put it into control",
    ),
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, forbidden, cure) in FORBIDDEN {
        let file = format!("crates/{name}/Cargo.toml");
        let manifest = tree.texts.iter().find(|(there, _)| *there == file).map_or("", |(_, text)| text);
        for (line, dependency) in dependencies(manifest) {
            if forbidden.contains(&dependency.as_str()) {
                findings.push(Finding::new(&file, line, format!("{name} depends on {dependency}"), *cure));
            }
        }
    }
    findings.extend(processes(tree));
    findings
}

/// The part of tokio that starts programs is there for every crate that has tokio.
fn processes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources_in("crates/control/src/") {
        for named in paths(source).iter().filter(|named| named.leads_to(&["tokio", "process"])) {
            let cure = "the mind cannot touch the host: ask the engine";
            findings.push(Finding::new(&source.file, named.line, "control uses tokio::process", cure));
        }
    }
    findings
}

/// What a manifest depends on, but for its tests alone, each with its line. A renamed dependency counts
/// under the name that it has elsewhere.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut listing = false;
    for (number, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let (table, name) = match section.rsplit_once("dependencies.") {
                Some((before, name)) => (format!("{before}dependencies"), Some(name)),
                None => (section.to_owned(), None),
            };
            let counts = table.ends_with("dependencies") && !table.ends_with("dev-dependencies");
            listing = counts && name.is_none();
            found.extend(name.filter(|_| counts).map(|name| (number + 1, name.to_owned())));
        } else if listing && let Some((name, rest)) = line.split_once(['.', '=', ' ']) {
            let renamed = rest.split_once("package = \"").and_then(|(_, rest)| rest.split_once('"'));
            found.push((number + 1, renamed.map_or(name, |(package, _)| package).to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn a_forbidden_dependency_is_found_however_it_is_written() {
        let manifest = "[dependencies]\nserde.workspace = true\nnix = \"0.31\"\nlow = { version = \"1\", package = \"libc\" }\n\
                        [target.'cfg(unix)'.dependencies.rustix]\nversion = \"1\"\n[dev-dependencies]\nnix = \"0.31\"\n";
        let told =
            ["3: control depends on nix", "4: control depends on libc", "5: control depends on rustix"];
        assert_eq!(found(check, "crates/control/Cargo.toml", manifest), told);
        let web = "[dependencies]\naxum.workspace = true\n";
        assert_eq!(found(check, "crates/engine/Cargo.toml", web), ["2: engine depends on axum"]);
        assert_eq!(found(check, "crates/api/Cargo.toml", web), ["2: api depends on axum"]);
        assert!(found(check, "crates/control/Cargo.toml", web).is_empty());
    }

    #[test]
    fn the_mind_has_no_processes() {
        let text = "use tokio::process;\nuse tokio::sync::Notify;";
        assert_eq!(found(check, "crates/control/src/app.rs", text), ["1: control uses tokio::process"]);
    }
}
