//! `deckle machine update`: what may change of a machine.

use anyhow::Result;
use clap::Args;
use deckle_api::ids::{MachineId, PrivateNetworkId};
use deckle_api::machines::{NetworkOrNull, PublicIpType, UpdateMachine};
use deckle_api::sizes::SizeGb;

use crate::Cli;
use crate::client::Client;
use crate::lists::one_of;
use crate::waiting::{self, WaitFlags};

/// A machine, and what is to change of it.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Changes {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// The private network that it is to be in: one that is on is shut down, moved and started again
    #[arg(long, value_name = "ID")]
    network_id: Option<PrivateNetworkId>,
    /// Where its public address comes from; without a reboot
    #[arg(long, value_name = "TYPE", value_parser = one_of::<PublicIpType>(&["static", "dynamic", "none"]))]
    public_ip_type: Option<PublicIpType>,
    /// The label of its type, of the same family; the machine is off for it
    #[arg(long, value_name = "LABEL")]
    machine_type: Option<String>,
    /// The size of its disk, which only grows; the machine is off for it
    #[arg(long, value_name = "GB")]
    disk_size: Option<f64>,
}

/// A machine to change.
#[derive(Debug, Args)]
pub struct Update {
    /// Its id
    id: MachineId,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    wait: WaitFlags,
}

impl Update {
    /// Changes it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let Changes { name, network_id, public_ip_type, machine_type, disk_size } = &self.changes;
        let update = UpdateMachine {
            name: name.clone(),
            network_id: network_id.clone().map(|id| NetworkOrNull(Some(id))),
            public_ip_type: *public_ip_type,
            machine_type: machine_type.clone(),
            disk_size: disk_size.map(SizeGb),
            ..UpdateMachine::default()
        };
        let answer = client.put(&format!("{}/{}", super::PATH, self.id), &update).await?;
        waiting::finish_update(cli, client, self.wait, answer).await
    }
}
