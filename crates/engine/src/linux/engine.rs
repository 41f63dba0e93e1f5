//! The contract, call by call: each is handed to the part that knows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::{fs, io};

use async_trait::async_trait;
use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, SnapshotId, TemplateId};
use tokio::sync::Mutex;

use super::disk::Disks;
use super::drives::Drives;
use super::folder::write_whole;
use super::gpu::Gpus;
use super::losses::Losses;
use super::net::{Net, PlaceSeen};
use super::paths::{Paths, Tag};
use super::transfers::Transfers;
use super::vm::{Cgroups, VmSeen, Vms};
use super::{Settings, acceleration, host, process, things};
use crate::Engine;
use crate::error::{Error, Result};
use crate::pci::PciAddress;
use crate::seen::{
    Acceleration, Capacity, ConsoleChunk, DriveSeen, GpuSeen, GuestSeen, HostSeen, HostThing, Loss,
    MachineSeen, NetworkSeen, Power, ScriptRunSeen, SnapshotSeen, TemplateSeen,
};
use crate::specs::{
    BootSpec, CaptureSpec, DiskSpec, DriveSpec, HostNetwork, NetworkSpec, NicSpec, PublicIpSpec, RestoreSpec,
    ShareSpec, TemplateSpec,
};
use crate::transfers::{ExportSpec, ImportSpec, Stored, TransferSeen};

/// This host.
#[derive(Debug)]
pub struct Linux {
    paths: Paths,
    settings: Settings,
    net: Net,
    disks: Disks,
    drives: Drives,
    losses: Losses,
    gpus: Arc<Gpus>,
    vms: RwLock<Arc<Vms>>,
    transfers: Transfers,
    /// Held while KVM is tried.
    trying: Mutex<()>,
}

