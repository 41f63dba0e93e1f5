//! `deckle admin gpu`: the host's GPUs, who has them, and which ones nobody gets.

use anyhow::{Result, bail};
use clap::Subcommand;
use deckle_api::admin::{Gpu, GpuState};
use deckle_engine::pci::PciAddress;
use serde_json::json;

use crate::Cli;
use crate::client::Client;
use crate::output::{self, Shown};

const PATH: &str = "/admin/gpus";
/// Bytes in a GiB.
const GIB: u64 = 1 << 30;

/// What can be done with GPUs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists them: their models, who has them, and why nobody gets one
    List,
    /// Lets machines have a quarantined one again: it is reset, and must come back sound. One that is gone
    /// from the host is forgotten
    Release {
        /// Its address on the PCI bus, such as 0000:41:00.0
        address: PciAddress,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        match self {
            Self::List => cli.output.list::<Gpu>(&client.get(PATH).await?),
            Self::Release { address } => {
                let answer = client.post(&format!("{PATH}/{address}/release"), &json!({})).await?;
                cli.output.one::<Gpu>(&answer)?;
                // Between the reset and the answer it may have failed again.
                let released: Gpu = output::view(&answer)?;
                match released.state {
                    GpuState::Quarantined => bail!("{address} stays quarantined"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl Shown for Gpu {
    const COLUMNS: &'static [&'static str] =
        &["ADDRESS", "MODEL", "MEMORY", "NODE", "STATE", "MACHINE", "TEAM", "REASON"];

    fn cells(&self) -> Vec<String> {
        let text = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
        vec![
            self.address.clone(),
            self.model.clone(),
            text(self.memory_bytes.map(|bytes| format!("{} GiB", bytes / GIB))),
            text(self.numa_node.map(|node| node.to_string())),
            self.state.word().to_owned(),
            text(self.machine_id.as_ref().map(ToString::to_string)),
            text(self.team_id.as_ref().map(ToString::to_string)),
            text(self.reason.clone()),
        ]
    }
}
