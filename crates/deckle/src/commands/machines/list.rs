//! `deckle machine list`.

use anyhow::Result;
use clap::Args;
use deckle_api::machines::{ListMachines, Machine, MachineOrder};
use deckle_api::regions::Region;

use crate::Cli;
use crate::client::Client;
use crate::lists::{Paging, one_of};

/// Which machines.
#[derive(Debug, Args)]
pub struct List {
    /// Only machines whose name contains this, in any case
    #[arg(long)]
    name: Option<String>,
    /// Only machines of this region
    #[arg(long)]
    region: Option<String>,
    /// Only machines whose agent is of this kind, such as LinuxDesktop
    #[arg(long)]
    agent_type: Option<String>,
    /// Only machines of this type
    #[arg(long)]
    machine_type: Option<String>,
    /// What they are ordered by [default: dtCreated]
    #[arg(long, value_parser = one_of::<MachineOrder>(&["dtCreated", "name", "state"]))]
    order_by: Option<MachineOrder>,
    #[command(flatten)]
    paging: Paging,
}

impl List {
    /// Lists them.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let filters = ListMachines {
            name: self.name.clone(),
            region: self.region.clone().map(Region),
            agent_type: self.agent_type.clone(),
            machine_type: self.machine_type.clone(),
            order_by: self.order_by,
            ..ListMachines::default()
        };
        cli.output.list::<Machine>(&self.paging.fetch(client, super::PATH, &filters).await?)
    }
}
