//! `deckle doctor`: what this host can and cannot do, and the command that mends it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use deckle_engine::linux::Linux;
use deckle_engine::seen::{Check, Verdict};
use serde_json::{Value, json};

use super::admin::leaks;
use super::serve;
use crate::Cli;
use crate::client::Client;
use crate::output::{self, Format, items, plain};
use crate::state_folder;
use crate::target::Target;

/// Says what this host can and cannot do, and what mends it.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The settings that the server runs with [default: the file that DECKLE_CONFIG names]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state folder of the server [default: /var/lib/deckle, or ~/.local/state/deckle without root]
    #[arg(long, value_name = "DIR", env = "DECKLE_STATE", hide_env_values = true)]
    state: Option<PathBuf>,
    /// Lists what this installation has on the host that the running server does not know of
    #[arg(long)]
    leaks: bool,
}

impl Doctor {
    /// Looks, and fails when something is in the way of running machines, or has leaked.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let state = state_folder::or_default(self.state.clone());
        if self.leaks {
            let leaks = leaks::look(&Client::new(Target::of_admin(&state))).await?;
            cli.output.list::<deckle_api::admin::Leak>(&leaks)?;
            return match items(&leaks).len() {
                0 => Ok(()),
                count => bail!("{count} things on this host belong to nothing that the server knows"),
            };
        }
        let config = serve::config(self.config.as_deref(), &state)?;
        let seen = Linux::examine(&config.linux).await.map_err(|fault| anyhow::anyhow!(fault.told()))?;
        let checks: Value = seen.checks.iter().map(|check| json!(check)).collect();
        match cli.output {
            Format::Json => output::print_json(&checks)?,
            Format::Table => output::print(&seen.checks.iter().map(told).collect::<String>())?,
        }
        match seen.checks.iter().filter(|check| check.verdict == Verdict::Bad).count() {
            0 => Ok(()),
            1 => bail!("one thing is in the way of running machines here"),
            count => bail!("{count} things are in the way of running machines here"),
        }
    }
}

/// A check as a person reads it: what was found is a sentence, and a cure is a command to copy.
fn told(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Good => "good",
        Verdict::Weak => "weak",
        Verdict::Bad => "BAD ",
    };
    let found = format!("[{verdict}] {}: {}\n", plain(&check.name), plain(&check.found));
    match check.cure.as_str() {
        "" => found,
        cure => format!("{found}       cure: {}\n", plain(cure)),
    }
}
