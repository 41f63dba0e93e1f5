//! Deckle's hands: what a host can be asked to do, and what can be seen of it.
//!
//! [`Engine`] has two implementations with one contract: [`linux`] works on this host, [`emulator`]
//! pretends one. A region of the API is an engine.
//!
//! **Invariant**: an engine knows nothing of teams, requests or rows. All that it is told are the plain
//! values of [`specs`]; all that it says are the plain values of [`seen`]. It decides nothing: it does
//! one thing when asked, and looks when asked.

pub mod emulator;
mod error;
pub mod linux;
pub mod pci;
pub mod script_run;
pub mod seen;
pub mod specs;
pub mod transfers;

use async_trait::async_trait;
use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, SnapshotId, TemplateId};

pub use error::{Error, Result};
use pci::PciAddress;
use seen::{
    Capacity, ConsoleChunk, DriveSeen, GpuSeen, HostSeen, HostThing, Loss, MachineSeen, NetworkSeen,
    ScriptRunSeen, SnapshotSeen, TemplateSeen,
};
use specs::{
    BootSpec, CaptureSpec, DiskSpec, DriveSpec, HostNetwork, NetworkSpec, NicSpec, PublicIpSpec, RestoreSpec,
    ShareSpec, TemplateSpec,
};
use transfers::{ExportSpec, ImportSpec, Stored, TransferSeen};

