//! `deckle machine-event`: how long work on machines goes.

use anyhow::Result;
use clap::Subcommand;
use deckle_api::ids::{MachineEventId, MachineId};
use deckle_api::machine_events::{ListMachineEvents, MachineEvent, MachineEventDetail};

use crate::Cli;
use crate::lists::Paging;
use crate::output::{Shown, or_dash, view, word};
use crate::waiting;

const PATH: &str = "/v1/machine-events";

/// What can be asked of machine events.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists them
    List {
        /// Only events of this machine
        #[arg(long, value_name = "ID")]
        machine_id: Option<MachineId>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Shows one
    Get {
        /// Its id
        id: MachineEventId,
    },
    /// Shows what one waits for: the step, since when, what went wrong, when it is tried next
    Detail {
        /// Its id
        id: MachineEventId,
    },
    /// Waits for the end of one; fails where it fails
    Wait {
        /// Its id
        id: MachineEventId,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::List { machine_id, paging } => {
                let filters =
                    ListMachineEvents { machine_id: machine_id.clone(), ..ListMachineEvents::default() };
                cli.output.list::<MachineEvent>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Get { id } => cli.output.one::<MachineEvent>(&client.get(&format!("{PATH}/{id}")).await?),
            Self::Detail { id } => {
                let answer = client.get(&format!("{PATH}/{id}/detail")).await?;
                cli.output.one::<MachineEventDetail>(&answer)
            }
            Self::Wait { id } => {
                let event = view(&client.get(&format!("{PATH}/{id}")).await?)?;
                cli.output.one::<MachineEvent>(&waiting::wait(&client, &event).await?)
            }
        }
    }
}

impl Shown for MachineEvent {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "STATE", "MACHINE", "CREATED", "FINISHED", "ERROR"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            word(self.name),
            word(self.state),
            or_dash(self.machine_id.as_ref()),
            self.dt_created.to_string(),
            or_dash(self.dt_finished),
            or_dash(self.error.as_ref()),
        ]
    }
}

impl Shown for MachineEventDetail {
    const COLUMNS: &'static [&'static str] =
        &["ID", "STATE", "STEP", "SINCE", "LAST ERROR", "FAILED", "FAILURES", "NEXT TRY", "FINISHED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.event_id.to_string(),
            word(self.state),
            or_dash(self.step.as_ref()),
            or_dash(self.since),
            or_dash(self.last_error.as_ref()),
            or_dash(self.dt_last_error),
            self.failures.to_string(),
            or_dash(self.next_try),
            or_dash(self.dt_finished),
        ]
    }
}
