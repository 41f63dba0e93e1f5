//! `deckle startup-script runs` and `output`: what came of a script on machines.

use anyhow::{Result, bail};
use clap::Args;
use deckle_api::ids::{MachineId, StartupScriptId};
use deckle_api::paging::Limit;
use deckle_api::startup_scripts::{ListStartupScriptRuns, StartupScriptRun};

use super::PATH;
use crate::Cli;
use crate::client::Client;
use crate::lists::Paging;
use crate::output::{self, Format, Shown, or_dash, view};

/// The longest last line that a table shows, in characters.
const LINE_CHARS_MAX: usize = 60;

/// Which runs.
#[derive(Debug, Args)]
pub struct Runs {
    /// The script's id
    id: StartupScriptId,
    /// Only runs on this machine
    #[arg(long)]
    machine_id: Option<MachineId>,
    #[command(flatten)]
    paging: Paging,
}

/// The output of one run.
#[derive(Debug, Args)]
pub struct Output {
    /// The script's id
    id: StartupScriptId,
    /// The machine's id
    machine_id: MachineId,
}

impl Runs {
    /// Lists them.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let filters =
            ListStartupScriptRuns { machine_id: self.machine_id.clone(), ..ListStartupScriptRuns::default() };
        let page = self.paging.fetch(client, &format!("{PATH}/{}/runs", self.id), &filters).await?;
        cli.output.list::<StartupScriptRun>(&page)
    }
}

impl Output {
    /// Prints what the last run on the machine printed.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let filters = ListStartupScriptRuns {
            machine_id: Some(self.machine_id.clone()),
            limit: Limit::new(1),
            ..ListStartupScriptRuns::default()
        };
        let path = format!("{PATH}/{}/runs", self.id);
        let page = Paging::default().fetch(client, &path, &filters).await?;
        let Some(last) = output::items(&page).first() else {
            bail!("{} has not been started with {} yet", self.machine_id, self.id);
        };
        if cli.output == Format::Json {
            return output::print_json(last);
        }
        let run: StartupScriptRun = view(last)?;
        output::print(run.output.as_deref().unwrap_or_default())?;
        match (run.exit_status, run.output) {
            (Some(status), _) => eprintln!("it ended with the exit status {status}"),
            (None, Some(_)) => eprintln!("it runs still, or its end was not seen"),
            (None, None) => {
                eprintln!(
                    "its beginning was not seen: the machine's guest may not be up yet, or its image does not tell"
                );
            }
        }
        Ok(())
    }
}

impl Shown for StartupScriptRun {
    const COLUMNS: &'static [&'static str] =
        &["MACHINE", "BOOT", "EXIT STATUS", "STARTED", "ENDED", "LAST LINE"];

    fn cells(&self) -> Vec<String> {
        let lines = self.output.as_deref().unwrap_or_default().lines();
        let last = lines.rev().find(|line| !line.trim().is_empty());
        vec![
            self.machine_id.to_string(),
            self.boot.to_string(),
            or_dash(self.exit_status),
            self.dt_created.to_string(),
            or_dash(self.dt_finished),
            or_dash(last.map(|line| line.chars().take(LINE_CHARS_MAX).collect::<String>())),
        ]
    }
}
