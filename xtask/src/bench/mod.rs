//! Measured figures of the built product on this host.
//!
//! Each figure stands beside a floor (what nothing on this host can beat) or a peer (what does the same
//! without us), measured in the same run: ratios survive another machine and a busy one better than times.
//! `docs/benchmarks.md` says what each means.

mod bare;
mod boot;
mod crowd;
mod figures;
mod floor;
mod http;
mod mapped;
mod networks;
mod options;
mod reads;
mod server;
mod snapshots;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::ci::cargo;
use figures::Report;
use options::{HELP, Options};

const BUILD: &[&str] = &["build", "--quiet", "--locked", "--release", "--package", "deckle"];

pub fn run(root: &Path, words: impl Iterator<Item = String>) -> Result<()> {
    let options = Options::read(words)?;
    if options.help {
        println!("{HELP}");
        return Ok(());
    }
    let mut report = Report::default();
    if options.wants("crowd") || options.wants("boot") {
        cargo(root, BUILD)?;
    }
    let deckle = program(root);
    if options.wants("crowd") {
        crowd::measure(&deckle, &options, &mut report)?;
    }
    if options.wants("networks") {
        networks::measure(&deckle, &mut report)?;
    }
    if options.wants("boot") {
        boot::measure(&deckle, &options, &mut report)?;
    }
    if options.wants("snapshots") {
        snapshots::measure(root, &options, &mut report)?;
    }
    if options.json {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    Ok(())
}

fn program(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    root.join(target).join("release/deckle")
}
