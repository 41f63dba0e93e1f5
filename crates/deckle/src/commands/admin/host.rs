//! `deckle admin host`: this host, while no server runs on the state folder.

use std::path::Path;

use anyhow::Result;
use clap::Subcommand;
use deckle_engine::linux::Linux;

use crate::commands::{confirm, serve};

/// What can be done with the host.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Shuts all machines down, takes their networks and rules off the host, and gives GPUs back to their
    /// drivers. Disks, templates and the database stay: the next `deckle serve` brings back what was on
    Clear {
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl Verb {
    /// Does it. A server that runs has the state folder's lock, and this refuses.
    pub async fn run(&self, state: &Path) -> Result<()> {
        let Self::Clear { yes } = self;
        confirm(
            *yes,
            "shut down all machines on this host and take its networks down (disks and the database stay)",
        )?;
        let _lock = serve::lock(state).await?;
        let settings = serve::config(None, state)?.linux;
        let told = |fault: deckle_engine::Error| anyhow::anyhow!(fault.told());
        let linux = Linux::open(settings).await.map_err(told)?;
        linux.clear().await.map_err(told)?;
        eprintln!("nothing of {} runs on this host any more", state.display());
        Ok(())
    }
}
