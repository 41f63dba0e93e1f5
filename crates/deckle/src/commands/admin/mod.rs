//! `deckle admin`: what only the operator may do, over the server's own socket on this host.

mod gpus;
mod host;
mod keys;
pub mod leaks;
mod members;
mod teams;
mod templates;
mod transfers;
mod uninstall_host;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Cli;
use crate::client::Client;
use crate::state_folder;
use crate::target::Target;

/// The operator's commands.
#[derive(Debug, Args)]
pub struct Admin {
    /// The state folder of the server [default: /var/lib/deckle, or ~/.local/state/deckle without root]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "DECKLE_STATE",
        hide_env_values = true,
        help_heading = "Server"
    )]
    state: Option<PathBuf>,
    #[command(subcommand)]
    noun: Noun,
}

/// What the operator looks after.
#[derive(Debug, Subcommand)]
enum Noun {
    /// Teams
    #[command(subcommand)]
    Team(teams::Verb),
    /// Who is in a team, and as what
    #[command(subcommand)]
    Member(members::Verb),
    /// API keys
    #[command(subcommand)]
    Key(keys::Verb),
    /// Templates of operating systems
    #[command(subcommand)]
    Template(templates::Verb),
    /// GPUs of the host
    #[command(subcommand)]
    Gpu(gpus::Verb),
    /// A machine's disk, or a shared drive, becomes a file
    #[command(subcommand)]
    Export(transfers::ExportVerb),
    /// A file takes the place of a machine's disk, or of all that a shared drive holds
    #[command(subcommand)]
    Import(transfers::ImportVerb),
    /// Exports and imports
    #[command(subcommand)]
    Transfer(transfers::Verb),
    /// What is on the host that the server does not know of
    #[command(subcommand)]
    Leak(leaks::Verb),
    /// This host, while no server runs
    #[command(subcommand)]
    Host(host::Verb),
    /// Takes this installation off this host; what users have stored stays
    UninstallHost(uninstall_host::UninstallHost),
}

impl Admin {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let state = state_folder::or_default(self.state.clone());
        let client = Client::new(Target::of_admin(&state));
        match &self.noun {
            Noun::Team(verb) => verb.run(cli, &client).await,
            Noun::Member(verb) => verb.run(cli, &client).await,
            Noun::Key(verb) => verb.run(cli, &client).await,
            Noun::Template(verb) => verb.run(cli, &client, &state).await,
            Noun::Gpu(verb) => verb.run(cli, &client).await,
            Noun::Export(verb) => verb.run(cli, &client).await,
            Noun::Import(verb) => verb.run(cli, &client).await,
            Noun::Transfer(verb) => verb.run(cli, &client).await,
            Noun::Leak(verb) => verb.run(cli, &client).await,
            Noun::Host(verb) => verb.run(&state).await,
            Noun::UninstallHost(verb) => verb.run(&state).await,
        }
    }
}
