//! Virtual machines: one QEMU process each, that outlives the server.
//!
//! ```text
//!            power_on                 the guest shuts down
//!   Off ───────────────────▶ On ───────────────────────────▶ Halted
//!    ▲                      │  ▲                                │
//!    │                 full │  │ room again                     │
//!    │                      ▼  │                                │
//!    │                    Stalled                               │
//!    └──────────── cut_power, kill -9, a crash ─────────────────┘
//! ```
//!
//! **Invariants**: a machine has at most one QEMU, because its disk takes one writer. QEMU runs as the
//! machine's own user, in its sandbox, with the descriptors of its port and its two sockets and no others.
//! What is true of a machine is asked of the live process each time.

mod agent;
pub mod arguments;
mod cgroup;
mod console;
mod desktop;
mod lines;
#[cfg(test)]
mod peer;
mod qmp;
pub mod running;
mod snapshots;
mod start;

use std::net::SocketAddr;
use std::time::Duration;

use deckle_api::ids::MachineId;
use serde_json::json;

pub use arguments::SANDBOX;
pub use cgroup::Cgroups;
pub use desktop::check as check_desktops;
pub use start::QEMU;

use super::Settings;
use super::disk::free_bytes;
use super::folder::Folder;
use super::paths::Paths;
use super::process::Process;
use crate::error::{Error, Result};
use crate::pci::PciAddress;
use crate::script_run;
use crate::seen::{Acceleration, AgentSeen, ConsoleChunk, Power, ScriptRunSeen};
use desktop::Doors;
use lines::Broken;
use qmp::{ANSWER_MAX, Qmp, RunState};
use running::Running;

/// How long a QEMU that does not talk may take to be gone, before it is taken for one that hangs.
const ENDS_MAX: Duration = Duration::from_secs(1);
/// Free bytes from which on a guest that waits for room goes on.
const ROOM_TO_GO_ON: u64 = 64 << 20;

/// The virtual machines of an installation.
#[derive(Debug)]
pub struct Vms {
    paths: Paths,
    acceleration: Acceleration,
    cgroups: Cgroups,
    doors: Doors,
}

/// A virtual machine as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VmSeen {
    /// Its power.
    pub power: Power,
    /// The agent in its guest.
    pub agent: AgentSeen,
    /// Where its desktop is reached.
    pub desktop: Option<SocketAddr>,
    /// Its process, unless it is off.
    pub process: Option<Process>,
}

impl Vms {
    /// Those that lie at `paths`, to be run as the probe has found.
    pub fn new(paths: Paths, settings: &Settings, acceleration: Acceleration) -> Self {
        let cgroups = Cgroups::of(&paths);
        Self { paths, acceleration, cgroups, doors: Doors::new(settings) }
    }

    /// How guests run.
    pub fn acceleration(&self) -> &Acceleration {
        &self.acceleration
    }

    /// A machine's power, its agent and its desktop. A guest that waits for room is sent on its way when there
    /// is some, and one that was left held still by a snapshot is let go.
    pub async fn look(&self, machine: &MachineId) -> Result<VmSeen> {
        let folder = Folder::of(&self.paths, machine);
        for log in [folder.serial_log(), folder.qemu_log()] {
            if let Err(error) = console::trim(&log) {
                tracing::warn!(machine.id = %machine, %error, "a log cannot be trimmed");
            }
        }
        let act = || format!("ask QEMU how {machine} is");
        let found = Running::find(&folder).map_err(|error| Error::passing(act(), error))?;
        let Some(running) = found else { return Ok(VmSeen::default()) };
        match self.ask(&folder, &running).await {
            Ok(seen) if seen.power == Power::Off => Ok(seen),
            Ok(seen) => Ok(VmSeen { process: Some(running.process), ..seen }),
            // A process that hangs up is ending; it holds its disk a moment longer.
            Err(_) if running.process.wait(ENDS_MAX).await.is_ok() => Ok(VmSeen::default()),
            Err(error) => Err(Error::passing(act(), error)),
        }
    }

