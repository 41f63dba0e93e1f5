//! `deckle startup-script`: what machines run as root at the end of their boot.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::StartupScriptId;
use deckle_api::startup_scripts::{
    CreateStartupScript, ListStartupScripts, StartupScript, StartupScriptOrder,
};

use super::text_of;
use crate::Cli;
use crate::lists::{Paging, one_of};
use crate::output::Shown;

const PATH: &str = "/v1/startup-scripts";

/// What can be done with startup scripts.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Saves one
    Create {
        /// Its name
        #[arg(long)]
        name: String,
        /// The file with its text; - for standard input
        #[arg(long, value_name = "FILE")]
        script_file: PathBuf,
        /// Each machine runs it once only
        #[arg(long)]
        run_once: bool,
    },
    /// Lists them
    List {
        /// Only scripts whose name contains this, in any case
        #[arg(long)]
        name: Option<String>,
        /// What they are ordered by [default: dtCreated]
        #[arg(long, value_parser = one_of::<StartupScriptOrder>(&["dtCreated", "name"]))]
        order_by: Option<StartupScriptOrder>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one; its text is never shown
    Get {
        /// Its id
        id: StartupScriptId,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Create { name, script_file, run_once } => {
                let create = CreateStartupScript {
                    name: name.clone(),
                    script: text_of(script_file)?,
                    is_run_once: run_once.then_some(true),
                };
                cli.output.one::<StartupScript>(&client.post(PATH, &create).await?)
            }
            Self::List { name, order_by, paging } => {
                let filters = ListStartupScripts {
                    name: name.clone(),
                    order_by: *order_by,
                    ..ListStartupScripts::default()
                };
                cli.output.list::<StartupScript>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<StartupScript>(&client.get(&format!("{PATH}/{id}")).await?),
        }
    }
}

impl Shown for StartupScript {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "ENABLED", "RUN ONCE", "MACHINES", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.is_enabled.to_string(),
            self.is_run_once.to_string(),
            self.assigned_machine_ids.len().to_string(),
            self.dt_created.to_string(),
        ]
    }
}
