//! `deckle admin member`: who is in a team, and as what.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::admin::{Member, Role, SetMember};
use deckle_api::ids::{TeamId, UserId};

use super::teams;
use crate::Cli;
use crate::client::Client;
use crate::commands::confirm;
use crate::lists::one_of;
use crate::output::Shown;

/// What can be done with members.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Puts a user into a team, or gives one another role
    Set {
        /// The team
        team: TeamId,
        /// The user's mail address; a new user is made for a new one
        #[arg(long)]
        email: String,
        /// What the user may do
        #[arg(long, value_parser = one_of::<Role>(&["member", "admin"]))]
        role: Role,
    },
    /// Takes a user out of a team
    Remove {
        /// The team
        team: TeamId,
        /// The user
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
            Self::Set { team, email, role } => {
                let member = SetMember { email: email.clone(), role: *role };
                let answer = client.post(&format!("{}/{team}/members", teams::PATH), &member).await?;
                cli.output.one::<Member>(&answer)
            }
            Self::Remove { team, user, yes } => {
                confirm(*yes, &format!("take {user} out of {team}"))?;
                let answer = client.delete(&format!("{}/{team}/members/{user}", teams::PATH)).await?;
                cli.output.gone(&answer, &format!("{user} is out of {team}"))
            }
        }
    }
}

impl Shown for Member {
    const COLUMNS: &'static [&'static str] = &["USER", "EMAIL", "ROLE"];

    fn cells(&self) -> Vec<String> {
        vec![self.user_id.to_string(), self.email.clone(), self.role.word().to_owned()]
    }
}
