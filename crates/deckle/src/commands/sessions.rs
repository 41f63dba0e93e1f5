//! `deckle session`: whom the key stands for.

use anyhow::{Result, bail};
use clap::Subcommand;
use deckle_api::sessions::Session;

use crate::Cli;
use crate::output::Shown;

/// What can be asked of a session.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Shows the user and the team of the key
    Get,
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let Self::Get = self;
        let answer = cli.client()?.get("/v1/auth/session").await?;
        if answer.is_null() {
            bail!("the key is none of this server's, or no key was sent: see DECKLE_API_KEY and DECKLE_URL");
        }
        cli.output.one::<Session>(&answer)
    }
}

impl Shown for Session {
    const COLUMNS: &'static [&'static str] = &["USER", "EMAIL", "TEAM", "NAMESPACE", "MACHINES MAX"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.user.id.to_string(),
            self.user.email.clone(),
            self.team.id.to_string(),
            self.team.namespace.clone(),
            self.team.max_machines.to_string(),
        ]
    }
}
