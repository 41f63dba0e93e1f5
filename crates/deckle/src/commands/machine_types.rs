//! `deckle machine-type`: what a machine may be made of.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::machine_types::{MachineAvailability, MachineAvailabilityQuery, MachineType};
use deckle_api::machines::Accelerator;
use deckle_api::regions::Region;

use crate::Cli;
use crate::output::{Shown, or_dash, size};

/// What can be asked of machine types.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists the catalogue
    List,
    /// Says whether a machine of a type could be started now
    Availability {
        /// The label of the type, such as C5
        machine_type: String,
        /// Where
        #[arg(long)]
        region: String,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::List => cli.output.list::<MachineType>(&client.get("/v1/machine-types").await?),
            Self::Availability { machine_type, region } => {
                let query = MachineAvailabilityQuery {
                    machine_type: machine_type.clone(),
                    region: Region(region.clone()),
                };
                let query = serde_urlencoded::to_string(query)?;
                let answer = client.get(&format!("/v1/machine-availability?{query}")).await?;
                cli.output.one::<MachineAvailability>(&answer)
            }
        }
    }
}

impl Shown for MachineType {
    const COLUMNS: &'static [&'static str] = &["LABEL", "CPUS", "RAM", "GPUS", "PER HOUR", "REGIONS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.label.clone(),
            self.cpus.to_string(),
            size(self.ram),
            gpus(self.accelerators.as_deref()),
            self.usage_rate.to_string(),
            self.regions.iter().map(|region| region.0.as_str()).collect::<Vec<_>>().join(" "),
        ]
    }
}

impl Shown for MachineAvailability {
    const COLUMNS: &'static [&'static str] = &["AVAILABLE"];

    fn cells(&self) -> Vec<String> {
        vec![self.available.to_string()]
    }
}

/// GPUs in a cell: `2 x A100`.
pub fn gpus(accelerators: Option<&[Accelerator]>) -> String {
    let kinds = accelerators.unwrap_or_default().iter().map(|kind| format!("{} x {}", kind.count, kind.name));
    or_dash(kinds.reduce(|all, kind| format!("{all}, {kind}")))
}
