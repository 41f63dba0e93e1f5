//! The contract, call by call.

use async_trait::async_trait;
use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, SnapshotId, TemplateId};

use super::{Call, Emulator};
use crate::Engine;
use crate::error::Result;
use crate::pci::PciAddress;
use crate::seen::{
    Acceleration, Capacity, Check, ConsoleChunk, DriveSeen, GpuSeen, HostSeen, HostThing, Loss, MachineSeen,
    NetworkSeen, ScriptRunSeen, SnapshotSeen, TemplateSeen, Verdict,
};
use crate::specs::{
    BootSpec, CaptureSpec, DiskSpec, DriveSpec, HostNetwork, NetworkSpec, NicSpec, PublicIpSpec, RestoreSpec,
    ShareSpec, TemplateSpec,
};
use crate::transfers::{ExportSpec, ImportSpec, Stored, TransferSeen};

#[async_trait]
impl Engine for Emulator {
    async fn look_host(&self) -> Result<HostSeen> {
        self.call(Call::LookHost, |inside, _| {
            Ok(HostSeen {
                capacity: inside.world.capacity_seen(),
                acceleration: Acceleration::Pretended,
                checks: vec![pretended()],
            })
        })
    }

    async fn look_capacity(&self) -> Result<Option<Capacity>> {
        self.call(Call::LookCapacity, |inside, _| Ok(inside.world.capacity_seen()))
    }

    async fn look_gpus(&self) -> Result<Option<Vec<GpuSeen>>> {
        self.call(Call::LookGpus, |inside, _| Ok(inside.world.gpus_seen()))
    }

    async fn reset_gpu(&self, gpu: &PciAddress) -> Result<()> {
        self.call(Call::ResetGpu, |inside, _| inside.world.reset_gpu(gpu))
    }

    async fn look_things(&self) -> Result<Vec<HostThing>> {
        self.call(Call::LookThings, |inside, _| Ok(inside.world.things()))
    }

    async fn look_template(&self, id: &TemplateId) -> Result<Option<TemplateSeen>> {
        self.call(Call::LookTemplate, |inside, _| Ok(inside.world.templates.get(id).copied()))
    }

    async fn ensure_template(&self, spec: &TemplateSpec) -> Result<TemplateSeen> {
        self.call(Call::EnsureTemplate, |inside, _| inside.world.ensure_template(spec))
    }

    async fn ensure_template_from(&self, spec: &CaptureSpec) -> Result<TemplateSeen> {
        self.call(Call::EnsureTemplateFrom, |inside, _| inside.world.ensure_template_from(spec))
    }

    async fn remove_template(&self, id: &TemplateId) -> Result<()> {
        self.call(Call::RemoveTemplate, |inside, _| {
            inside.world.remove_template(id);
            Ok(())
        })
    }

