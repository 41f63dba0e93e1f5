//! Deckle's automation. Each task is a file; each is also what CI runs.
//!
//! `cargo xtask tidy` checks the rules of the house style that break the design when they are broken;
//! `cargo xtask openapi` writes the API's description; `cargo xtask ci` runs all that needs no built product;
//! `host-test` runs what needs this host, and `bench` measures the built product on it.

mod bench;
mod ci;
mod host_test;
mod openapi;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const TASKS: &str = "\
cargo xtask TASK

  bench [OPTION…]    measured figures; --help says more
  ci                 formatting, clippy, tidy and openapi --check: what every change must pass before
                     its tests run
  host-test          the tests on this host: root, real machines, real networks
  openapi [--check]  writes openapi/*.json from the code; --check only says whether they are right
  tidy               the rules of the house style that a program can check";

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["bench", ref words @ ..] => bench::run(&root()?, words.iter().map(|word| (*word).to_owned())),
        ["ci"] => ci::run(&root()?),
        ["host-test"] => host_test::run(&root()?),
        ["openapi"] => openapi::run(&root()?, openapi::Act::Write),
        ["openapi", "--check"] => openapi::run(&root()?, openapi::Act::Check),
        ["tidy"] => tidy::run(&root()?),
        [] | ["help" | "--help"] => {
            println!("{TASKS}");
            Ok(())
        }
        _ => bail!("there is no task {:?}\n\n{TASKS}", words.join(" ")),
    }
}

/// The root of the workspace: where cargo says that this crate lies now, not where it was built.
fn root() -> Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    Ok(Path::new(&xtask).parent().context("xtask lies in the workspace")?.to_owned())
}
