//! `deckle machine console`: what a machine writes to its serial console.
//!
//! The text is the guest's own, with its colours and its cursor: as with a real console, what it says
//! to a terminal is up to the guest.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use deckle_api::consoles::{ConsoleLog, ConsoleLogQuery};
use deckle_api::ids::MachineId;
use serde_json::Value;
use tokio::signal;
use tokio::time::sleep;

use crate::Cli;
use crate::client::Client;
use crate::output::{self, Format, view};

/// The pause between two looks, once the end of the log is reached.
const LOOK_MS: u64 = 500;

/// A look at one console.
#[derive(Debug, Args)]
pub struct Console {
    /// The machine's id
    id: MachineId,
    /// Go on printing what comes, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// How much of the end of the log to begin with: 1 to 1048576 [default: 65536]
    #[arg(long)]
    bytes: Option<u64>,
}

impl Console {
    /// Prints it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let first = ConsoleLogQuery { from: None, bytes: self.bytes };
        let answer = self.fetch(client, &first).await?;
        if cli.output == Format::Json && !self.follow {
            return output::print_json(&answer);
        }
        let next = print(&answer)?;
        if !self.follow {
            return Ok(());
        }
        tokio::select! {
            ended = self.follow_from(client, next) => ended,
            _ = signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow_from(&self, client: &Client, mut from: u64) -> Result<()> {
        loop {
            let log = self.fetch(client, &ConsoleLogQuery { from: Some(from), bytes: None }).await?;
            let next = print(&log)?;
            if next == from {
                sleep(Duration::from_millis(LOOK_MS)).await;
            }
            from = next;
        }
    }

    async fn fetch(&self, client: &Client, query: &ConsoleLogQuery) -> Result<Value> {
        let query = serde_urlencoded::to_string(query)?;
        let mark = if query.is_empty() { "" } else { "?" };
        client.get(&format!("{}/{}/console-log{mark}{query}", super::PATH, self.id)).await
    }
}

fn print(answer: &Value) -> Result<u64> {
    let log: ConsoleLog = view(answer)?;
    output::print(&log.text)?;
    Ok(log.next)
}