impl Linux {
    /// This host, with what lies in the settings' state folder. A new folder gets a tag of its own.
    pub async fn open(settings: Settings) -> Result<Self> {
        if let Err(error) = process::raise_descriptor_limit() {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
        let mut linux = Self::of(claim(&settings.state)?, settings);
        linux.net.start().await?;
        let found = acceleration::find(&linux.paths, &linux.settings).await;
        tell(&found);
        let vms = Vms::new(linux.paths.clone(), &linux.settings, found);
        linux.vms = RwLock::new(Arc::new(vms));
        Ok(linux)
    }

    /// The installation of the settings' state folder, as it is found: nothing is made or changed, and no
    /// machine is to be started.
    pub(super) fn found(settings: Settings) -> Result<Self> {
        let state = settings.state.clone();
        let act = || format!("find the installation of {}", state.display());
        let none = || Error::lasting(act(), "there is no installation in that folder: name its state folder");
        let tag = read_tag(&state)?.ok_or_else(none)?;
        let state = state.canonicalize().map_err(|error| Error::lasting(act(), error))?;
        Ok(Self::of(Paths::new(tag, state), settings))
    }

    /// How guests run is not found out yet.
    fn of(paths: Paths, settings: Settings) -> Self {
        let losses = Losses::default();
        let net = Net::new(paths.clone(), settings.clone(), losses.clone());
        let disks = Disks::new(paths.clone(), &settings);
        let drives = Drives::new(paths.clone(), &settings, losses.clone());
        let gpus = Arc::new(Gpus::new(paths.clone(), &settings));
        let untried = Acceleration::Tcg { because: "nothing else was tried".to_owned() };
        let vms = RwLock::new(Arc::new(Vms::new(paths.clone(), &settings, untried)));
        let (transfers, trying) = (Transfers::default(), Mutex::new(()));
        Self { paths, settings, net, disks, drives, losses, gpus, vms, transfers, trying }
    }

    /// What `deckle doctor` tells of this host, without a server: nothing is changed.
    pub async fn examine(settings: &Settings) -> Result<HostSeen> {
        let tag = read_tag(&settings.state)?.unwrap_or_else(|| Tag::mint(0));
        let paths = Paths::new(tag, settings.state.clone());
        let acceleration = acceleration::find_known(&paths, settings).await;
        let net = Net::new(paths.clone(), settings.clone(), Losses::default());
        let gpus = Gpus::new(paths.clone(), settings);
        seen(&paths, settings, (&net, &gpus), acceleration).await
    }

    /// Takes back what belongs to no object: the host's packet rules of this installation.
    pub async fn remove_host_rules(&self) -> Result<()> {
        self.net.remove_host_rules().await
    }

    /// Unmounts every drive that is not in a network any more.
    pub async fn part_drives(&self) -> Result<()> {
        self.drives.part_all().await
    }

    /// Gives every GPU that no machine runs with back to the driver that had it.
    pub async fn give_gpus_back(&self) -> Result<()> {
        self.gpus.give_back().await
    }

    /// Takes back what belongs to no object, and what installations share, if this is the last one.
    pub(super) async fn leave(&self) -> Result<()> {
        let removed = Cgroups::of(&self.paths).remove();
        removed.map_err(|error| Error::passing("remove the machines' cgroup", error))?;
        self.net.leave().await
    }

    /// The host's table of packet rules, which is for no object.
    pub(super) async fn look_table(&self) -> Result<Vec<HostThing>> {
        self.net.look_host_rules().await
    }

    pub(super) fn state(&self) -> &Path {
        self.paths.state()
    }

    fn vms(&self) -> Arc<Vms> {
        self.vms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A first template brings the first kernel that KVM can be tried with.
    async fn find_acceleration_again(&self) {
        let _alone = self.trying.lock().await;
        if *self.vms().acceleration() == Acceleration::Kvm {
            return;
        }
        let found = acceleration::find(&self.paths, &self.settings).await;
        if found != *self.vms().acceleration() {
            tell(&found);
            let vms = Arc::new(Vms::new(self.paths.clone(), &self.settings, found));
            *self.vms.write().unwrap_or_else(PoisonError::into_inner) = vms;
        }
    }
}

/// Makes a state folder an installation's, if it is not one already.
fn claim(state: &Path) -> Result<Paths> {
    let failed =
        |error: io::Error| Error::lasting(format!("open the state folder {}", state.display()), error);
    fs::create_dir_all(state).map_err(failed)?;
    // QEMU's users pass through it to their machines' folders; they read nothing in it.
    fs::set_permissions(state, fs::Permissions::from_mode(0o711)).map_err(failed)?;
    let tag = match read_tag(state)? {
        Some(tag) => tag,
        None => {
            let tag = Tag::mint(random());
            // Half a tag, or one that a crash takes back, would make all that is on the host another's.
            let written = write_whole(&state.join("tag"), tag.to_string().as_bytes(), 0o644, None);
            written.map_err(failed)?;
            tag
        }
    };
    Ok(Paths::new(tag, state.canonicalize().map_err(failed)?))
}

fn read_tag(state: &Path) -> Result<Option<Tag>> {
    let file = state.join("tag");
    let act = || format!("read {}", file.display());
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map(Some).map_err(|wrong: &str| Error::lasting(act(), wrong)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::lasting(act(), error)),
    }
}

/// 64 bits that differ from one folder to the next.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

fn tell(acceleration: &Acceleration) {
    match acceleration {
        Acceleration::Kvm => tracing::info!("guests run under KVM"),
        Acceleration::Tcg { because } => {
            tracing::warn!(
                because,
                "guests run under TCG, MANY TIMES SLOWER than under KVM; `deckle doctor` says more"
            );
        }
        Acceleration::Pretended => {}
    }
}

async fn seen(
    paths: &Paths,
    settings: &Settings,
    (net, gpus): (&Net, &Gpus),
    acceleration: Acceleration,
) -> Result<HostSeen> {
    let mut checks = host::checks(paths, settings, &acceleration).await;
    checks.extend(net.checks().await);
    checks.extend(Drives::checks().await);
    checks.extend(gpus.checks());
    Ok(HostSeen { capacity: Some(host::capacity(paths, settings)?), acceleration, checks })
}

#[async_trait]
impl Engine for Linux {
    async fn look_host(&self) -> Result<HostSeen> {
        seen(&self.paths, &self.settings, (&self.net, &self.gpus), self.vms().acceleration().clone()).await
    }

