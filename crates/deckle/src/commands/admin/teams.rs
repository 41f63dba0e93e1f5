//! `deckle admin team`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Subcommand;
use deckle_api::admin::{CreateTeam, SetLimits, SetSpendCap, SpendCap, Team};
use deckle_api::ids::TeamId;

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
    /// Sets what one may have at most, or lifts limits
    Limit {
        /// The team
        team: TeamId,
        /// What is counted, and how many there may be: machines, private-networks, public-ips, shared-drives,
        /// shared-drives-gb, custom-templates or gpus/MODEL; `none` lifts the limit
        #[arg(value_name = "NOUN=N|none", required = true, value_parser = limit)]
        limits: Vec<(String, Option<u64>)>,
    },
    /// Sets what one may spend in a calendar month before creates and starts are refused
    Cap {
        /// The team
        team: TeamId,
        /// What may be spent, in currency units, such as 99.50; `none` lifts the cap
        #[arg(value_name = "AMOUNT|none")]
        amount: String,
        /// The mail address of a member: the cap is for what that user has made
        #[arg(long, value_name = "EMAIL")]
        email: Option<String>,
    },
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
            Self::Limit { team, limits } => {
                let limits: BTreeMap<_, _> = limits.iter().cloned().collect();
                let answer = client.post(&format!("{PATH}/{team}/limits"), &SetLimits { limits }).await?;
                cli.output.one::<Team>(&answer)
            }
            Self::Cap { team, amount, email } => {
                let amount = Some(amount.clone()).filter(|amount| amount != "none");
                let cap = SetSpendCap { email: email.clone(), amount };
                cli.output.one::<Team>(&client.post(&format!("{PATH}/{team}/cap"), &cap).await?)
            }
            Self::List => cli.output.list::<Team>(&client.get(PATH).await?),
        }
    }
}

/// A limit as it is written: `machines=5`, `machines=none`.
fn limit(text: &str) -> Result<(String, Option<u64>), String> {
    let wrong = || format!("expected NOUN=N or NOUN=none, such as machines=5, found `{text}`");
    let (noun, most) = text.split_once('=').ok_or_else(wrong)?;
    let most = if most == "none" { None } else { Some(most.parse().map_err(|_| wrong())?) };
    Ok((noun.to_owned(), most))
}

/// A cap in a cell: `team 3.50 of 99.50`.
fn cap(cap: &SpendCap) -> String {
    format!("{} {} of {}", cap.email.as_deref().unwrap_or("team"), cap.spent, cap.amount)
}

impl Shown for Team {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "NAMESPACE", "MEMBERS", "LIMITS", "CAPS", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let members =
            self.members.iter().map(|one| format!("{} {} {}", one.user_id, one.email, one.role.word()));
        let limits = self.limits.iter().map(|one| format!("{} {} of {}", one.noun, one.in_use, one.most));
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.namespace.clone(),
            or_dash(members.reduce(|all, one| format!("{all}, {one}"))),
            or_dash(limits.reduce(|all, one| format!("{all}, {one}"))),
            or_dash(self.caps.iter().map(cap).reduce(|all, one| format!("{all}, {one}"))),
            self.dt_created.to_string(),
        ]
    }
}
