//! The kernel's files about PCI devices: what it shows of them, and what can be written to it.
//!
//! **Invariant**: every path is below one root, so that a test can make a host up in a folder.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::linux::folder::unless_absent;
use crate::pci::PciAddress;

/// How long the kernel may take to unbind, bind or reset a device.
const KERNEL_MAX: Duration = Duration::from_secs(60);

/// What takes a word that is written to one of the kernel's files.
pub trait Kernel: std::fmt::Debug + Send + Sync {
    /// Writes the word, and returns when its effect is there.
    fn write(&self, file: &Path, word: &str) -> io::Result<()>;

    /// Whether a program has a group's file open, which one at a time may.
    fn is_open(&self, file: &Path) -> io::Result<bool>;
}

/// The kernel of this host.
#[derive(Debug)]
pub struct Real;

impl Kernel for Real {
    fn write(&self, file: &Path, word: &str) -> io::Result<()> {
        // Not `fs::write`: a file of the kernel's is never made.
        io::Write::write_all(&mut fs::OpenOptions::new().write(true).open(file)?, word.as_bytes())
    }

    fn is_open(&self, file: &Path) -> io::Result<bool> {
        match fs::OpenOptions::new().read(true).write(true).open(file) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(true),
            opened => unless_absent(opened).map(|_| false),
        }
    }
}

/// The kernel's files below a root: `/`, or a test's folder.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    kernel: Arc<dyn Kernel>,
}

/// A device as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where it is.
    pub address: PciAddress,
    /// Its maker's number.
    pub vendor: u16,
    /// Its number.
    pub device: u16,
    /// What it is: base class, class and interface.
    pub class: u32,
    /// Its IOMMU group; none where no IOMMU is on.
    pub group: Option<u32>,
    /// The NUMA node that it is near.
    pub numa_node: Option<u32>,
    /// The driver that has it.
    pub driver: Option<String>,
    /// Whether the kernel can reset it by itself.
    pub resettable: bool,
    /// Whether the host's firmware has put its console on it.
    pub console: bool,
    /// Whether it is a part that another device lends out.
    pub lent: bool,
}

impl Tree {
    /// The files below a root, written to by that kernel.
    pub fn new(root: PathBuf, kernel: Arc<dyn Kernel>) -> Self {
        Self { root, kernel }
    }

    /// A file below the root.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The folder of a device.
    pub fn device(&self, address: &PciAddress) -> PathBuf {
        self.at("sys/bus/pci/devices").join(address.as_str())
    }

    /// The folder of a driver.
    pub fn driver(&self, name: &str) -> PathBuf {
        self.at("sys/bus/pci/drivers").join(name)
    }

    /// The file by which a program gets at the devices of a group.
    pub fn group_file(&self, group: u32) -> PathBuf {
        self.at("dev/vfio").join(group.to_string())
    }

    /// Every device, by address. A host without a PCI bus has none.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        let Some(entries) = unless_absent(fs::read_dir(self.at("sys/bus/pci/devices")))? else {
            return Ok(Vec::new());
        };
        let mut devices = Vec::new();
        for entry in entries {
            if let Ok(address) = entry?.file_name().to_string_lossy().parse()
                && let Some(device) = self.look(&address)?
            {
                devices.push(device);
            }
        }
        devices.sort_by(|a: &Device, b| a.address.cmp(&b.address));
        Ok(devices)
    }

    /// A device, if it is there. One that goes while it is looked at is not.
    pub fn look(&self, address: &PciAddress) -> io::Result<Option<Device>> {
        let folder = self.device(address);
        let number = |name: &str| Ok::<_, io::Error>(word(&folder.join(name))?.and_then(|word| hex(&word)));
        let (Some(vendor), Some(device), Some(class)) =
            (number("vendor")?, number("device")?, number("class")?)
        else {
            return Ok(None);
        };
        let node = word(&folder.join("numa_node"))?;
        Ok(Some(Device {
            address: address.clone(),
            vendor: vendor as u16,
            device: device as u16,
            class,
            group: link(&folder.join("iommu_group"))?.and_then(|name| name.parse().ok()),
            // Minus one says that the host has no such nodes, or does not tell.
            numa_node: node.and_then(|node| node.parse().ok()),
            driver: link(&folder.join("driver"))?,
            resettable: folder.join("reset").exists(),
            console: word(&folder.join("boot_vga"))?.as_deref() == Some("1"),
            lent: fs::symlink_metadata(folder.join("physfn")).is_ok(),
        }))
    }

    /// The largest window of memory that a device opens to programs, in bytes.
    pub fn largest_window(&self, address: &PciAddress) -> io::Result<u64> {
        let windows = unless_absent(fs::read_to_string(self.device(address).join("resource")))?;
        let size = |line: &str| {
            let mut numbers = line.split_whitespace().map(|word| hex64(word).unwrap_or(0));
            let (first, last) = (numbers.next()?, numbers.next()?);
            (last > first).then(|| last - first + 1)
        };
        Ok(windows.unwrap_or_default().lines().filter_map(size).max().unwrap_or(0))
    }

    /// Whether a device answers: one that has fallen off its bus reads as all ones.
    pub fn answers(&self, device: &Device) -> io::Result<bool> {
        let mut first = [0; 2];
        fs::File::open(self.device(&device.address).join("config"))?.read_exact(&mut first)?;
        Ok(u16::from_le_bytes(first) == device.vendor)
    }

    /// Whether a program has the devices of a group open. Nobody opens them at the same time.
    pub fn is_open(&self, group: Option<u32>) -> io::Result<bool> {
        group.map_or(Ok(false), |group| self.kernel.is_open(&self.group_file(group)))
    }

    /// Writes a word to one of the kernel's files. The kernel may take its time: no thread of the runtime's
    /// waits for it, and nobody for longer than a limit. What the device cannot do at all is
    /// [unsupported](io::ErrorKind::Unsupported).
    pub async fn write(&self, file: PathBuf, word: impl Into<String>) -> io::Result<()> {
        let (kernel, word) = (self.kernel.clone(), word.into());
        let shown = format!("{} to {}", word.trim(), file.display());
        let told = |error: io::Error| {
            // "No such operation", as the kernel puts it.
            let none = error.raw_os_error() == Some(nix::libc::ENOTTY);
            let kind = if none { io::ErrorKind::Unsupported } else { error.kind() };
            io::Error::new(kind, format!("write {shown}: {error}"))
        };
        let writing = tokio::task::spawn_blocking(move || kernel.write(&file, &word));
        match tokio::time::timeout(KERNEL_MAX, writing).await {
            Ok(written) => written.unwrap_or_else(|gone| Err(io::Error::other(gone))).map_err(told),
            Err(_) => Err(told(io::Error::other(format!("the kernel takes longer than {KERNEL_MAX:?}")))),
        }
    }
}

/// What a one-line file says.
pub fn word(file: &Path) -> io::Result<Option<String>> {
    Ok(unless_absent(fs::read_to_string(file))?.map(|text| text.trim().to_owned()))
}

/// The last name of what a link leads to.
fn link(file: &Path) -> io::Result<Option<String>> {
    let target = unless_absent(fs::read_link(file))?;
    Ok(target.and_then(|target| Some(target.file_name()?.to_string_lossy().into_owned())))
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

fn hex64(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}