    /// The GPUs that a machine's QEMU has; none while it is off.
    pub fn gpus(&self, machine: &MachineId) -> Result<Vec<PciAddress>> {
        let found = Running::find(&Folder::of(&self.paths, machine));
        let found = found.map_err(|error| Error::passing(format!("look at QEMU of {machine}"), error))?;
        Ok(found.map(|running| running.gpus).unwrap_or_default())
    }

    async fn ask(&self, folder: &Folder, running: &Running) -> std::result::Result<VmSeen, Broken> {
        let Running { boot, since, .. } = *running;
        let mut qmp = Qmp::open(&folder.qmp(), ANSWER_MAX).await?;
        let mut state = qmp.run_state().await?;
        if state == RunState::IoError && free_bytes(folder.path())? >= ROOM_TO_GO_ON {
            qmp.ask("cont", json!({})).await?;
            state = qmp.run_state().await?;
        }
        let power = match state {
            RunState::Prelaunch => return Ok(VmSeen::default()),
            RunState::Shutdown | RunState::InternalError => Power::Halted { boot },
            RunState::IoError => Power::Stalled { boot },
            RunState::Running => Power::On { boot, since },
        };
        if let Power::Halted { .. } = power {
            return Ok(VmSeen { power, ..VmSeen::default() });
        }
        let desktop = desktop::look(&mut qmp).await?;
        let agent = match power {
            Power::On { .. } if qmp.is_open("agent").await? => {
                snapshots::let_go_if_held(folder).await;
                agent::look(&folder.agent(), sync()).await
            }
            _ => AgentSeen::Absent,
        };
        Ok(VmSeen { power, agent, desktop, process: None })
    }

    /// Asks the guest to shut down; a machine that is off has nothing to ask.
    pub async fn press_power_button(&self, machine: &MachineId) -> Result<()> {
        let folder = Folder::of(&self.paths, machine);
        let act = || format!("press the power button of {machine}");
        if Running::find(&folder).map_err(|error| Error::passing(act(), error))?.is_none() {
            return Ok(());
        }
        let pressed =
            async { Qmp::open(&folder.qmp(), ANSWER_MAX).await?.ask("system_powerdown", json!({})).await };
        pressed.await.map(|_| ()).map_err(|error| Error::passing(act(), error))
    }

    /// Cuts a machine's power. When it returns, the process is gone.
    pub async fn cut_power(&self, machine: &MachineId) -> Result<()> {
        let folder = Folder::of(&self.paths, machine);
        let failed = |error| Error::passing(format!("cut the power of {machine}"), error);
        while let Some(running) = Running::find_anyhow(&folder).map_err(failed)? {
            running.end(&folder).await.map_err(failed)?;
        }
        self.cgroups.release(machine);
        Ok(())
    }

    /// A piece of a machine's serial log.
    pub async fn read_console(
        &self,
        machine: &MachineId,
        from: u64,
        bytes_max: usize,
    ) -> Result<ConsoleChunk> {
        let log = Folder::of(&self.paths, machine).serial_log();
        let chunk = console::trim(&log).and_then(|()| console::read(&log, from, bytes_max));
        chunk.map_err(|error| Error::passing(format!("read the serial log of {machine}"), error))
    }

    /// The last run of a startup script that a machine's serial log tells of.
    pub async fn read_script_run(&self, machine: &MachineId) -> Result<Option<ScriptRunSeen>> {
        let log = self.read_console(machine, 0, usize::MAX).await?;
        Ok(script_run::last(&log.bytes))
    }
}

/// A number that an earlier caller of an agent has not used.
fn sync() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.subsec_nanos() ^ since.as_secs() as u32) & 0x7fff_ffff
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::specs::{BootSpec, HostNetwork, Mac, NicSpec, SeedSpec};

    /// What a machine is started with in tests.
    pub(crate) fn boot_spec(boot: u64) -> BootSpec {
        let machine = MachineId::mint(1);
        let nic = NicSpec {
            machine: machine.clone(),
            network: HostNetwork::Own(machine.clone()),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            ip: "10.64.0.10".parse().unwrap(),
            names: Vec::new(),
        };
        let seed = SeedSpec { hostname: "one".into(), authorized_keys: Vec::new(), startup_script: None };
        BootSpec { machine, boot, vcpus: 2, ram_bytes: 1 << 30, gpus: Vec::new(), nic, seed, desktop: None }
    }
}
