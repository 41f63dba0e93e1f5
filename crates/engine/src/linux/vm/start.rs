//! Starting a machine's QEMU.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::arguments::{self, Descriptors};
use super::lines::Broken;
use super::qmp::Qmp;
use super::running::{RunFile, Running, clear, writer};
use super::{Vms, console, desktop};
use crate::error::{Error, Result};
use crate::linux::acceleration;
use crate::linux::command::{self, Failure};
use crate::linux::disk::{self, absent_ok, header, unclosed};
use crate::linux::folder::Folder;
use crate::linux::process::Process;
use crate::linux::seed;
use crate::pci::PciAddress;
use crate::specs::BootSpec;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";
/// What QEMU with GPUs may keep in memory beside the guest's own, in bytes: the kernel counts what devices
/// write to.
const PINNED_BESIDE_RAM: u64 = 1 << 30;
/// How long QEMU without GPUs may take from its start to its first answer.
const START_MAX: Duration = Duration::from_secs(30);

impl Vms {
    /// Starts a machine without GPUs on its disk and that port, unless its QEMU lives.
    pub async fn power_on(&self, spec: &BootSpec, tap: OwnedFd) -> Result<()> {
        self.power_on_with(spec, tap, &[]).await
    }

    /// The same, with GPUs: the functions of each, which are its QEMU's to open.
    pub async fn power_on_with(&self, spec: &BootSpec, tap: OwnedFd, gpus: &[Vec<PciAddress>]) -> Result<()> {
        let machine = &spec.machine;
        let folder = Folder::of(&self.paths, machine);
        let act = || format!("start QEMU for {machine}");
        let failed = |error: io::Error| Error::passing(act(), error);
        if Running::find_begun(&folder).await.map_err(failed)?.is_some() {
            return Ok(());
        }
        let uid = folder.owner().map_err(failed)?;
        let uid = uid.ok_or_else(|| Error::lasting(act(), "its disk is missing"))?;
        disk::require_restored(&folder, &act())?;
        let desktop = self.door(spec, uid).map_err(|error| Trouble::from(error).told(act()))?;
        let child = self.launch(spec, &folder, uid, tap, gpus).map_err(|error| error.told(act()))?;
        let process = child.id().map(Process::of_pid).transpose().map_err(failed)?;
        let Some(process) = process.flatten() else {
            return Err(Error::passing(act(), last_words(&folder)));
        };
        let started = self.settle(spec, &folder, process, desktop).await;
        // The child is ours to bury, whenever it ends: until then nobody waits for it.
        tokio::spawn(bury(child));
        if let Err(error) = started {
            let words = last_words(&folder);
            let ended = process.kill(START_MAX).await.and_then(|()| clear(&folder));
            tracing::debug!(machine.id = %machine, ?ended, %error, "QEMU did not start");
            return Err(Error::passing(act(), words));
        }
        Ok(())
    }

    /// The socket for a machine's desktop, if it has one.
    fn door(&self, spec: &BootSpec, uid: u32) -> io::Result<Option<OwnedFd>> {
        match &spec.desktop {
            None => Ok(None),
            Some(desktop) if desktop.is_guarded() => self.doors.listen(uid).map(Some),
            Some(_) => Err(io::Error::new(ErrorKind::InvalidInput, "its desktop's password is none")),
        }
    }

    /// Everything up to the live process.
    fn launch(
        &self,
        spec: &BootSpec,
        folder: &Folder,
        uid: u32,
        tap: OwnedFd,
        gpus: &[Vec<PciAddress>],
    ) -> std::result::Result<Child, Trouble> {
        let (header, _) = header::read(&folder.disk()).map_err(Trouble::disk)?;
        let header = header.ok_or(Trouble::Lasting("its disk is not qcow2 any more".into()))?;
        if header.backing_file.is_some() && !folder.template().try_exists()? {
            let why = "the image that its disk began as, template.qcow2 beside it, is missing: put that back";
            return Err(Trouble::Lasting(why.into()));
        }
        let image = seed::image(spec).map_err(|error| Trouble::Lasting(error.into()))?;
        folder.write(&folder.seed(), &image, uid)?;
        console::ensure(&folder.serial_log(), uid)?;
        let (qmp, agent) = (listen(&folder.qmp())?, listen(&folder.agent())?);
        let descriptors =
            Descriptors { tap: tap.as_raw_fd(), qmp: qmp.as_raw_fd(), agent: agent.as_raw_fd() };
        let mut line =
            arguments::of_machine(spec, folder, header.size_bytes, &self.acceleration, descriptors);
        line.extend(arguments::of_gpus(gpus));
        RunFile { gpus: spec.gpus.clone(), ..RunFile::new(spec.boot)? }.write(folder)?;
        unclosed::open(folder, &writer(spec.boot))?;
        let gid = acceleration::group(&self.acceleration, uid);
        command::run(QEMU)
            .args(line)
            .as_user(uid, gid)
            .locked_memory((!gpus.is_empty()).then(|| spec.ram_bytes.saturating_add(PINNED_BESIDE_RAM)))
            .launch(own_words(folder)?, &[tap, qmp, agent])
            .map_err(|failure| Trouble::launch(failure, !gpus.is_empty()))
    }

