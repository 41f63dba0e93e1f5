//! `deckle admin template`: images that are taken in as templates.

mod catalogue;
mod checksum;
mod download;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use deckle_api::admin::{ImportTemplate, Template};
use deckle_api::ids::TemplateId;
use deckle_api::os_templates::AgentType;

use crate::Cli;
use crate::client::Client;
use crate::commands::confirm;
use crate::output::{Shown, items, size, view};
use crate::progress::Progress;
use catalogue::Catalogue;

const PATH: &str = "/admin/templates";

/// What can be done with templates.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Takes in an image file: qcow2, raw, or another kind that qemu-img reads
    Import {
        /// The file, on the server's host
        file: PathBuf,
        /// Its name
        #[arg(long)]
        name: String,
        /// Its operating system, in words [default: the name]
        #[arg(long)]
        label: Option<String>,
        /// Its id [default: a new one]
        #[arg(long)]
        id: Option<TemplateId>,
        /// Its guests have no QEMU agent: a machine is ready as soon as it has its address
        #[arg(long)]
        no_agent: bool,
        /// Its machines have a desktop, reached by VNC
        #[arg(long)]
        desktop: bool,
    },
    /// Lists them
    List,
    /// Deletes one; machines made from it keep working
    Delete {
        /// Its id
        id: TemplateId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Downloads a well-known image, checks it, and takes it in; without a name, lists what there is
    Fetch {
        /// Its name in the catalogue
        name: Option<String>,
        /// A catalogue of your own instead of the one inside
        #[arg(long, value_name = "FILE")]
        catalogue: Option<PathBuf>,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client, state: &Path) -> Result<()> {
        match self {
            Self::Import { file, name, label, id, no_agent, desktop } => {
                let file = fs::canonicalize(file).with_context(|| format!("find {}", file.display()))?;
                let import = ImportTemplate {
                    file,
                    name: name.clone(),
                    operating_system_label: label.clone(),
                    id: id.clone(),
                    has_agent: no_agent.then_some(false),
                    agent_type: desktop.then_some(AgentType::LinuxDesktop),
                };
                take_in(cli, client, &import).await
            }
            Self::List => cli.output.list::<Template>(&client.get(PATH).await?),
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the template {id}"))?;
                let answer = client.delete(&format!("{PATH}/{id}")).await?;
                cli.output.gone(&answer, &format!("{id} is deleted"))
            }
            Self::Fetch { name, catalogue } => {
                let catalogue = catalogue.as_deref().map_or_else(Catalogue::built_in, Catalogue::read)?;
                let Some(name) = name else { return catalogue.print(cli.output) };
                let image = catalogue.find(name)?;
                refuse_second(client, &image.name).await?;
                let file = download::fetch(image, &state.join("downloads")).await?;
                take_in(cli, client, &image.import(file)).await
            }
        }
    }
}

/// Asked before the download, which also finds out early that no server is there to take it in.
async fn refuse_second(client: &Client, name: &str) -> Result<()> {
    for there in items(&client.get(PATH).await?) {
        let template = view::<Template>(there)?.template;
        if template.name == name {
            let id = template.id;
            bail!(
                "there is a template called {name:?} already: deckle admin template delete {id} makes room for it"
            );
        }
    }
    Ok(())
}

async fn take_in(cli: &Cli, client: &Client, import: &ImportTemplate) -> Result<()> {
    let mut progress = Progress::begin();
    progress.say(&format!("taking in {}", import.file.display()), "");
    let answer = client.post(PATH, import).await?;
    progress.clear();
    cli.output.one::<Template>(&answer)
}

impl Shown for Template {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "OPERATING SYSTEM", "SIZE", "AGENT", "AGENT TYPE", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.template.id.to_string(),
            self.template.name.clone(),
            self.template.operating_system_label.clone(),
            size(self.size_bytes),
            if self.has_agent { "yes" } else { "no" }.to_owned(),
            self.template.agent_type.clone(),
            self.template.dt_created.to_string(),
        ]
    }
}
