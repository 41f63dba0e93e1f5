//! `deckle private-network`: networks between machines.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::PrivateNetworkId;
use deckle_api::private_networks::{
    CreatePrivateNetwork, ListPrivateNetworks, PrivateNetwork, PrivateNetworkDeleted, PrivateNetworkOrder,
    UpdatePrivateNetwork,
};
use deckle_api::regions::Region;

use super::{confirm, details, protection};
use crate::Cli;
use crate::lists::{Paging, one_of};
use crate::output::Shown;

const PATH: &str = "/v1/private-networks";

/// What can be done with private networks.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes one
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// Where it is to be
        #[arg(long, default_value = Region::DEFAULT[0])]
        region: String,
        /// Move the team's machines of the region that are in no network into it
        #[arg(long)]
        migrate_machines: bool,
    },
    /// Lists them
    List {
        /// Only networks whose name contains this, in any case
        #[arg(long)]
        name: Option<String>,
        /// Only networks of this region
        #[arg(long)]
        region: Option<String>,
        /// What they are ordered by [default: dtCreated]
        #[arg(long, value_parser = one_of::<PrivateNetworkOrder>(&["dtCreated", "name"]))]
        order_by: Option<PrivateNetworkOrder>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one
    Get {
        /// Its id
        id: PrivateNetworkId,
    },
    /// Shows how one fares on its host: what is done, since when, what went wrong, when it is tried next
    Detail {
        /// Its id
        id: PrivateNetworkId,
    },
    /// Gives one another name
    Update {
        /// Its id
        id: PrivateNetworkId,
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// Protects one against deletion
    Protect {
        /// Its id
        id: PrivateNetworkId,
    },
    /// Takes that protection off
    Unprotect {
        /// Its id
        id: PrivateNetworkId,
    },
    /// Deletes one that nothing is in
    Delete {
        /// Its id
        id: PrivateNetworkId,
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
            Self::Create { name, region, migrate_machines } => {
                let create = CreatePrivateNetwork {
                    name: name.clone(),
                    region: Region(region.clone()),
                    migrate_machines: migrate_machines.then_some(true),
                };
                cli.output.one::<PrivateNetwork>(&client.post(PATH, &create).await?)
            }
            Self::List { name, region, order_by, paging } => {
                let filters = ListPrivateNetworks {
                    name: name.clone(),
                    region: region.clone().map(Region),
                    order_by: *order_by,
                    ..ListPrivateNetworks::default()
                };
                cli.output.list::<PrivateNetwork>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<PrivateNetwork>(&client.get(&format!("{PATH}/{id}")).await?),
            Self::Update { id, name } => {
                let update = UpdatePrivateNetwork { name: Some(name.clone()) };
                cli.output.one::<PrivateNetwork>(&client.put(&format!("{PATH}/{id}"), &update).await?)
            }
            Self::Detail { id } => details::show(cli, &format!("{PATH}/{id}")).await,
            Self::Protect { id } => protection::set(cli, &format!("{PATH}/{id}"), true).await,
            Self::Unprotect { id } => protection::set(cli, &format!("{PATH}/{id}"), false).await,
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the private network {id}"))?;
                cli.output.one::<PrivateNetworkDeleted>(&client.delete(&format!("{PATH}/{id}")).await?)
            }
        }
    }
}

impl Shown for PrivateNetwork {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "REGION", "NETWORK", "NETMASK", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.region.0.clone(),
            self.network.clone(),
            self.netmask.clone(),
            self.dt_created.to_string(),
        ]
    }
}

impl Shown for PrivateNetworkDeleted {
    const COLUMNS: &'static [&'static str] = &["DELETED"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}
