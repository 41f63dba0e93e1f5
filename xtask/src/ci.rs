//! All that every change must pass before its tests run.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::tidy;

const FORMAT: &[&str] = &["fmt", "--all", "--check"];
const LINT: &[&str] = &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

pub fn run(root: &Path) -> Result<()> {
    timed("tidy", || tidy::run(root))?;
    timed("format", || cargo(root, FORMAT))?;
    timed("lint", || cargo(root, LINT))
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
    let status = Command::new(cargo).args(words).current_dir(root).status().with_context(|| line.clone())?;
    ensure!(status.success(), "`{line}` failed");
    Ok(())
}
