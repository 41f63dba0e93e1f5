//! `deckle public-ip`: addresses that lead to machines from outside.

use std::net::Ipv4Addr;

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::MachineId;
use deckle_api::public_ips::{AssignPublicIp, ClaimPublicIp, ListPublicIps, PublicIp, PublicIpReleased};
use deckle_api::regions::Region;

use super::{confirm, protection};
use crate::Cli;
use crate::lists::Paging;
use crate::output::{Shown, or_dash};

const PATH: &str = "/v1/public-ips";

/// What can be done with public addresses.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Claims one: it is the team's until it is released
    Claim {
        /// Where it is to be
        #[arg(long, default_value = Region::DEFAULT[0])]
        region: String,
    },
    /// Lists those that are claimed
    List {
        /// Only addresses of this region
        #[arg(long)]
        region: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Leads one to a machine, from whichever machine it led to, without a reboot
    Assign {
        /// The address
        ip: Ipv4Addr,
        /// The machine
        machine_id: MachineId,
    },
    /// Takes one from its machine; it stays claimed
    Unassign {
        /// The address
        ip: Ipv4Addr,
    },
    /// Gives one back to its pool: somebody else may get it
    Release {
        /// The address
        ip: Ipv4Addr,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Protects one against being released
    Protect {
        /// The address
        ip: Ipv4Addr,
    },
    /// Takes that protection off
    Unprotect {
        /// The address
        ip: Ipv4Addr,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Claim { region } => {
                let claim = ClaimPublicIp { region: Region(region.clone()) };
                cli.output.one::<PublicIp>(&client.post(PATH, &claim).await?)
            }
            Self::List { region, paging } => {
                let filters =
                    ListPublicIps { region: region.clone().map(Region), ..ListPublicIps::default() };
                cli.output.list::<PublicIp>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Assign { ip, machine_id } => assign(cli, ip, Some(machine_id.clone())).await,
            Self::Unassign { ip } => assign(cli, ip, None).await,
            Self::Release { ip, yes } => {
                confirm(*yes, &format!("release the public address {ip}"))?;
                cli.output.one::<PublicIpReleased>(&client.delete(&format!("{PATH}/{ip}")).await?)
            }
            Self::Protect { ip } => protection::set(cli, &format!("{PATH}/{ip}"), true).await,
            Self::Unprotect { ip } => protection::set(cli, &format!("{PATH}/{ip}"), false).await,
        }
    }
}

async fn assign(cli: &Cli, ip: &Ipv4Addr, machine: Option<MachineId>) -> Result<()> {
    let assign = AssignPublicIp { machine_id: Some(machine) };
    cli.output.one::<PublicIp>(&cli.client()?.put(&format!("{PATH}/{ip}"), &assign).await?)
}

impl Shown for PublicIp {
    const COLUMNS: &'static [&'static str] = &["IP", "REGION", "MACHINE", "CLAIMED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.ip.to_string(),
            self.region.0.clone(),
            or_dash(self.assigned_machine_id.as_ref()),
            self.dt_created.to_string(),
        ]
    }
}

impl Shown for PublicIpReleased {
    const COLUMNS: &'static [&'static str] = &["RELEASED"];

    fn cells(&self) -> Vec<String> {
        vec![self.ip.to_string()]
    }
}
