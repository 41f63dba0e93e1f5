//! `deckle os-template`: what machines are made from.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::os_templates::{ListOsTemplates, OsTemplate};

use crate::Cli;
use crate::client::Client;
use crate::lists::{Paging, by_id_or_name};
use crate::output::{Shown, items, or_dash, view};

/// What can be asked of templates of operating systems.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists them
    List {
        /// Only templates whose name contains this, in any case
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let Self::List { name, paging } = self;
        let filters = ListOsTemplates { name: name.clone(), ..ListOsTemplates::default() };
        let answer = paging.fetch(&cli.client()?, "/v1/os-templates", &filters).await?;
        cli.output.list::<OsTemplate>(&answer)
    }
}

/// The template of an id or of an exact name, where the list has one.
pub async fn find(client: &Client, wanted: &str) -> Result<Option<OsTemplate>> {
    let all = Paging::everything().fetch(client, "/v1/os-templates", &ListOsTemplates::default()).await?;
    let all = items(&all).iter().map(view::<OsTemplate>).collect::<Result<Vec<_>>>()?;
    by_id_or_name(all, wanted, |template| (template.id.as_str(), &template.name))
}

impl Shown for OsTemplate {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "OPERATING SYSTEM", "DISK GB", "AGENT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.operating_system_label.clone(),
            or_dash(self.default_size_gb.map(|size| size.0)),
            self.agent_type.clone(),
        ]
    }
}