    /// Notes the process, bounds it, waits until it answers, and lets its guest begin.
    async fn settle(
        &self,
        spec: &BootSpec,
        folder: &Folder,
        process: Process,
        desktop: Option<OwnedFd>,
    ) -> std::result::Result<(), Broken> {
        let note = RunFile::read(folder)?.map_or_else(|| RunFile::new(spec.boot), Ok)?;
        let gpus = spec.gpus.clone();
        RunFile { process: Some(process), gpus, ..note }.write(folder)?;
        if self.cgroups.usable()
            && let Err(error) = self.cgroups.bound(&spec.machine, process.pid, spec.vcpus, spec.ram_bytes)
        {
            tracing::warn!(machine.id = %spec.machine, %error, "no cgroup bounds");
        }
        let (socket, deadline) = (folder.qmp(), Instant::now() + start_max(spec));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let opened = tokio::select! {
                opened = Qmp::open(&socket, left) => opened,
                ended = process.wait(left) => Err(ended.err().map_or(Broken::TooLate, Broken::Socket)),
            };
            match opened {
                Ok(qmp) => return begin(qmp, spec, desktop).await,
                Err(error) if !process.lives()? || Instant::now() >= deadline => return Err(error),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// How long QEMU may take from its start to its first answer. With GPUs it first locks the machine's whole
/// memory, which the kernel clears meanwhile, some GiB a second.
fn start_max(spec: &BootSpec) -> Duration {
    const A_GIB_MAX: Duration = Duration::from_secs(1);
    let gib = u32::try_from(spec.ram_bytes >> 30).unwrap_or(u32::MAX);
    if spec.gpus.is_empty() { START_MAX } else { START_MAX + A_GIB_MAX.saturating_mul(gib) }
}

/// Hands the rest over to a QEMU that waits for it.
async fn begin(mut qmp: Qmp, spec: &BootSpec, desktop: Option<OwnedFd>) -> std::result::Result<(), Broken> {
    if let (Some(spec), Some(socket)) = (&spec.desktop, desktop) {
        desktop::open(&mut qmp, spec, &socket).await?;
        qmp.ask("cont", json!({})).await?;
    }
    Ok(())
}

/// A socket that QEMU listens on and root alone can call: made here, because the folder is not QEMU's.
fn listen(socket: &Path) -> io::Result<OwnedFd> {
    absent_ok(fs::remove_file(socket))?;
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener.into())
}

/// Where QEMU's own words go, begun anew with each start.
fn own_words(folder: &Folder) -> io::Result<File> {
    absent_ok(fs::remove_file(folder.qemu_log()))?;
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(folder.qemu_log())
}

/// The end of what QEMU said before it ended.
fn last_words(folder: &Folder) -> String {
    const SHOWN: usize = 500;
    let bytes = fs::read(folder.qemu_log()).unwrap_or_default();
    let text =
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN)..]).trim().replace('\n', "; ");
    if text.is_empty() { "it ended, or did not answer, without a word".to_owned() } else { text }
}

async fn bury(mut child: Child) {
    let _ = child.wait().await;
}

/// Why a start did not come as far as a process.
enum Trouble {
    Lasting(Box<dyn std::error::Error + Send + Sync>),
    Passing(Box<dyn std::error::Error + Send + Sync>),
}

impl Trouble {
    fn disk(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Lasting("its disk is missing".into()),
            _ => error.into(),
        }
    }

    fn launch(failure: Failure, locks_memory: bool) -> Self {
        match &failure {
            Failure::NotStarted { source, .. }
                if locks_memory && source.kind() == ErrorKind::PermissionDenied =>
            {
                let why = "this server may not let QEMU lock the machine's memory, which a GPU needs";
                Self::Lasting(format!("{why}; `deckle doctor` says what to do").into())
            }
            Failure::NotStarted { source, .. } if source.kind() == ErrorKind::NotFound => {
                Self::Lasting(format!("{QEMU} is not installed; `deckle doctor` says what to do").into())
            }
            _ => Self::Passing(failure.into()),
        }
    }

    fn told(self, act: String) -> Error {
        match self {
            Self::Lasting(source) => Error::lasting(act, source),
            Self::Passing(source) => Error::passing(act, source),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::InvalidInput | ErrorKind::AddrNotAvailable => {
                Self::Lasting(error.into())
            }
            _ => Self::Passing(error.into()),
        }
    }
}
