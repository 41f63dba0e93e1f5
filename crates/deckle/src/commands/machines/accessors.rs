//! `deckle machine accessor`: the members of a team that may use a machine.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::accessors::{AddAccessor, ListAccessors, MachineAccessor};
use deckle_api::ids::{MachineId, UserId};

use super::PATH;
use crate::Cli;
use crate::client::Client;
use crate::commands::confirm;
use crate::lists::Paging;
use crate::output::Shown;

/// What can be done with accessors.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lets a member of the team start, stop and log in to a machine; its SSH keys come with the next start
    Add {
        /// The machine's id
        id: MachineId,
        /// The member's user id; the member sees it with `deckle session get`
        user: UserId,
    },
    /// Lists those of a machine, by their ids
    List {
        /// The machine's id
        id: MachineId,
        #[command(flatten)]
        paging: Paging,
    },
    /// Takes a member's access; its SSH keys go with the next start
    Remove {
        /// The machine's id
        id: MachineId,
        /// The member's user id
        user: UserId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        match self {
            Self::Add { id, user } => {
                let add = AddAccessor { user_id: user.clone() };
                cli.output.one::<MachineAccessor>(&client.post(&path(id), &add).await?)
            }
            Self::List { id, paging } => {
                let page = paging.fetch(client, &path(id), &ListAccessors::default()).await?;
                cli.output.list::<MachineAccessor>(&page)
            }
            Self::Remove { id, user, yes } => {
                confirm(*yes, &format!("take the access of {user} to {id}"))?;
                let answer = client.delete(&format!("{}/{user}", path(id))).await?;
                cli.output.one::<MachineAccessor>(&answer)
            }
        }
    }
}

fn path(machine: &MachineId) -> String {
    format!("{PATH}/{machine}/accessors")
}

impl Shown for MachineAccessor {
    const COLUMNS: &'static [&'static str] = &["USER", "EMAIL"];

    fn cells(&self) -> Vec<String> {
        vec![self.user.id.to_string(), self.user.email.clone()]
    }
}
