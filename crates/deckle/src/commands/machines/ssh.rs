//! `deckle machine ssh`: the host's own `ssh`, pointed at a machine.
//!
//! Host keys are remembered by the machine's id (`HostKeyAlias`): addresses go from machine to machine,
//! ids do not.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use deckle_api::ids::MachineId;
use deckle_api::machines::{Machine, MachineState};
use tokio::time::sleep;

use crate::client::Client;
use crate::output::view;
use crate::progress::Progress;

/// Who logs in.
const USER: &str = "paperspace";
/// How long a machine may take until it is ready.
const READY_SECONDS_MAX: u64 = 15 * 60;
/// The pause between two looks at it.
const LOOK_MS: u64 = 1000;
/// How long `ssh` tries to connect: a private address may lead nowhere from here.
const CONNECT_SECONDS_MAX: u64 = 15;

/// A login to one machine.
#[derive(Debug, Args)]
pub struct Ssh {
    /// Its id
    id: MachineId,
    /// Wait until it is ready
    #[arg(long)]
    wait: bool,
    /// What ssh gets after the address: options of its own, or a command
    #[arg(last = true)]
    args: Vec<String>,
}

impl Ssh {
    /// Becomes `ssh`.
    pub async fn run(&self, client: &Client) -> Result<()> {
        let machine = if self.wait { self.ready(client).await? } else { self.look(client).await? };
        let address = address(&machine)?;
        let error = Command::new("ssh")
            .args(["-o", &format!("HostKeyAlias={}", machine.id)])
            .args(["-o", "StrictHostKeyChecking=accept-new"])
            .args(["-o", &format!("ConnectTimeout={CONNECT_SECONDS_MAX}")])
            .arg(format!("{USER}@{address}"))
            .args(&self.args)
            .exec();
        Err(anyhow!(error).context("start ssh: is the package openssh-client installed?"))
    }

    async fn look(&self, client: &Client) -> Result<Machine> {
        view(&client.get(&format!("{}/{}", super::PATH, self.id)).await?)
    }

    async fn ready(&self, client: &Client) -> Result<Machine> {
        let begun = Instant::now();
        let mut progress = Progress::begin();
        loop {
            let machine = self.look(client).await?;
            match machine.state {
                MachineState::Ready => return Ok(machine),
                MachineState::Off => bail!(off(&machine.id)),
                _ if begun.elapsed().as_secs() >= READY_SECONDS_MAX => {
                    bail!("{} is still {} after {READY_SECONDS_MAX} s", machine.id, machine.state.word())
                }
                state => progress.say(&format!("waiting for {}", machine.id), state.word()),
            }
            sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

fn address(machine: &Machine) -> Result<&str> {
    let id = &machine.id;
    if machine.state == MachineState::Off {
        bail!(off(id));
    }
    if let Some(public) = &machine.public_ip {
        return Ok(public);
    }
    let private = machine.private_ip.as_deref();
    let private =
        private.with_context(|| format!("{id} has no address yet: --wait waits until it is ready"))?;
    eprintln!("{id} has no public address; trying {private}, which answers inside its network alone");
    eprintln!(
        "hint: `deckle machine create --public-ip-type dynamic` makes one that is reached from outside"
    );
    Ok(private)
}

fn off(id: &MachineId) -> String {
    format!("{id} is off: deckle machine start {id}")
}
