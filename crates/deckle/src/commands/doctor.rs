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
use crate::output::{Shown, items};
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
        cli.output.list::<Check>(&checks)?;
        match seen.checks.iter().filter(|check| check.verdict == Verdict::Bad).count() {
            0 => Ok(()),
            1 => bail!("one thing is in the way of running machines here"),
            count => bail!("{count} things are in the way of running machines here"),
        }
    }
}

impl Shown for Check {
    const COLUMNS: &'static [&'static str] = &["CHECK", "VERDICT", "FOUND", "CURE"];

    fn cells(&self) -> Vec<String> {
        let verdict = match self.verdict {
            Verdict::Good => "good",
            Verdict::Weak => "weak",
            Verdict::Bad => "BAD",
        };
        let cure = if self.cure.is_empty() { "-".to_owned() } else { self.cure.clone() };
        vec![self.name.clone(), verdict.to_owned(), self.found.clone(), cure]
    }
}