    async fn look_capacity(&self) -> Result<Option<Capacity>> {
        host::capacity(&self.paths, &self.settings).map(Some)
    }

    async fn look_gpus(&self) -> Result<Option<Vec<GpuSeen>>> {
        // Programs that use a GPU are found by their open files, of which a host may have many.
        let gpus = self.gpus.clone();
        let looked = tokio::task::spawn_blocking(move || gpus.look()).await;
        looked.unwrap_or_else(|gone| Err(Error::passing("look for GPUs", gone))).map(Some)
    }

    async fn reset_gpu(&self, gpu: &PciAddress) -> Result<()> {
        self.gpus.reset(gpu).await
    }

    async fn look_things(&self) -> Result<Vec<HostThing>> {
        let mut things = things::look(&self.paths)?;
        things.extend(self.gpus.look_things()?);
        things.extend(self.net.look_things().await?);
        things.extend(self.drives.look_things()?);
        Ok(things)
    }

    async fn look_template(&self, id: &TemplateId) -> Result<Option<TemplateSeen>> {
        self.disks.look_template(id).await
    }

    async fn ensure_template(&self, spec: &TemplateSpec) -> Result<TemplateSeen> {
        let seen = self.disks.ensure_template(spec).await?;
        self.find_acceleration_again().await;
        Ok(seen)
    }

    async fn ensure_template_from(&self, spec: &CaptureSpec) -> Result<TemplateSeen> {
        self.disks.ensure_template_from(spec).await
    }

    async fn remove_template(&self, id: &TemplateId) -> Result<()> {
        self.disks.remove_template(id).await
    }

