//! Deckle's automation. Each task is a file; each is also what CI runs.
//!
//! `cargo xtask tidy` checks the rules of the house style that break the design when they are broken;
//! `cargo xtask ci` runs all that needs no built product; `host-test` runs what needs this host, and `bench`
//! measures the built product on it.

mod bench;
mod ci;
mod host_test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const TASKS: &str = "\
cargo xtask TASK

  ci         formatting, clippy and tidy: what every change must pass before its tests run
  tidy       the rules of the house style that a program can check
  host-test  the tests on this host: root, real machines, real networks
  bench      measured figures; `cargo xtask bench --help` says more";

fn main() -> ExitCode {
    match task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let task = words.next().unwrap_or_default();
    if task == "bench" {
        return bench::run(&root()?, words);
    }
    if let Some(word) = words.next() {
        bail!("{task} takes no {word:?}\n\n{TASKS}");
    }
    match task.as_str() {
        "ci" => ci::run(&root()?),
        "tidy" => tidy::run(&root()?),
        "host-test" => host_test::run(&root()?),
        "" | "help" | "--help" => {
            println!("{TASKS}");
            Ok(())
        }
        _ => bail!("there is no task {task:?}\n\n{TASKS}"),
    }
}

/// The root of the workspace: where cargo says that this crate lies now, not where it was built.
fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    Ok(Path::new(&xtask).parent().context("xtask lies in the workspace")?.to_owned())
}
