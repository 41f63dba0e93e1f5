//! `deckle admin leak`: what is on the host that no row of the server explains.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::admin::Leak;
use serde_json::Value;

use crate::Cli;
use crate::client::Client;
use crate::output::Shown;

/// What can be asked of leaks.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists them; none is as it should be
    List,
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let Self::List = self;
        cli.output.list::<Leak>(&look(client).await?)
    }
}

/// Asks a running server for them: the array of [`Leak`].
pub async fn look(client: &Client) -> Result<Value> {
    client.get("/admin/leaks").await
}

impl Shown for Leak {
    const COLUMNS: &'static [&'static str] = &["KIND", "NAME", "OF"];

    fn cells(&self) -> Vec<String> {
        vec![self.kind.clone(), self.name.clone(), self.of.clone()]
    }
}
