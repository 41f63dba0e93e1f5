//! `deckle shared-drive`: drives that the machines of a private network share.

mod view;

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::{PrivateNetworkId, SharedDriveId};
use deckle_api::private_networks::PrivateNetwork;
use deckle_api::regions::Region;
use deckle_api::shared_drives::{
    CreateSharedDrive, ListSharedDrives, ResizeSharedDrive, SharedDrive, SharedDriveDeleted,
    SharedDriveOrder, UpdateSharedDrive,
};
use deckle_api::sizes::SizeGb;
use serde_json::Value;

use super::{confirm, details, protection};
use crate::Cli;
use crate::client::Client;
use crate::lists::{Paging, one_of};
use crate::output::{self, print};
use crate::waiting::{self, WaitFlags};

const PATH: &str = "/v1/shared-drives";

/// What can be done with shared drives.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes one
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// Its size
        #[arg(long, value_name = "GB")]
        size: f64,
        /// The private network that it is to be in
        #[arg(long, value_name = "ID")]
        network_id: PrivateNetworkId,
        /// The region of the network [default: the network's]
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Lists them, without their passwords
    List {
        /// Only drives whose name contains this, in any case
        #[arg(long)]
        name: Option<String>,
        /// Only drives of this region
        #[arg(long)]
        region: Option<String>,
        /// What they are ordered by [default: dtCreated]
        #[arg(long, value_parser = one_of::<SharedDriveOrder>(&["dtCreated", "name"]))]
        order_by: Option<SharedDriveOrder>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one, with its password
    Get {
        /// Its id
        id: SharedDriveId,
    },
    /// Shows how one fares on its host: what is done, since when, what went wrong, when it is tried next
    Detail {
        /// Its id
        id: SharedDriveId,
    },
    /// Prints what mounts one on a Linux machine of its network, its password included
    MountCommand {
        /// Its id
        id: SharedDriveId,
        /// Where to mount it
        #[arg(long, value_name = "FOLDER", default_value = "/mnt/share")]
        at: String,
    },
    /// Gives one another name
    Update {
        /// Its id
        id: SharedDriveId,
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// Makes one larger; no drive ever becomes smaller
    Resize {
        /// Its id
        id: SharedDriveId,
        /// Its size
        #[arg(long, value_name = "GB")]
        size: f64,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Gives one a new password; machines that have it mounted must mount it again with that
    RotatePassword {
        /// Its id
        id: SharedDriveId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Deletes one, with all that is on it
    Delete {
        /// Its id
        id: SharedDriveId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Protects one against deletion
    Protect {
        /// Its id
        id: SharedDriveId,
    },
    /// Takes that protection off
    Unprotect {
        /// Its id
        id: SharedDriveId,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Create { name, size, network_id, region, wait } => {
                let region = match region {
                    Some(region) => Region(region.clone()),
                    None => region_of(&client, network_id).await?,
                };
                let (name, network_id) = (name.clone(), network_id.clone());
                let create = CreateSharedDrive { name, size: SizeGb(*size), region, network_id };
                let answer = client.post(PATH, &create).await?;
                finish(cli, &client, *wait, &answer).await
            }
            Self::List { name, region, order_by, paging } => {
                let filters = ListSharedDrives {
                    name: name.clone(),
                    region: region.clone().map(Region),
                    order_by: *order_by,
                    ..ListSharedDrives::default()
                };
                cli.output.list::<SharedDrive>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<SharedDrive>(&client.get(&path(id)).await?),
            Self::MountCommand { id, at } => {
                print(&view::mount_command(&output::view(&client.get(&path(id)).await?)?, at))
            }
            Self::Update { id, name } => {
                let update = UpdateSharedDrive { name: Some(name.clone()) };
                cli.output.one::<SharedDrive>(&client.put(&path(id), &update).await?)
            }
            Self::Resize { id, size, wait } => {
                let resize = ResizeSharedDrive { size: SizeGb(*size) };
                let answer = client.post(&format!("{}/resize", path(id)), &resize).await?;
                finish(cli, &client, *wait, &answer).await
            }
            Self::RotatePassword { id, yes, wait } => {
                confirm(*yes, &format!("give the shared drive {id} a new password"))?;
                let answer = client.post(&format!("{}/rotate-password", path(id)), &Value::Null).await?;
                finish(cli, &client, *wait, &answer).await
            }
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the shared drive {id} and all that is on it"))?;
                cli.output.one::<SharedDriveDeleted>(&client.delete(&path(id)).await?)
            }
            Self::Detail { id } => details::show(cli, &path(id)).await,
            Self::Protect { id } => protection::set(cli, &path(id), true).await,
            Self::Unprotect { id } => protection::set(cli, &path(id), false).await,
        }
    }
}

fn path(id: &SharedDriveId) -> String {
    format!("{PATH}/{id}")
}

async fn region_of(client: &Client, network: &PrivateNetworkId) -> Result<Region> {
    let network = client.get(&format!("/v1/private-networks/{network}")).await?;
    Ok(output::view::<PrivateNetwork>(&network)?.region)
}

/// Shows a drive once its host has it as it was asked for, unless told not to wait.
async fn finish(cli: &Cli, client: &Client, wait: WaitFlags, answer: &Value) -> Result<()> {
    let drive: SharedDrive = output::view(answer)?;
    waiting::until_ready(client, wait, &path(&drive.id), &format!("shared drive {}", drive.id)).await?;
    cli.output.one::<SharedDrive>(answer)
}
