//! `deckle firewall-rule`: what may pass to and from machines.

use anyhow::Result;
use clap::{Args, Subcommand};
use deckle_api::firewall_rules::{
    CreateFirewallRule, FirewallDirection, FirewallProtocol, FirewallRule, FirewallRuleDeleted,
    ListFirewallRules,
};
use deckle_api::ids::{FirewallRuleId, MachineId, PrivateNetworkId};

use super::confirm;
use crate::Cli;
use crate::lists::{Paging, one_of};
use crate::output::{Shown, or_dash, word};

const PATH: &str = "/v1/firewall-rules";

/// What can be done with firewall rules.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Allows something; what no rule allows is dropped from then on, in that direction
    Create(Create),
    /// Lists them
    List {
        /// Only rules for this network
        #[arg(long, value_name = "ID")]
        network_id: Option<PrivateNetworkId>,
        /// Only rules for this machine
        #[arg(long, value_name = "ID")]
        machine_id: Option<MachineId>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one
    Get {
        /// Its id
        id: FirewallRuleId,
    },
    /// Deletes one; without any rule for a direction, everything passes in it
    Delete {
        /// Its id
        id: FirewallRuleId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// A rule to create.
#[derive(Debug, Args)]
pub struct Create {
    /// The network whose machines it is for
    #[arg(long, value_name = "ID", required_unless_present = "machine_id", conflicts_with = "machine_id")]
    network_id: Option<PrivateNetworkId>,
    /// The machine that it is for
    #[arg(long, value_name = "ID")]
    machine_id: Option<MachineId>,
    /// Which way, as the machine sees it
    #[arg(long, value_parser = one_of::<FirewallDirection>(&["inbound", "outbound"]))]
    direction: FirewallDirection,
    /// What is carried [default: any]
    #[arg(long, value_parser = one_of::<FirewallProtocol>(&["any", "tcp", "udp", "icmp"]))]
    protocol: Option<FirewallProtocol>,
    /// The port on the receiving side, or the first and the last: 22, 8000-8999 [default: all]
    #[arg(long, value_name = "PORT|FROM-TO", value_parser = ports)]
    ports: Option<(u16, Option<u16>)>,
    /// The addresses on the other side [default: all]
    #[arg(long, value_name = "CIDR")]
    cidr: Option<String>,
    /// What it is for, in words
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Create(create) => {
                cli.output.one::<FirewallRule>(&client.post(PATH, &create.request()).await?)
            }
            Self::List { network_id, machine_id, paging } => {
                let filters = ListFirewallRules {
                    network_id: network_id.clone(),
                    machine_id: machine_id.clone(),
                    ..ListFirewallRules::default()
                };
                cli.output.list::<FirewallRule>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<FirewallRule>(&client.get(&format!("{PATH}/{id}")).await?),
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the firewall rule {id}"))?;
                cli.output.one::<FirewallRuleDeleted>(&client.delete(&format!("{PATH}/{id}")).await?)
            }
        }
    }
}

impl Create {
    fn request(&self) -> CreateFirewallRule {
        CreateFirewallRule {
            network_id: self.network_id.clone(),
            machine_id: self.machine_id.clone(),
            direction: self.direction,
            protocol: self.protocol,
            port_from: self.ports.map(|(from, _)| from),
            port_to: self.ports.and_then(|(_, to)| to),
            cidr: self.cidr.clone(),
            description: self.description.clone(),
        }
    }
}

fn ports(text: &str) -> Result<(u16, Option<u16>), String> {
    let port =
        |text: &str| text.parse().map_err(|_| format!("expected a port from 1 to 65535, not {text:?}"));
    match text.split_once('-') {
        None => Ok((port(text)?, None)),
        Some((from, to)) => Ok((port(from)?, Some(port(to)?))),
    }
}

impl Shown for FirewallRule {
    const COLUMNS: &'static [&'static str] =
        &["ID", "FOR", "DIRECTION", "PROTOCOL", "PORTS", "OTHER SIDE", "DESCRIPTION"];

    fn cells(&self) -> Vec<String> {
        let machine = self.machine_id.as_ref().map(ToString::to_string);
        let ports = match (self.port_from, self.port_to) {
            (Some(from), Some(to)) if from != to => format!("{from}-{to}"),
            (Some(from), _) => from.to_string(),
            (None, _) => "all".to_owned(),
        };
        vec![
            self.id.to_string(),
            or_dash(machine.or(self.network_id.as_ref().map(ToString::to_string))),
            word(self.direction),
            word(self.protocol),
            ports,
            self.cidr.clone(),
            or_dash(self.description.as_ref()),
        ]
    }
}

impl Shown for FirewallRuleDeleted {
    const COLUMNS: &'static [&'static str] = &["DELETED"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}