    async fn look_network(&self, spec: &NetworkSpec) -> Result<NetworkSeen> {
        self.net.look_network(spec).await
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<()> {
        self.net.ensure_network(spec).await
    }

    async fn remove_network(&self, network: &HostNetwork) -> Result<()> {
        self.drives.leave(network).await?;
        self.net.remove_network(network).await
    }

    async fn next_loss(&self) -> Loss {
        self.losses.next().await
    }

    async fn look_drive(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<DriveSeen> {
        let of = Stored::Drive(id.clone(), network.clone());
        if !self.transfers.has(&of)
            && let Err(error) = self.drives.clear_left(id).await
        {
            tracing::warn!(drive.id = %id, error = error.told(), "what a copy has left stays");
        }
        self.drives.look(id, network).await
    }

    async fn ensure_drive(&self, spec: &DriveSpec) -> Result<()> {
        self.drives.ensure(spec).await
    }

    async fn remove_drive(&self, id: &SharedDriveId) -> Result<()> {
        self.drives.remove(id).await
    }

    async fn ensure_share(&self, spec: &ShareSpec) -> Result<()> {
        self.drives.ensure_share(spec).await
    }

    async fn remove_share(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<()> {
        self.drives.remove_share(id, network).await
    }

    async fn look_machine(&self, id: &MachineId, network: &HostNetwork) -> Result<MachineSeen> {
        if !self.transfers.has(&Stored::Disk(id.clone()))
            && let Err(error) = self.disks.clear_transfer(id).await
        {
            tracing::warn!(machine.id = %id, error = error.told(), "what a copy has left stays");
        }
        let disk = self.disks.look_disk(id).await?;
        let PlaceSeen { port, nic } = self.net.look_place(id, network).await?;
        let public_ip = self.net.look_public_ip(id, network).await?;
        let VmSeen { power, agent, desktop, process } = self.vms().look(id).await?;
        if let Some(process) = process {
            self.losses.watch(process, &Loss::Machine(id.clone()));
        }
        let leased = match power {
            Power::On { since, .. } => self.net.leased(id, network, since).await?,
            _ => None,
        };
        let gpus = if power == Power::Off { Vec::new() } else { self.vms().gpus(id)? };
        let guest = GuestSeen { leased, agent };
        Ok(MachineSeen { disk, nic, port, public_ip, power, gpus, guest, desktop })
    }

    async fn ensure_disk(&self, spec: &DiskSpec) -> Result<()> {
        self.disks.ensure_disk(spec).await
    }

    async fn look_snapshots(&self, machine: &MachineId) -> Result<Vec<SnapshotSeen>> {
        self.disks.look_snapshots(machine).await
    }

    async fn ensure_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()> {
        self.disks.ensure_snapshot(machine, snapshot).await
    }

    async fn remove_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()> {
        self.disks.remove_snapshot(machine, snapshot).await
    }

    async fn restore_snapshot(&self, spec: &RestoreSpec) -> Result<()> {
        self.disks.restore_snapshot(spec).await
    }

    async fn remove_disk(&self, id: &MachineId) -> Result<()> {
        self.disks.remove_disk(id).await
    }

    async fn ensure_nic(&self, spec: &NicSpec) -> Result<()> {
        self.net.ensure_nic(spec).await
    }

    async fn remove_nic(&self, id: &MachineId, network: &HostNetwork) -> Result<()> {
        self.net.remove_nic(id, network).await
    }

    async fn ensure_public_ip(&self, spec: &PublicIpSpec) -> Result<()> {
        self.net.ensure_public_ip(spec).await
    }

    async fn remove_public_ip(&self, id: &MachineId, network: &HostNetwork) -> Result<()> {
        self.net.remove_public_ip(id, network).await
    }

    async fn power_on(&self, spec: &BootSpec) -> Result<()> {
        let vms = self.vms();
        if vms.look(&spec.machine).await?.power != Power::Off {
            return Ok(());
        }
        let gpus = self.gpus.take(&spec.machine, &spec.gpus).await?;
        self.net.forget_lease(&spec.machine, &spec.nic.network).await?;
        let tap = self.net.open_tap(&spec.machine, &spec.nic.network).await?;
        vms.power_on_with(spec, tap, &gpus).await
    }

    async fn press_power_button(&self, id: &MachineId) -> Result<()> {
        self.vms().press_power_button(id).await
    }

    async fn cut_power(&self, id: &MachineId) -> Result<()> {
        self.vms().cut_power(id).await?;
        self.gpus.release(id).await
    }

    async fn read_console(&self, id: &MachineId, from: u64, bytes_max: usize) -> Result<ConsoleChunk> {
        self.vms().read_console(id, from, bytes_max).await
    }

    async fn read_script_run(&self, id: &MachineId) -> Result<Option<ScriptRunSeen>> {
        self.vms().read_script_run(id).await
    }

    async fn export(&self, spec: &ExportSpec) -> Result<()> {
        let under_way = self.transfers.begin(&spec.of);
        match &spec.of {
            Stored::Disk(id) => self.disks.export(id, spec, &under_way.counter).await,
            Stored::Drive(id, network) => {
                self.drives.export((id, network), spec, under_way.counter.clone()).await
            }
        }
    }

    async fn import(&self, spec: &ImportSpec) -> Result<()> {
        let under_way = self.transfers.begin(&spec.of);
        match &spec.of {
            Stored::Disk(id) => self.disks.import_disk(id, spec, &under_way.counter).await,
            Stored::Drive(id, network) => {
                self.drives.import((id, network), spec, under_way.counter.clone()).await
            }
        }
    }

    async fn look_transfer(&self, of: &Stored) -> Result<Option<TransferSeen>> {
        Ok(self.transfers.look(of).await)
    }
}
