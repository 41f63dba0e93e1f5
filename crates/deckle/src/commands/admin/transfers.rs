//! `deckle admin export` and `deckle admin import`: a machine's disk, or a shared drive, as a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use deckle_api::ids::{MachineId, SharedDriveId};
use deckle_api::transfers::{Export, Import, Transfer, TransferAct, TransferState};
use serde_json::Value;
use tokio::signal;
use tokio::time::sleep;

use crate::Cli;
use crate::client::Client;
use crate::commands::confirm;
use crate::failure::Interrupted;
use crate::output::{Shown, or_dash, size, view};
use crate::progress::Progress;
use crate::waiting::{WaitFlags, is_not_found, look};

const PATH: &str = "/admin/transfers";
/// The pause after the first look; it grows by half with each, up to the longest.
const LOOK_MS_FIRST: u64 = 50;
/// The longest pause between two looks.
const LOOK_MS_MAX: u64 = 1000;

/// What becomes a file.
#[derive(Debug, Subcommand)]
pub enum ExportVerb {
    /// Copies a machine's disk to a qcow2 file that needs nothing else; the machine may be on
    Machine(ExportOf<MachineId>),
    /// Copies a shared drive to a raw image of its file system; it may be in use
    SharedDrive(ExportOf<SharedDriveId>),
}

/// What is replaced by what a file holds.
#[derive(Debug, Subcommand)]
pub enum ImportVerb {
    /// Replaces the disk of a machine that is off and has no snapshots
    Machine(ImportOf<MachineId>),
    /// Replaces all that a shared drive holds; its clients wait for a moment and come again
    SharedDrive(ImportOf<SharedDriveId>),
}

/// What can be done with exports and imports.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lists those since the server's start, and how far they are
    List,
}

/// What an argument can be: an id.
pub trait Named:
    std::str::FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static
{
}

impl Named for MachineId {}

impl Named for SharedDriveId {}

/// An export of one thing.
#[derive(Debug, Args)]
pub struct ExportOf<Id: Named> {
    /// Its id
    id: Id,
    /// The file, on the server's host
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitFlags,
}

/// An import of one thing.
#[derive(Debug, Args)]
pub struct ImportOf<Id: Named> {
    /// Its id
    id: Id,
    /// The file, on the server's host
    file: PathBuf,
    /// Do not ask: all that was there before is lost
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    wait: WaitFlags,
}

impl ExportVerb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let (machine_id, shared_drive_id, file, force, wait) = match self {
            Self::Machine(ExportOf { id, file, force, wait }) => {
                (Some(id.clone()), None, file, *force, *wait)
            }
            Self::SharedDrive(ExportOf { id, file, force, wait }) => {
                (None, Some(id.clone()), file, *force, *wait)
            }
        };
        let export =
            Export { machine_id, shared_drive_id, file: absolute(file)?, replace: force.then_some(true) };
        finish(cli, client, wait, client.post("/admin/exports", &export).await?).await
    }
}

impl ImportVerb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let (machine_id, shared_drive_id, file, yes, wait) = match self {
            Self::Machine(ImportOf { id, file, yes, wait }) => (Some(id.clone()), None, file, *yes, *wait),
            Self::SharedDrive(ImportOf { id, file, yes, wait }) => {
                (None, Some(id.clone()), file, *yes, *wait)
            }
        };
        let of = match (&machine_id, &shared_drive_id) {
            (Some(id), _) => format!("the disk of the machine {id}"),
            (None, id) => format!("all that the shared drive {} holds", or_dash(id.as_ref())),
        };
        confirm(yes, &format!("replace {of}, which is lost, by {}", file.display()))?;
        let import = Import { machine_id, shared_drive_id, file: absolute(file)? };
        finish(cli, client, wait, client.post("/admin/imports", &import).await?).await
    }
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli, client: &Client) -> Result<()> {
        let Self::List = self;
        cli.output.list::<Transfer>(&client.get(PATH).await?)
    }
}

/// The server may run in another folder.
fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).with_context(|| format!("find {}", file.display()))
}

async fn finish(cli: &Cli, client: &Client, flags: WaitFlags, answer: Value) -> Result<()> {
    if flags.is_off() {
        eprintln!("ordered; to see how far it is: deckle admin transfer list");
        return cli.output.one::<Transfer>(&answer);
    }
    let ended = tokio::select! {
        ended = watch(client, view(&answer)?) => ended?,
        _ = signal::ctrl_c() => {
            let hint = "it goes on; to see how far it is: deckle admin transfer list".to_owned();
            return Err(Interrupted { hint }.into());
        }
    };
    let transfer: Transfer = view(&ended)?;
    match transfer.state {
        TransferState::Error => {
            bail!("{}", transfer.error.unwrap_or_else(|| "the server does not say why".to_owned()))
        }
        _ => cli.output.one::<Transfer>(&ended),
    }
}

/// Waits for the end, and says how far it is.
async fn watch(client: &Client, ordered: Transfer) -> Result<Value> {
    let path = format!("{PATH}/{}", ordered.id);
    let headline = headline(&ordered);
    let mut progress = Progress::begin();
    progress.say(&headline, "");
    let mut pause = LOOK_MS_FIRST;
    loop {
        let answer = match look(client, &path).await {
            Err(error) if is_not_found(&error) => {
                bail!(
                    "the server has started anew meanwhile, and the {} was cut off: nothing was changed unless it was at its very end; look, and try again",
                    ordered.act.word()
                )
            }
            answer => answer?,
        };
        let transfer: Transfer = view(&answer)?;
        if matches!(transfer.state, TransferState::Done | TransferState::Error) {
            return Ok(answer);
        }
        progress.say(&headline, &how_far(&transfer));
        sleep(Duration::from_millis(pause)).await;
        pause = (pause * 3 / 2).min(LOOK_MS_MAX);
    }
}

fn headline(transfer: &Transfer) -> String {
    let (of, file) = (of(transfer), transfer.file.display());
    match transfer.act {
        TransferAct::Export => format!("exporting {of} to {file}"),
        TransferAct::Import => format!("importing {file} into {of}"),
    }
}

fn of(transfer: &Transfer) -> String {
    let machine = transfer.machine_id.as_ref().map(ToString::to_string);
    or_dash(machine.or_else(|| transfer.shared_drive_id.as_ref().map(ToString::to_string)))
}

fn how_far(transfer: &Transfer) -> String {
    match (transfer.done_bytes, transfer.total_bytes) {
        (Some(done), Some(total)) => format!("{} of at most {}", size(done), size(total)),
        _ => transfer.state.word().to_owned(),
    }
}

impl Shown for Transfer {
    const COLUMNS: &'static [&'static str] =
        &["ID", "ACT", "OF", "FILE", "STATE", "COPIED", "STARTED", "ERROR"];

    fn cells(&self) -> Vec<String> {
        let copied = self.done_bytes.map(|_| how_far(self));
        vec![
            self.id.to_string(),
            self.act.word().to_owned(),
            of(self),
            self.file.display().to_string(),
            self.state.word().to_owned(),
            or_dash(copied),
            self.dt_created.to_string(),
            or_dash(self.error.as_ref()),
        ]
    }
}