/// What a host can be asked.
///
/// Every `ensure_*`, `remove_*` and power call may be made twice, and finishes what a crash left half
/// done. No two calls for one machine, for one network, or for one drive, are made at the same time; calls
/// for different ones are, also for two drives of one network. A call returns when the host has done it, but for the two that a guest answers
/// in its own time: [`press_power_button`](Engine::press_power_button) and the guest's own start.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// What this host is and has: capacity, acceleration, and what is in the way.
    async fn look_host(&self) -> Result<HostSeen>;

    /// What machines may take of this host together; nothing is a bound where it is absent. Cheap: it is
    /// asked before each start.
    async fn look_capacity(&self) -> Result<Option<Capacity>>;

    /// The GPUs that machines may be given, by address; every wish is granted where it is absent. Asked before
    /// each start of a machine that is to have some.
    async fn look_gpus(&self) -> Result<Option<Vec<GpuSeen>>>;

    /// Resets a GPU that no machine runs with, and forgets that it [failed](seen::GpuTrouble::Failed). One that
    /// does not reset, is gone, or is in use, is told by a [final](Error::is_final) error.
    async fn reset_gpu(&self, gpu: &PciAddress) -> Result<()>;

    /// All that this installation has on the host, whoever asked for it: for finding leaks.
    async fn look_things(&self) -> Result<Vec<HostThing>>;

    /// A template's image, if it is there.
    async fn look_template(&self, id: &TemplateId) -> Result<Option<TemplateSeen>>;

    /// Takes an image file in as a template. An image that cannot serve is refused with a
    /// [final](Error::is_final) error that says why: it names a backing or external data file, its format
    /// is unknown, or it is larger than the spec allows.
    async fn ensure_template(&self, spec: &TemplateSpec) -> Result<TemplateSeen>;

    /// Makes a template of a machine's disk as it is now, flattened; the machine is off. It needs neither the
    /// disk nor the disk's own template afterwards, and is as large as the disk. One that is there stays as it
    /// is.
    async fn ensure_template_from(&self, spec: &CaptureSpec) -> Result<TemplateSeen>;

    /// Removes a template's image. Disks made from it keep working, and its space is freed with the last.
    async fn remove_template(&self, id: &TemplateId) -> Result<()>;

    /// A network on the host, compared with what it is to be.
    async fn look_network(&self, spec: &NetworkSpec) -> Result<NetworkSeen>;

    /// Makes a network, or mends what is missing of it. The firewall changes all at once.
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<()>;

    /// Removes a network and all that is in it.
    async fn remove_network(&self, network: &HostNetwork) -> Result<()>;

    /// Waits until a process of this installation has ended, and says what that was. Only what was looked at
    /// since it began is noticed. What has ended is started again by the calls that ensure it.
    async fn next_loss(&self) -> Loss;

    /// A shared drive on the host: its image, and its share in `network`.
    async fn look_drive(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<DriveSeen>;

    /// Makes a drive's image with an empty file system, all its blocks reserved, or grows both to the asked
    /// size. Never shrinks, never replaces one that is there. Where a mounted file system cannot be grown, its
    /// share pauses meanwhile.
    async fn ensure_drive(&self, spec: &DriveSpec) -> Result<()>;

    /// Removes a drive's image and all that is in it. Its share is gone before.
    async fn remove_drive(&self, id: &SharedDriveId) -> Result<()>;

    /// Shares a drive in its network, with that password and no other. Other drives' mounts go on.
    async fn ensure_share(&self, spec: &ShareSpec) -> Result<()>;

    /// Takes a drive's share away. Other drives' mounts go on.
    async fn remove_share(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<()>;

    /// A machine on the host: its disk, its place in `network`, its power and its guest.
    async fn look_machine(&self, id: &MachineId, network: &HostNetwork) -> Result<MachineSeen>;

    /// Makes a machine's disk on its template, or grows it to the asked size. Never shrinks, never
    /// replaces one that is there.
    async fn ensure_disk(&self, spec: &DiskSpec) -> Result<()>;

    /// The snapshots of a machine's disk, the oldest first; none where there is no disk.
    async fn look_snapshots(&self, machine: &MachineId) -> Result<Vec<SnapshotSeen>>;

    /// Takes a snapshot of a machine's disk as it is now, unless it has that one. Of a machine that is on, its
    /// file systems are first written out by the guest's agent, where there is one, and writing pauses for
    /// milliseconds. Memory is not in it.
    async fn ensure_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()>;

    /// Removes a snapshot; the disk and its other snapshots stay as they are. The machine may be on. One that a
    /// restore is under way to stays until that is finished.
    async fn remove_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()>;

    /// Takes a disk back to a snapshot, unless that [generation](RestoreSpec::generation) is reached; the machine
    /// is off. All snapshots stay, later ones too, and so does the size of a disk that has grown since. Until it
    /// is finished, the machine does not start, and no snapshot or template is made of its disk.
    async fn restore_snapshot(&self, spec: &RestoreSpec) -> Result<()>;

    /// Removes a machine's disk, its snapshots, and all else that is kept of the machine on the host.
    async fn remove_disk(&self, id: &MachineId) -> Result<()>;

    /// Plugs a machine into a network: its port, its fixed lease, its names, the guard of its address.
    async fn ensure_nic(&self, spec: &NicSpec) -> Result<()>;

    /// Unplugs a machine from a network. Nothing is left of it there.
    async fn remove_nic(&self, id: &MachineId, network: &HostNetwork) -> Result<()>;

    /// Leads a public address to a machine and the machine's packets out from it, takes any other public
    /// address from the machine, and takes this one from whichever machine had it, in any network. What was
    /// connected by it to the other machine ends.
    async fn ensure_public_ip(&self, spec: &PublicIpSpec) -> Result<()>;

    /// Takes every public address from a machine. One that leads to another machine by now stays there.
    async fn remove_public_ip(&self, id: &MachineId, network: &HostNetwork) -> Result<()>;

    /// Starts a machine, unless it is on: its disk and its network port are there. Its GPUs are taken from the
    /// host; one that another machine has, or that cannot be given, is told by a [final](Error::is_final) error.
    /// A desktop's password that is none is refused.
    async fn power_on(&self, spec: &BootSpec) -> Result<()>;

    /// Asks the guest to shut down. It may not hear it: press again until the look says otherwise.
    async fn press_power_button(&self, id: &MachineId) -> Result<()>;

    /// Cuts a machine's power. When it returns, the machine is [off](seen::Power::Off), and its GPUs are reset
    /// and free for another one, also where it was off already and a crash had left them. One that does not
    /// come back sound is seen as [failed](seen::GpuTrouble::Failed).
    async fn cut_power(&self, id: &MachineId) -> Result<()>;

    /// A piece of a machine's serial log from byte `from` on, counted since the log was begun. What is
    /// older than the kept bound is gone: the chunk says where it really begins.
    async fn read_console(&self, id: &MachineId, from: u64, bytes_max: usize) -> Result<ConsoleChunk>;

    /// The last run of a startup script that a machine's guest has told of: in this boot or an earlier one. A
    /// guest whose image does not tell has none.
    async fn read_script_run(&self, id: &MachineId) -> Result<Option<ScriptRunSeen>>;

    /// Copies a machine's disk, or a shared drive, to a file that needs nothing else: as it is at one moment,
    /// while it is in use. The file is there when it is whole and durable, and never before; the host's
    /// administrator alone may read it. What a call that was cut off has left is cleared away by the next look
    /// at the machine or the drive.
    async fn export(&self, spec: &ExportSpec) -> Result<()>;

    /// Puts what a file holds in the place of all that a machine's disk, or a shared drive, holds. A disk's
    /// machine is off and has no snapshots; a drive's share pauses for as long as the last step takes. A file
    /// that cannot serve is refused with a [final](Error::is_final) error that says why, and nothing is changed.
    /// A call that is cut off has changed everything or nothing.
    async fn import(&self, spec: &ImportSpec) -> Result<()>;

    /// How far the export or the import that is under way is. The one call that may be made while another is
    /// made for the same machine or drive.
    async fn look_transfer(&self, of: &Stored) -> Result<Option<TransferSeen>>;
}
