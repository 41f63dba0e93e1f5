//! What keeps a GPU from being given to a machine, and what mends that.

use super::tree::Device;
use crate::pci::PciAddress;

/// Why a GPU cannot be given to a machine, though it is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// No IOMMU keeps what the device writes to its machine's memory.
    NoIommu {
        /// The processor's maker, in its own words.
        cpu: String,
    },
    /// Devices that are not of the GPU share its group: who has one of them can reach the others.
    Shared {
        /// The group's number.
        group: u32,
        /// Those devices.
        with: Vec<Device>,
    },
    /// The kernel has no vfio-pci.
    NoVfio,
    /// Its driver lets no device go.
    Stuck {
        /// The function that it has.
        address: PciAddress,
        /// The driver.
        driver: String,
    },
    /// Programs of the host use it.
    Busy {
        /// The function that they use.
        address: PciAddress,
        /// Its driver.
        driver: String,
        /// The programs.
        users: Vec<String>,
    },
    /// The host's own console is on it.
    Console,
}

impl Block {
    /// What was found, without a full stop.
    pub fn found(&self) -> String {
        match self {
            Self::NoIommu { .. } => "the IOMMU is off: the host has no IOMMU groups".to_owned(),
            Self::Shared { group, with } => {
                let with: Vec<_> = with.iter().map(shown).collect();
                format!("it shares IOMMU group {group} with {}", with.join(", "))
            }
            Self::NoVfio => "the kernel has no vfio-pci, neither loaded nor as a module".to_owned(),
            Self::Stuck { address, driver } => {
                format!("the driver {driver} has {address} and cannot be unbound")
            }
            Self::Busy { address, driver, users } => {
                format!("{address} is used through the driver {driver} by {}", users.join(", "))
            }
            Self::Console => "the host's own console is on it".to_owned(),
        }
    }

    /// What mends it.
    pub fn cure(&self) -> String {
        match self {
            Self::NoIommu { cpu } => match cpu.as_str() {
                "GenuineIntel" => "switch VT-d on in the firmware, and boot with `intel_iommu=on`".to_owned(),
                "AuthenticAMD" => {
                    "switch the IOMMU (AMD-Vi) on in the firmware, and boot with `amd_iommu=on`".to_owned()
                }
                _ => "switch the IOMMU on in the firmware, and boot with `intel_iommu=on` or `amd_iommu=on`"
                    .to_owned(),
            },
            Self::Shared { .. } => {
                "put the card into a slot of its own root port, or switch ACS on in the firmware".to_owned()
            }
            Self::NoVfio => {
                "install a kernel with CONFIG_VFIO_PCI (Debian: linux-image-amd64), then `modprobe vfio-pci`"
                    .to_owned()
            }
            Self::Stuck { driver, .. } => {
                format!("boot with `module_blacklist={driver}`, or with `vfio-pci.ids=` and the device's numbers")
            }
            Self::Busy { users, .. } => {
                let persists = users.iter().any(|user| user.starts_with("nvidia-persiste"));
                let first = if persists { "systemctl disable --now nvidia-persistenced" } else { "end those programs" };
                format!("{first}, or leave the GPU to the host with the setting `gpus` of [linux]")
            }
            Self::Console => {
                "choose another device for the console in the firmware, or name the GPU in the setting `gpus` of [linux]"
                    .to_owned()
            }
        }
    }
}

fn shown(device: &Device) -> String {
    let driver = device.driver.as_ref().map(|driver| format!(", driver {driver}")).unwrap_or_default();
    format!("{} ({:04x}:{:04x}{driver})", device.address, device.vendor, device.device)
}