    async fn look_network(&self, spec: &NetworkSpec) -> Result<NetworkSeen> {
        self.call(Call::LookNetwork, |inside, _| Ok(inside.world.look_network(spec)))
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<()> {
        self.call(Call::EnsureNetwork, |inside, _| inside.world.ensure_network(spec))
    }

    async fn remove_network(&self, network: &HostNetwork) -> Result<()> {
        self.call(Call::RemoveNetwork, |inside, _| {
            inside.world.remove_network(network);
            Ok(())
        })
    }

    async fn next_loss(&self) -> Loss {
        match self.losses.lock().await.recv().await {
            Some(loss) => loss,
            None => std::future::pending().await,
        }
    }

    async fn look_drive(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<DriveSeen> {
        self.call(Call::LookDrive, |inside, _| Ok(inside.world.look_drive(id, network)))
    }

    async fn ensure_drive(&self, spec: &DriveSpec) -> Result<()> {
        self.call(Call::EnsureDrive, |inside, _| inside.world.ensure_drive(spec))
    }

    async fn remove_drive(&self, id: &SharedDriveId) -> Result<()> {
        self.call(Call::RemoveDrive, |inside, _| inside.world.remove_drive(id))
    }

    async fn ensure_share(&self, spec: &ShareSpec) -> Result<()> {
        self.call(Call::EnsureShare, |inside, _| inside.world.ensure_share(spec))
    }

    async fn remove_share(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<()> {
        self.call(Call::RemoveShare, |inside, _| {
            inside.world.remove_share(id, network);
            Ok(())
        })
    }

    async fn look_machine(&self, id: &MachineId, network: &HostNetwork) -> Result<MachineSeen> {
        self.call(Call::LookMachine, |inside, now| {
            let nature = inside.levers.nature(id);
            Ok(inside.world.look_machine(id, network, (now, self.pace, &nature)))
        })
    }

    async fn ensure_disk(&self, spec: &DiskSpec) -> Result<()> {
        self.call(Call::EnsureDisk, |inside, _| inside.world.ensure_disk(spec))
    }

    async fn look_snapshots(&self, machine: &MachineId) -> Result<Vec<SnapshotSeen>> {
        self.call(Call::LookSnapshots, |inside, _| Ok(inside.world.look_snapshots(machine)))
    }

    async fn ensure_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()> {
        self.call(Call::EnsureSnapshot, |inside, now| inside.world.ensure_snapshot(machine, snapshot, now))
    }

    async fn remove_snapshot(&self, machine: &MachineId, snapshot: &SnapshotId) -> Result<()> {
        self.call(Call::RemoveSnapshot, |inside, _| {
            inside.world.remove_snapshot(machine, snapshot);
            Ok(())
        })
    }

    async fn restore_snapshot(&self, spec: &RestoreSpec) -> Result<()> {
        self.call(Call::RestoreSnapshot, |inside, _| inside.world.restore_snapshot(spec))
    }

    async fn remove_disk(&self, id: &MachineId) -> Result<()> {
        self.call(Call::RemoveDisk, |inside, _| inside.world.remove_disk(id))
    }

    async fn ensure_nic(&self, spec: &NicSpec) -> Result<()> {
        self.call(Call::EnsureNic, |inside, _| inside.world.ensure_nic(spec))
    }

    async fn remove_nic(&self, id: &MachineId, network: &HostNetwork) -> Result<()> {
        self.call(Call::RemoveNic, |inside, _| {
            inside.world.remove_nic(id, network);
            Ok(())
        })
    }

    async fn ensure_public_ip(&self, spec: &PublicIpSpec) -> Result<()> {
        self.call(Call::EnsurePublicIp, |inside, _| inside.world.ensure_public_ip(spec))
    }

    async fn remove_public_ip(&self, id: &MachineId, network: &HostNetwork) -> Result<()> {
        self.call(Call::RemovePublicIp, |inside, _| {
            inside.world.remove_public_ip(id, network);
            Ok(())
        })
    }

    async fn power_on(&self, spec: &BootSpec) -> Result<()> {
        self.call(Call::PowerOn, |inside, now| inside.world.power_on(spec, now))
    }

    async fn press_power_button(&self, id: &MachineId) -> Result<()> {
        self.call(Call::PressPowerButton, |inside, now| {
            let nature = inside.levers.nature(id);
            if !nature.deaf && !nature.stalled {
                inside.world.press_power_button(id, now, self.pace);
            }
            Ok(())
        })
    }

    async fn cut_power(&self, id: &MachineId) -> Result<()> {
        self.call(Call::CutPower, |inside, _| {
            inside.world.cut_power(id);
            Ok(())
        })
    }

    async fn read_console(&self, id: &MachineId, from: u64, bytes_max: usize) -> Result<ConsoleChunk> {
        self.call(Call::ReadConsole, |inside, _| {
            let console = inside.world.machines.get(id).map(|machine| &machine.console);
            Ok(console.map(|console| console.read(from, bytes_max)).unwrap_or_default())
        })
    }

    async fn read_script_run(&self, id: &MachineId) -> Result<Option<ScriptRunSeen>> {
        self.call(Call::ReadScriptRun, |inside, _| {
            let nature = inside.levers.nature(id);
            Ok(inside.world.read_script_run(id, &nature))
        })
    }

    async fn export(&self, spec: &ExportSpec) -> Result<()> {
        self.call(Call::Export, |inside, _| inside.world.export(spec))
    }

    async fn import(&self, spec: &ImportSpec) -> Result<()> {
        self.call(Call::Import, |inside, _| inside.world.import(spec))
    }

    async fn look_transfer(&self, _: &Stored) -> Result<Option<TransferSeen>> {
        // Each is made at once.
        self.call(Call::LookTransfer, |_, _| Ok(None))
    }
}

fn pretended() -> Check {
    Check {
        name: "engine".to_owned(),
        verdict: Verdict::Weak,
        found: "This host is pretended: machines answer, and none is real.".to_owned(),
        cure: "deckle serve --engine linux".to_owned(),
    }
}
