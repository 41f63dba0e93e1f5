//! `deckle snapshot`: machines' disks as they were at a moment.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::{MachineId, SnapshotId};
use deckle_api::snapshots::{
    CreateSnapshot, ListSnapshots, RestoreSnapshot, Snapshot, SnapshotOrder, UpdateSnapshot,
};

use super::confirm;
use crate::Cli;
use crate::lists::{Paging, one_of};
use crate::output::Shown;
use crate::waiting::{self, WaitFlags};

const PATH: &str = "/v1/snapshots";

/// What can be done with snapshots.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Takes one of a machine that is on or off; a guest that is on is held for a moment
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// The machine
        #[arg(long, value_name = "ID")]
        machine_id: MachineId,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Lists them
    List {
        /// Only snapshots of this machine
        #[arg(long, value_name = "ID")]
        machine_id: Option<MachineId>,
        /// What they are ordered by [default: dtCreated]
        #[arg(long, value_parser = one_of::<SnapshotOrder>(&["dtCreated", "name"]))]
        order_by: Option<SnapshotOrder>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one
    Get {
        /// Its id
        id: SnapshotId,
    },
    /// Gives one another name
    Rename {
        /// Its id
        id: SnapshotId,
        /// Its new name
        name: String,
    },
    /// Takes its machine's disk back to one, and discards all that was written since; later ones stay
    Restore {
        /// Its id
        id: SnapshotId,
        /// Take another one first, of what would be discarded
        #[arg(long)]
        snapshot_before: bool,
        #[command(flatten)]
        wait: WaitFlags,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Deletes one; its machine's disk stays as it is
    Delete {
        /// Its id
        id: SnapshotId,
        #[command(flatten)]
        wait: WaitFlags,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Create { name, machine_id, wait } => {
                let create = CreateSnapshot { name: name.clone(), machine_id: machine_id.clone() };
                let answer = client.post(PATH, &create).await?;
                waiting::finish_of::<Snapshot>(cli, &client, *wait, PATH, answer).await
            }
            Self::List { machine_id, order_by, paging } => {
                let filters = ListSnapshots {
                    machine_id: machine_id.clone(),
                    order_by: *order_by,
                    ..ListSnapshots::default()
                };
                cli.output.list::<Snapshot>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<Snapshot>(&client.get(&format!("{PATH}/{id}")).await?),
            Self::Rename { id, name } => {
                let update = UpdateSnapshot { name: Some(name.clone()) };
                cli.output.one::<Snapshot>(&client.put(&format!("{PATH}/{id}"), &update).await?)
            }
            Self::Restore { id, snapshot_before, wait, yes } => {
                let act =
                    format!("restore the snapshot {id}, and discard what was written since it was taken");
                confirm(*yes, &act)?;
                let restore =
                    RestoreSnapshot { create_snapshot_before_restore: snapshot_before.then_some(true) };
                let answer = client.post(&format!("{PATH}/{id}/restore"), &restore).await?;
                waiting::finish_of::<Snapshot>(cli, &client, *wait, PATH, answer).await
            }
            Self::Delete { id, wait, yes } => {
                confirm(*yes, &format!("delete the snapshot {id}"))?;
                let answer = client.delete(&format!("{PATH}/{id}")).await?;
                waiting::finish_of::<Snapshot>(cli, &client, *wait, PATH, answer).await
            }
        }
    }
}

impl Shown for Snapshot {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "MACHINE", "AUTO"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.machine_id.to_string(),
            self.is_auto_snapshot.to_string(),
        ]
    }
}
