//! All that every change must pass before its tests run.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::{openapi, tidy};

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
/// The tests that need a real host are built and read like the others.
const HOST_TESTS: &str = "deckle/host-tests,deckle-engine/host-tests";
const LINT: &[&str] =
    &["clippy", "--workspace", "--all-targets", "--features", HOST_TESTS, "--", "-D", "warnings"];

pub fn run(root: &Path) -> Result<()> {
    timed("tidy", || tidy::run(root))?;
    timed("format", || cargo(root, FORMAT))?;
    timed("lint", || cargo(root, LINT))?;
    timed("openapi", || openapi::run(root, openapi::Act::Check))
}

/// Runs one step and prints its time: CI has a budget.
pub fn timed(name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let outcome = step();
    println!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
    outcome
}

/// Runs cargo in the workspace.
pub fn cargo(root: &Path, words: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let line = format!("cargo {}", words.join(" "));
    let mut command = Command::new(cargo);
    // What `cargo xtask` says of xtask is nobody else's: build scripts that look at it would run again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_this_crate(name)) {
        command.env_remove(name);
    }
    let status = command.args(words).current_dir(root).status().with_context(|| line.clone())?;
    ensure!(status.success(), "`{line}` failed");
    Ok(())
}

fn is_of_this_crate(variable: &OsStr) -> bool {
    let begins = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    variable.to_str().is_some_and(|name| begins.iter().any(|begin| name.starts_with(begin)))
}
