//! `deckle machine update`: what may change of a machine.

use anyhow::Result;
use clap::Args;
use deckle_api::ids::{MachineId, PrivateNetworkId, SnapshotId};
use deckle_api::machines::{
    AutoSnapshotFrequency, NetworkOrNull, PublicIpType, RestorePointFrequency, UpdateMachine,
};
use deckle_api::sizes::SizeGb;

use crate::Cli;
use crate::client::Client;
use crate::lists::one_of;
use crate::waiting::{self, WaitFlags};

/// What it does by itself.
const POLICIES: &str = "Policies";

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
    /// Whether it shuts down by itself; `=false` for no longer
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = POLICIES)]
    auto_shutdown_enabled: Option<bool>,
    /// So many hours after boot: 1 to 168
    #[arg(long, value_name = "HOURS", help_heading = POLICIES)]
    auto_shutdown_timeout: Option<f64>,
    /// Whether its power is cut then, without asking the guest
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = POLICIES)]
    auto_shutdown_force: Option<bool>,
    /// Whether snapshots are taken by themselves
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = POLICIES)]
    auto_snapshot_enabled: Option<bool>,
    /// How often
    #[arg(long, value_name = "OFTEN", help_heading = POLICIES)]
    #[arg(value_parser = one_of::<AutoSnapshotFrequency>(&["hourly", "daily", "weekly", "monthly"]))]
    auto_snapshot_frequency: Option<AutoSnapshotFrequency>,
    /// How many of them are kept: 0 to 10
    #[arg(long, value_name = "COUNT", help_heading = POLICIES)]
    auto_snapshot_save_count: Option<f64>,
    /// Whether its disk goes back to a snapshot at each shutdown
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(help_heading = POLICIES)]
    restore_point_enabled: Option<bool>,
    /// When it does
    #[arg(long, value_name = "WHEN", help_heading = POLICIES)]
    #[arg(value_parser = one_of::<RestorePointFrequency>(&["shutdown"]))]
    restore_point_frequency: Option<RestorePointFrequency>,
    /// To which snapshot; the one that was taken before its first boot when left out
    #[arg(long, value_name = "ID", help_heading = POLICIES)]
    restore_point_snapshot_id: Option<SnapshotId>,
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
        let answer = client.put(&format!("{}/{}", super::PATH, self.id), &self.changes.request()).await?;
        waiting::finish_update(cli, client, self.wait, answer).await
    }
}

impl Changes {
    /// What is left out is not sent: it stays as it is.
    fn request(&self) -> UpdateMachine {
        UpdateMachine {
            name: self.name.clone(),
            network_id: self.network_id.clone().map(|id| NetworkOrNull(Some(id))),
            public_ip_type: self.public_ip_type,
            machine_type: self.machine_type.clone(),
            disk_size: self.disk_size.map(SizeGb),
            auto_shutdown_enabled: self.auto_shutdown_enabled,
            auto_shutdown_timeout: self.auto_shutdown_timeout,
            auto_shutdown_force: self.auto_shutdown_force,
            auto_snapshot_enabled: self.auto_snapshot_enabled,
            auto_snapshot_frequency: self.auto_snapshot_frequency,
            auto_snapshot_save_count: self.auto_snapshot_save_count,
            restore_point_enabled: self.restore_point_enabled,
            restore_point_frequency: self.restore_point_frequency,
            restore_point_snapshot_id: self.restore_point_snapshot_id.clone(),
        }
    }
}
