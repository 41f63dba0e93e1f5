//! A host with a hook before and after each of its calls: for what comes between two of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, SnapshotId, TemplateId};
use deckle_engine::emulator::{Call, Emulator, Fuse};
use deckle_engine::pci::PciAddress;
use deckle_engine::seen::{
    Capacity, ConsoleChunk, DriveSeen, GpuSeen, HostSeen, HostThing, Loss, MachineSeen, NetworkSeen,
    ScriptRunSeen, SnapshotSeen, TemplateSeen,
};
use deckle_engine::specs::{
    BootSpec, CaptureSpec, DiskSpec, DriveSpec, HostNetwork, NetworkSpec, NicSpec, PublicIpSpec, RestoreSpec,
    ShareSpec, TemplateSpec,
};
use deckle_engine::transfers::{ExportSpec, ImportSpec, Stored, TransferSeen};
use deckle_engine::{Engine, Result};
use tokio::sync::Notify;

/// What happens at a moment. The call waits for it.
pub type Hook = Arc<dyn Fn(Fuse) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub struct Hooked {
    host: Arc<Emulator>,
    hook: Mutex<Option<Hook>>,
    vain: Mutex<Option<(Call, u64)>>,
}

impl Hooked {
    pub fn new(host: Arc<Emulator>) -> Self {
        Self { host, hook: Mutex::default(), vain: Mutex::default() }
    }

    pub fn hook(&self, hook: Option<Hook>) {
        *self.hook.lock().unwrap() = hook;
    }

    /// A hook that tells when the `nth` moment is reached, and lets nothing go on from there.
    pub fn stop_at(&self, nth: usize) -> (Arc<Notify>, Hook) {
        let (reached, moments) = (Arc::new(Notify::new()), AtomicUsize::new(0));
        let told = reached.clone();
        let hook: Hook = Arc::new(move |_| {
            let last = moments.fetch_add(1, Ordering::SeqCst) >= nth;
            let told = told.clone();
            Box::pin(async move {
                if last {
                    told.notify_one();
                    std::future::pending::<()>().await;
                }
            })
        });
        (reached, hook)
    }

    /// Has a call say that it has done its work without doing it, from now on.
    pub fn in_vain(&self, call: Option<Call>) {
        *self.vain.lock().unwrap() = call.map(|call| (call, 0));
    }

    /// How often that call was made.
    pub fn made_in_vain(&self) -> u64 {
        self.vain.lock().unwrap().map_or(0, |(_, made)| made)
    }

    fn is_vain(&self, made: Call) -> bool {
        let mut vain = self.vain.lock().unwrap();
        let vain = vain.as_mut().filter(|(call, _)| *call == made);
        vain.map(|(_, times)| *times += 1).is_some()
    }

    async fn reach(&self, moment: Fuse) {
        let hook = self.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(moment).await;
        }
    }
}

macro_rules! hooked {
    (
        looks { $($look:ident $look_method:ident($($look_name:ident: $look_type:ty),*) -> $seen:ty;)* }
        acts { $($act:ident $act_method:ident($($name:ident: $type:ty),*);)* }
    ) => {
        #[async_trait]
        impl Engine for Hooked {
            async fn next_loss(&self) -> Loss {
                self.host.next_loss().await
            }

            $(async fn $look_method(&self, $($look_name: $look_type),*) -> Result<$seen> {
                self.reach(Fuse::Before(Call::$look)).await;
                let seen = self.host.$look_method($($look_name),*).await;
                self.reach(Fuse::After(Call::$look)).await;
                seen
            })*
            $(async fn $act_method(&self, $($name: $type),*) -> Result<()> {
                self.reach(Fuse::Before(Call::$act)).await;
                let done = match self.is_vain(Call::$act) {
                    true => Ok(()),
                    false => self.host.$act_method($($name),*).await,
                };
                self.reach(Fuse::After(Call::$act)).await;
                done
            })*
        }
    };
}

hooked! {
    looks {
        LookHost look_host() -> HostSeen;
        LookCapacity look_capacity() -> Option<Capacity>;
        LookGpus look_gpus() -> Option<Vec<GpuSeen>>;
        LookThings look_things() -> Vec<HostThing>;
        LookTemplate look_template(id: &TemplateId) -> Option<TemplateSeen>;
        EnsureTemplate ensure_template(spec: &TemplateSpec) -> TemplateSeen;
        EnsureTemplateFrom ensure_template_from(spec: &CaptureSpec) -> TemplateSeen;
        LookNetwork look_network(spec: &NetworkSpec) -> NetworkSeen;
        LookDrive look_drive(id: &SharedDriveId, network: &PrivateNetworkId) -> DriveSeen;
        LookMachine look_machine(id: &MachineId, network: &HostNetwork) -> MachineSeen;
        LookSnapshots look_snapshots(machine: &MachineId) -> Vec<SnapshotSeen>;
        ReadConsole read_console(id: &MachineId, from: u64, bytes_max: usize) -> ConsoleChunk;
        ReadScriptRun read_script_run(id: &MachineId) -> Option<ScriptRunSeen>;
        LookTransfer look_transfer(of: &Stored) -> Option<TransferSeen>;
    }
    acts {
        ResetGpu reset_gpu(gpu: &PciAddress);
        RemoveTemplate remove_template(id: &TemplateId);
        EnsureNetwork ensure_network(spec: &NetworkSpec);
        RemoveNetwork remove_network(network: &HostNetwork);
        EnsureDrive ensure_drive(spec: &DriveSpec);
        RemoveDrive remove_drive(id: &SharedDriveId);
        EnsureShare ensure_share(spec: &ShareSpec);
        RemoveShare remove_share(id: &SharedDriveId, network: &PrivateNetworkId);
        EnsureDisk ensure_disk(spec: &DiskSpec);
        EnsureSnapshot ensure_snapshot(machine: &MachineId, snapshot: &SnapshotId);
        RemoveSnapshot remove_snapshot(machine: &MachineId, snapshot: &SnapshotId);
        RestoreSnapshot restore_snapshot(spec: &RestoreSpec);
        RemoveDisk remove_disk(id: &MachineId);
        EnsureNic ensure_nic(spec: &NicSpec);
        RemoveNic remove_nic(id: &MachineId, network: &HostNetwork);
        EnsurePublicIp ensure_public_ip(spec: &PublicIpSpec);
        RemovePublicIp remove_public_ip(id: &MachineId, network: &HostNetwork);
        PowerOn power_on(spec: &BootSpec);
        PressPowerButton press_power_button(id: &MachineId);
        CutPower cut_power(id: &MachineId);
        Export export(spec: &ExportSpec);
        Import import(spec: &ImportSpec);
    }
}
