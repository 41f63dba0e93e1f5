//! Waits for the end of an event, and says how it goes.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use deckle_api::Timestamp;
use deckle_api::details::Detail;
use deckle_api::machine_events::{MachineEvent, MachineEventDetail, MachineEventName, MachineEventState};
use deckle_api::machines::Machine;
use serde_json::{Value, json};
use tokio::signal;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Cli;
use crate::client::{Client, Refused};
use crate::failure::Interrupted;
use crate::output::{self, Shown, view, word};
use crate::progress::{FRAME, Progress};
use crate::reasons::Reasons;

/// The pause after the first look at an event; it grows by half with each, up to the longest.
const LOOK_MS_FIRST: u64 = 50;
/// The longest pause between two looks.
const LOOK_MS_MAX: u64 = 2000;
/// How long a server may be away while something is waited for: it may be restarting.
const AWAY_SECONDS_MAX: u64 = 60;
/// How long something may be in the way of an object before nobody waits any longer.
const TROUBLE_SECONDS_MAX: u64 = 20;
/// How long anything is waited for.
const WAIT_SECONDS_MAX: u64 = 6 * 3600;

/// Whether a command returns before its work is done.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitFlags {
    /// Return at once: the answer then says what was ordered, not what came of it.
    #[arg(long)]
    no_wait: bool,
}

impl WaitFlags {
    /// Whether nothing is waited for.
    pub fn is_off(self) -> bool {
        self.no_wait
    }
}

/// Shows what was ordered of a machine, after its end unless told not to wait.
pub async fn finish(cli: &Cli, client: &Client, flags: WaitFlags, answer: Value) -> Result<()> {
    finish_of::<Machine>(cli, client, flags, "/v1/machines", answer).await
}

/// Shows what was ordered of an object of a noun, whose path is given, after its end unless told not to wait.
pub async fn finish_of<T: Shown>(
    cli: &Cli,
    client: &Client,
    flags: WaitFlags,
    path: &str,
    answer: Value,
) -> Result<()> {
    let event: MachineEvent = view(&answer["event"])?;
    if !waits(flags, &event) {
        return show::<T>(cli, &answer);
    }
    let event = wait(client, &event).await?;
    let id = answer["data"]["id"].as_str().unwrap_or_default();
    match client.get(&format!("{path}/{id}")).await {
        Ok(object) => show::<T>(cli, &json!({"event": event, "data": object})),
        // The last that is known of it is what the order answered.
        Err(error) if is_not_found(&error) => {
            let last = json!({"event": event, "data": answer["data"]});
            cli.output.gone(&last, &format!("{id} is deleted"))
        }
        Err(error) => Err(error),
    }
}

/// Whether an event is to be waited for. Where it is not, it is told how it can be.
pub fn waits(flags: WaitFlags, event: &MachineEvent) -> bool {
    if flags.no_wait {
        eprintln!("ordered; to wait for it: deckle machine-event wait {}", event.id);
    }
    !flags.no_wait
}

/// Shows what was changed, after the end of its event if it has one and unless told not to wait.
pub async fn finish_update(cli: &Cli, client: &Client, flags: WaitFlags, answer: Value) -> Result<()> {
    match answer.get("event") {
        Some(_) => finish(cli, client, flags, answer).await,
        None => show::<Machine>(cli, &answer),
    }
}

/// Waits until its host has an object as it is wanted, unless told not to: `path` is the object's.
pub async fn until_ready(client: &Client, flags: WaitFlags, path: &str, told: &str) -> Result<()> {
    if flags.no_wait {
        return Ok(());
    }
    tokio::select! {
        ready = watch_detail(client, path, told) => ready,
        _ = signal::ctrl_c() => {
            Err(Interrupted { hint: format!("the work on the {told} goes on") }.into())
        }
    }
}

