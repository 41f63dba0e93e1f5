//! What nothing on this host can beat.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How long a floor is measured.
const LONG: Duration = Duration::from_secs(2);

/// How many durable appends a second the disk takes one after the other: a page of a database each.
pub fn durable_writes(folder: &Path) -> Result<f64> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(folder.join("floor"))?;
    let page = [7; 4096];
    let begun = Instant::now();
    let mut writes = 0.0;
    while begun.elapsed() < LONG {
        file.write_all(&page)?;
        file.sync_data()?;
        writes += 1.0;
    }
    Ok(writes / begun.elapsed().as_secs_f64())
}
