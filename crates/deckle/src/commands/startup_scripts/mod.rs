//! `deckle startup-script`: what machines run as root at the end of their boot.

mod runs;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::{MachineId, StartupScriptId};
use deckle_api::startup_scripts::{
    AssignStartupScript, CreateStartupScript, ListStartupScripts, StartupScript, StartupScriptOrder,
    UpdateStartupScript,
};

use super::{confirm, text_of};
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
    /// Changes one; machines take it up at their next start
    Update {
        /// Its id
        id: StartupScriptId,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        /// The file with its new text; - for standard input
        #[arg(long, value_name = "FILE")]
        script_file: Option<PathBuf>,
        /// Whether each machine runs it once only
        #[arg(long, value_name = "BOOL")]
        run_once: Option<bool>,
        /// Whether machines run it at all
        #[arg(long, value_name = "BOOL")]
        enabled: Option<bool>,
    },
    /// Deletes one and takes it from its machines
    Delete {
        /// Its id
        id: StartupScriptId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Gives a machine one in place of the one that it may have, from its next start on
    Assign {
        /// Its id
        id: StartupScriptId,
        /// The machine's id
        machine_id: MachineId,
    },
    /// Takes one from a machine, from its next start on
    Unassign {
        /// Its id
        id: StartupScriptId,
        /// The machine's id
        machine_id: MachineId,
    },
    /// Lists its last runs: where, when, and what it ended with
    Runs(runs::Runs),
    /// Prints the end of what it printed when a machine last ran it
    Output(runs::Output),
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
            Self::Update { id, name, script_file, run_once, enabled } => {
                let update = UpdateStartupScript {
                    name: name.clone(),
                    script: script_file.as_deref().map(text_of).transpose()?,
                    is_run_once: *run_once,
                    is_enabled: *enabled,
                };
                cli.output.one::<StartupScript>(&client.put(&format!("{PATH}/{id}"), &update).await?)
            }
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the startup script {id} and take it from its machines"))?;
                cli.output.one::<StartupScript>(&client.delete(&format!("{PATH}/{id}")).await?)
            }
            Self::Assign { id, machine_id } => {
                let body = AssignStartupScript { machine_id: machine_id.clone() };
                cli.output.one::<StartupScript>(&client.post(&format!("{PATH}/{id}/assign"), &body).await?)
            }
            Self::Unassign { id, machine_id } => {
                let body = AssignStartupScript { machine_id: machine_id.clone() };
                cli.output.one::<StartupScript>(&client.post(&format!("{PATH}/{id}/unassign"), &body).await?)
            }
            Self::Runs(runs) => runs.run(cli, &client).await,
            Self::Output(output) => output.run(cli, &client).await,
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
