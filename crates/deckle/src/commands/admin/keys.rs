//! `deckle admin key`: API keys. The text of a key is shown once, when it is made.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::admin::{ApiKey, CreateApiKey};
use deckle_api::ids::{ApiKeyId, TeamId};

use crate::Cli;
use crate::client::Client;
use crate::commands::confirm;
use crate::output::Shown;

const PATH: &str = "/admin/keys";

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes one, and shows it: it is never shown again
    Create {
        /// The team that it acts for
        #[arg(long, value_name = "ID")]
        team: TeamId,
        /// The mail address of the member that it acts as
        #[arg(long)]
        email: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do, such as read:all,write:vm [default: everything]
        #[arg(long, value_name = "SCOPE,…", value_delimiter = ',')]
        scopes: Vec<String>,
    },
    /// Lists them, without their texts
    List,
    /// Deletes one: requests with it are refused from then on
    Delete {
        /// Its id
        id: ApiKeyId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        match self {
            Self::Create { team, email, name, scopes } => {
                let create = CreateApiKey {
                    team_id: team.clone(),
                    email: email.clone(),
                    name: name.clone(),
                    scopes: (!scopes.is_empty()).then(|| scopes.clone()),
                };
                cli.output.one::<ApiKey>(&client.post(PATH, &create).await?)
            }
            Self::List => cli.output.list::<ApiKey>(&client.get(PATH).await?),
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the API key {id}"))?;
                let answer = client.delete(&format!("{PATH}/{id}")).await?;
                cli.output.gone(&answer, &format!("{id} is deleted"))
            }
        }
    }
}

impl Shown for ApiKey {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "TEAM", "USER", "SCOPES", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let scopes = if self.scopes.is_empty() { "all".to_owned() } else { self.scopes.join(" ") };
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.team_id.to_string(),
            self.user_id.to_string(),
            scopes,
            self.dt_created.to_string(),
        ]
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let facts = Self::COLUMNS.iter().copied().zip(self.cells());
        facts.chain(self.key.clone().map(|key| ("KEY", key))).collect()
    }
}
