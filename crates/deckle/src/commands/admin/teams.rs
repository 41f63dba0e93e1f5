//! `deckle admin team`.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::admin::{CreateTeam, Team};

use crate::Cli;
use crate::client::Client;
use crate::output::{Shown, or_dash};

/// Where teams are.
pub const PATH: &str = "/admin/teams";

/// What can be done with teams.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes one, with its owner
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// The owner's mail address; a user that has it already becomes the owner
        #[arg(long, value_name = "EMAIL")]
        owner_email: String,
        /// Its name in addresses [default: made from the name]
        #[arg(long)]
        namespace: Option<String>,
    },
    /// Lists them
    List,
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        match self {
            Self::Create { name, owner_email, namespace } => {
                let create = CreateTeam {
                    name: name.clone(),
                    namespace: namespace.clone(),
                    owner_email: owner_email.clone(),
                };
                cli.output.one::<Team>(&client.post(PATH, &create).await?)
            }
            Self::List => cli.output.list::<Team>(&client.get(PATH).await?),
        }
    }
}

impl Shown for Team {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "NAMESPACE", "MEMBERS", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let members =
            self.members.iter().map(|one| format!("{} {} {}", one.user_id, one.email, one.role.word()));
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.namespace.clone(),
            or_dash(members.reduce(|all, one| format!("{all}, {one}"))),
            self.dt_created.to_string(),
        ]
    }
}
