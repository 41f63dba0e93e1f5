//! `deckle machine`: the machines of a team.

mod accessors;
mod console;
mod create;
mod desktop;
mod list;
mod ssh;
mod update;
mod view;

use anyhow::Result;
use clap::{Args, Subcommand};
use deckle_api::ids::MachineId;
use deckle_api::machines::Machine;

use super::{confirm, details, protection};
use crate::Cli;
use crate::waiting::{self, WaitFlags};

const PATH: &str = "/v1/machines";

/// What can be done with machines.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes one, and starts it
    Create(Box<create::Create>),
    /// Lists them
    List(list::List),
    /// Shows one
    Get {
        /// Its id
        id: MachineId,
    },
    /// Shows how one fares on its host: what is done, since when, what went wrong, when it is tried next
    Detail {
        /// Its id
        id: MachineId,
    },
    /// Changes its name, network, public address, type, disk, and what it does by itself
    Update(update::Update),
    /// Starts one
    Start(Switch),
    /// Shuts one down
    Stop(Switch),
    /// Shuts one down and starts it again
    Restart(Switch),
    /// Deletes one, with its disk and its snapshots
    Delete {
        #[command(flatten)]
        switch: Switch,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Protects one against deletion
    Protect {
        /// Its id
        id: MachineId,
    },
    /// Takes that protection off
    Unprotect {
        /// Its id
        id: MachineId,
    },
    /// Logs in to one
    Ssh(ssh::Ssh),
    /// Prints what one writes to its serial console
    Console(console::Console),
    /// Says how the desktop of one is reached: address, password, and a line to paste
    Desktop {
        /// Its id
        id: MachineId,
    },
    /// Accessors: the members of the team that may use one
    #[command(subcommand)]
    Accessor(accessors::Verb),
}

/// An order to one machine.
#[derive(Debug, Args)]
pub struct Switch {
    /// Its id
    id: MachineId,
    #[command(flatten)]
    wait: WaitFlags,
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Create(create) => create.run(cli, &client).await,
            Self::List(list) => list.run(cli, &client).await,
            Self::Get { id } => cli.output.one::<Machine>(&client.get(&format!("{PATH}/{id}")).await?),
            Self::Detail { id } => details::show(cli, &format!("{PATH}/{id}")).await,
            Self::Update(update) => update.run(cli, &client).await,
            Self::Start(switch) => switch.order(cli, "start").await,
            Self::Stop(switch) => switch.order(cli, "stop").await,
            Self::Restart(switch) => switch.order(cli, "restart").await,
            Self::Delete { switch: Switch { id, wait }, yes } => {
                confirm(*yes, &format!("delete the machine {id}, its disk and its snapshots"))?;
                waiting::finish(cli, &client, *wait, client.delete(&format!("{PATH}/{id}")).await?).await
            }
            Self::Protect { id } => protection::set(cli, &format!("{PATH}/{id}"), true).await,
            Self::Unprotect { id } => protection::set(cli, &format!("{PATH}/{id}"), false).await,
            Self::Ssh(ssh) => ssh.run(&client).await,
            Self::Console(console) => console.run(cli, &client).await,
            Self::Desktop { id } => desktop::show(cli, &client, id).await,
            Self::Accessor(verb) => verb.run(cli, &client).await,
        }
    }
}

impl Switch {
    async fn order(&self, cli: &Cli, verb: &str) -> Result<()> {
        let client = cli.client()?;
        let answer = client.patch(&format!("{PATH}/{}/{verb}", self.id)).await?;
        waiting::finish(cli, &client, self.wait, answer).await
    }
}
