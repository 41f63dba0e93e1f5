//! `deckle custom-template`: what a team makes of its machines' disks.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::custom_templates::{
    CreateCustomTemplate, CustomTemplate, CustomTemplateOrder, CustomTemplateOrdered, ListCustomTemplates,
    UpdateCustomTemplate,
};
use deckle_api::ids::{MachineId, TemplateId};
use serde_json::Value;

use super::confirm;
use crate::Cli;
use crate::client::Client;
use crate::lists::{Paging, by_id_or_name, one_of};
use crate::output::{Shown, items, view};
use crate::waiting::{self, WaitFlags};

const PATH: &str = "/v1/custom-templates";

/// What can be done with custom templates.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes one of a machine that is off: its whole disk, with its users and files
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// The machine's id; it stays off until the template is made
        #[arg(long, value_name = "ID")]
        machine_id: MachineId,
        #[command(flatten)]
        wait: WaitFlags,
    },
    /// Lists them
    List {
        /// Only templates whose name contains this, in any case
        #[arg(long)]
        name: Option<String>,
        /// Only those that were made of this machine
        #[arg(long, value_name = "ID")]
        machine_id: Option<MachineId>,
        /// What they are ordered by [default: dtCreated]
        #[arg(long, value_parser = one_of::<CustomTemplateOrder>(&["dtCreated", "name"]))]
        order_by: Option<CustomTemplateOrder>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one
    Get {
        /// Its id
        id: TemplateId,
    },
    /// Gives one another name
    Rename {
        /// Its id
        id: TemplateId,
        /// Its new name
        name: String,
    },
    /// Deletes one; machines that were made from it keep working
    Delete {
        /// Its id
        id: TemplateId,
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
            Self::Create { name, machine_id, wait } => {
                let create = CreateCustomTemplate { name: name.clone(), machine_id: machine_id.clone() };
                finish(cli, &client, *wait, client.post(PATH, &create).await?).await
            }
            Self::List { name, machine_id, order_by, paging } => {
                let filters = ListCustomTemplates {
                    name: name.clone(),
                    machine_id: machine_id.clone(),
                    order_by: *order_by,
                    ..ListCustomTemplates::default()
                };
                cli.output.list::<CustomTemplate>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<CustomTemplate>(&client.get(&format!("{PATH}/{id}")).await?),
            Self::Rename { id, name } => {
                let update = UpdateCustomTemplate { name: name.clone() };
                cli.output.one::<CustomTemplate>(&client.put(&format!("{PATH}/{id}"), &update).await?)
            }
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the template {id}"))?;
                cli.output.one::<CustomTemplate>(&client.delete(&format!("{PATH}/{id}")).await?)
            }
        }
    }
}

/// Shows the template that was ordered, after the end of its event unless told not to wait.
async fn finish(cli: &Cli, client: &Client, flags: WaitFlags, answer: Value) -> Result<()> {
    let CustomTemplateOrdered { event, data } = view(&answer)?;
    if waiting::waits(flags, &event) {
        waiting::wait(client, &event).await?;
    }
    cli.output.one::<CustomTemplate>(&client.get(&format!("{PATH}/{}", data.id)).await?)
}

/// The template of an id or of an exact name, where the team has one.
pub async fn find(client: &Client, wanted: &str) -> Result<Option<CustomTemplate>> {
    let all = Paging::everything().fetch(client, PATH, &ListCustomTemplates::default()).await?;
    let all = items(&all).iter().map(view::<CustomTemplate>).collect::<Result<Vec<_>>>()?;
    by_id_or_name(all, wanted, |template| (template.id.as_str(), &template.name))
}

impl Shown for CustomTemplate {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "OPERATING SYSTEM", "REGION", "DISK GB", "MACHINE", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.operating_system_label.clone(),
            self.region.0.clone(),
            self.default_size_gb.0.to_string(),
            self.parent_machine_id.to_string(),
            self.dt_created.to_string(),
        ]
    }
}
