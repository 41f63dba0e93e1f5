//! The API's description, generated from the code and checked in.
//!
//! A test of the control plane writes it and compares it: so `cargo xtask` is built without the server.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The test, by its whole name.
const TEST: &str = "contract::the_checked_in_document_is_the_generated_one";

/// What to do with the description that is checked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Write it anew.
    Write,
    /// Fail when it is not what the code generates.
    Check,
}

pub fn run(root: &Path, act: Act) -> Result<()> {
    let output = command(root, act).output().context("run cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        print!("{said}");
    }
    ensure!(
        output.status.success(),
        "the files in openapi are not what the code generates, or {TEST} did not run"
    );
    // A filter that fits no test is no failure to cargo.
    ensure!(said.contains("1 passed"), "there is no test {TEST}");
    Ok(())
}

fn command(root: &Path, act: Act) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "--package", "deckle-control", "--test", "it", "--", "--exact", TEST]);
    command.current_dir(root).env_remove("UPDATE_GOLDEN").env("RUST_BACKTRACE", "0").stderr(Stdio::inherit());
    if act == Act::Write {
        command.env("UPDATE_GOLDEN", "1");
    }
    command
}