/// What is in the way may pass: it is an error once it has stood for a while.
async fn watch_detail(client: &Client, path: &str, told: &str) -> Result<()> {
    let mut progress = Progress::begin();
    let headline = format!("waiting for the {told}");
    progress.say(&headline, "");
    let mut pause = LOOK_MS_FIRST;
    let mut troubled: Option<Instant> = None;
    let mut reasons = Reasons::default();
    loop {
        let detail: Detail = view(&look(client, &format!("{path}/detail")).await?)?;
        if detail.is_ready {
            return Ok(());
        }
        let trouble = detail.last_error.clone().unwrap_or_default();
        troubled = if trouble.is_empty() { None } else { troubled.or_else(|| Some(Instant::now())) };
        if troubled.is_some_and(|since| since.elapsed().as_secs() >= TROUBLE_SECONDS_MAX) {
            progress.clear();
            bail!("the {told} is not ready: {trouble}; it is tried again");
        }
        reasons.hear(detail, &progress);
        spin(&mut progress, &headline, &reasons, Duration::from_millis(pause)).await;
        pause = (pause * 3 / 2).min(LOOK_MS_MAX);
    }
}

fn show<T: Shown>(cli: &Cli, answer: &Value) -> Result<()> {
    match cli.output {
        output::Format::Json => output::print_json(answer),
        output::Format::Table => cli.output.one::<T>(&answer["data"]),
    }
}

/// Waits for an event's end, and answers the event as the API last showed it. One that did not succeed
/// is an error.
pub async fn wait(client: &Client, event: &MachineEvent) -> Result<Value> {
    let path = format!("/v1/machine-events/{}", event.id);
    let told = headline(event);
    tokio::select! {
        ended = watch(client, &path, &told) => ended,
        _ = signal::ctrl_c() => {
            let hint = format!("the work goes on; to look at it: deckle machine-event wait {}", event.id);
            Err(Interrupted { hint }.into())
        }
    }
}

async fn watch(client: &Client, path: &str, told: &str) -> Result<Value> {
    let begun = Instant::now();
    let mut progress = Progress::begin();
    let headline = format!("waiting for the {told}");
    progress.say(&headline, "");
    let mut reasons = Reasons::default();
    let mut pause = LOOK_MS_FIRST;
    while begun.elapsed() < Duration::from_secs(WAIT_SECONDS_MAX) {
        let answer = look(client, path).await?;
        let event: MachineEvent = view(&answer)?;
        if has_ended(&event) {
            progress.clear();
            return verdict(&event, told).map(|()| answer);
        }
        let detail: MachineEventDetail = view(&look(client, &format!("{path}/detail")).await?)?;
        if detail.step.is_some() {
            reasons.hear(detail, &progress);
        }
        spin(&mut progress, &headline, &reasons, Duration::from_millis(pause)).await;
        pause = (pause * 3 / 2).min(LOOK_MS_MAX);
    }
    bail!("the {told} has not ended in {} hours: see `deckle machine-event list`", WAIT_SECONDS_MAX / 3600)
}

/// A server that is away comes back: what it was told to do, it still knows.
pub async fn look(client: &Client, path: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        match client.get(path).await {
            Err(error) if !error.is::<Refused>() && begun.elapsed().as_secs() < AWAY_SECONDS_MAX => {
                sleep(Duration::from_millis(LOOK_MS_MAX)).await;
            }
            looked => return looked,
        }
    }
}

async fn spin(progress: &mut Progress, headline: &str, reasons: &Reasons, pause: Duration) {
    let end = sleep(pause);
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            _ = frames.tick() => progress.say(headline, &reasons.living(Timestamp::of_system_clock())),
        }
    }
}

fn verdict(event: &MachineEvent, told: &str) -> Result<()> {
    match event.state {
        MachineEventState::Error => {
            let why = event.error.as_deref().unwrap_or("the server does not say why");
            Err(anyhow!("the {told} failed: {why}"))
        }
        MachineEventState::Cancelled => {
            let why = event.error.as_deref().unwrap_or("another order took its place");
            Err(anyhow!("the {told} was cancelled: {why}"))
        }
        _ => Ok(()),
    }
}

/// What goes on, as the command line calls it: the wire says `deactivate` for a delete.
fn headline(event: &MachineEvent) -> String {
    let name = match event.name {
        MachineEventName::Deactivate => "delete".to_owned(),
        name => word(name),
    };
    match &event.machine_id {
        Some(machine) => format!("{name} of {machine}"),
        None => name,
    }
}

fn has_ended(event: &MachineEvent) -> bool {
    !matches!(event.state, MachineEventState::New | MachineEventState::InProgress)
}

/// Whether the server answered that there is no such object.
pub fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == "NOT_FOUND")
}
