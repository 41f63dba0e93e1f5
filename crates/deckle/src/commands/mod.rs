//! The commands of the client: one file a noun, one variant of its `Verb` an operation.

pub mod admin;
pub mod completions;
pub mod custom_templates;
mod details;
pub mod doctor;
pub mod firewall_rules;
pub mod machine_events;
pub mod machine_types;
pub mod machines;
pub mod os_templates;
pub mod private_networks;
mod protection;
pub mod public_ips;
pub mod serve;
pub mod sessions;
pub mod shared_drives;
pub mod snapshots;
pub mod ssh_keys;
pub mod startup_scripts;
pub mod usage;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::failure::Misuse;

/// Asks before an act that cannot be taken back, such as "delete the machine ps1". Where nobody can be
/// asked, only `--yes` will do.
fn confirm(yes: bool, act: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Misuse(format!("{act}? nobody is here to ask: say --yes to mean it")).into());
    }
    eprint!("{act}? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer")?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}

/// The text of a file, or of standard input for `-`.
fn text_of(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}
