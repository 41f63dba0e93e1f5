//! Which of a host's devices are GPUs, and what keeps each from being given to a machine.

use std::fs;
use std::io;

use super::block::Block;
use super::models;
use super::tree::{Device, Tree, word};
use crate::pci::PciAddress;

/// The makers of GPUs: what others make is for a console.
const MAKERS: [u16; 3] = [0x10de, 0x1002, 0x8086];
/// The classes of GPUs: with a screen, for computing alone, another display, an accelerator.
const CLASSES: [u32; 4] = [0x0300, 0x0302, 0x0380, 0x1200];
/// The classes of bridges, which belong to the host and hinder nothing.
const BRIDGES: [u32; 2] = [0x0600, 0x0604];
/// The smallest window that is taken for a GPU's whole memory, in bytes: smaller ones only look into it.
const WHOLE_MEMORY_MIN: u64 = 1 << 30;

/// The driver that hands devices to programs.
pub const VFIO: &str = "vfio-pci";

/// A GPU, with the functions that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// The function that is the GPU.
    pub device: Device,
    /// All that goes to a machine along with it, itself first: its audio and USB functions.
    pub functions: Vec<Device>,
    /// Its model's name, or its numbers.
    pub model: String,
    /// Its memory in bytes, where that can be told.
    pub memory_bytes: Option<u64>,
    /// What keeps it from being given to a machine.
    pub block: Option<Block>,
}

/// The GPUs of a host, by address: those that are listed, or every one. `ours` were taken from the host by this
/// installation, so that what has them open is a machine of its own.
pub fn look(tree: &Tree, listed: Option<&[PciAddress]>, ours: &[PciAddress]) -> io::Result<Vec<Gpu>> {
    let devices = tree.devices()?;
    let is_ours = |device: &&Device| listed.is_none_or(|listed| listed.contains(&device.address));
    devices
        .iter()
        .filter(|device| is_gpu(device))
        .filter(is_ours)
        .map(|device| gpu(tree, device, &devices, (listed, ours)))
        .collect()
}

fn is_gpu(device: &Device) -> bool {
    !device.lent && MAKERS.contains(&device.vendor) && CLASSES.contains(&(device.class >> 8))
}

fn gpu(
    tree: &Tree,
    device: &Device,
    all: &[Device],
    (listed, ours): (Option<&[PciAddress]>, &[PciAddress]),
) -> io::Result<Gpu> {
    let grouped = |other: &&Device| device.group.is_some() && other.group == device.group;
    let is_own = |other: &Device| other.address.slot() == device.address.slot();
    let along = all.iter().filter(grouped).filter(|other| is_own(other) && other.address != device.address);
    let functions: Vec<_> = std::iter::once(device).chain(along).cloned().collect();
    let strangers: Vec<_> = all
        .iter()
        .filter(grouped)
        .filter(|other| !is_own(other) && !BRIDGES.contains(&(other.class >> 8)))
        .cloned()
        .collect();
    let block = match block(tree, device, strangers)? {
        None if device.console && listed.is_none() => Some(Block::Console),
        None => hold(tree, &functions, ours.contains(&device.address))?,
        block => block,
    };
    let known = models::of(device.vendor, device.device);
    let window = tree.largest_window(&device.address)?;
    Ok(Gpu {
        model: known.map_or_else(
            || format!("{:04x}:{:04x}", device.vendor, device.device),
            |model| model.name.to_owned(),
        ),
        memory_bytes: known
            .map(|model| model.memory_gib << 30)
            .or((window >= WHOLE_MEMORY_MIN).then_some(window)),
        device: device.clone(),
        functions,
        block,
    })
}

/// What the host's set-up keeps from machines.
fn block(tree: &Tree, device: &Device, strangers: Vec<Device>) -> io::Result<Option<Block>> {
    let Some(group) = device.group else { return Ok(Some(Block::NoIommu { cpu: cpu(tree)? })) };
    let name = word(&tree.at(format!("sys/kernel/iommu_groups/{group}/name")))?;
    if name.as_deref() == Some("vfio-noiommu") {
        return Ok(Some(Block::NoIommu { cpu: cpu(tree)? }));
    }
    if !strangers.is_empty() {
        return Ok(Some(Block::Shared { group, with: strangers }));
    }
    Ok((!has_vfio(tree)?).then_some(Block::NoVfio))
}

/// What holds a driver on one of a GPU's functions.
fn hold(tree: &Tree, functions: &[Device], ours: bool) -> io::Result<Option<Block>> {
    for function in functions {
        let Some(driver) = function.driver.as_deref() else { continue };
        if ours && driver == VFIO {
            continue;
        }
        let (address, driver) = (function.address.clone(), driver.to_owned());
        if !tree.driver(&driver).join("unbind").exists() {
            return Ok(Some(Block::Stuck { address, driver }));
        }
        let users = users(tree, function)?;
        if !users.is_empty() {
            return Ok(Some(Block::Busy { address, driver, users }));
        }
    }
    Ok(None)
}

/// Whether the kernel has the driver that hands devices over, or can load it.
pub fn has_vfio(tree: &Tree) -> io::Result<bool> {
    if tree.driver(VFIO).exists() {
        return Ok(true);
    }
    let release = word(&tree.at("proc/sys/kernel/osrelease"))?.unwrap_or_default();
    let listed =
        fs::read_to_string(tree.at(format!("lib/modules/{release}/modules.dep"))).unwrap_or_default();
    Ok(listed.lines().any(|line| line.contains("/vfio-pci.ko")))
}

/// The maker of the host's processor.
fn cpu(tree: &Tree) -> io::Result<String> {
    let facts = fs::read_to_string(tree.at("proc/cpuinfo")).unwrap_or_default();
    let maker = facts.lines().find_map(|line| line.strip_prefix("vendor_id")?.split_once(':'));
    Ok(maker.map_or_else(String::new, |(_, maker)| maker.trim().to_owned()))
}

/// The programs that have a device's files open, each by its name and number. A driver that is taken from
/// a device which a program uses waits for that program, perhaps for ever.
fn users(tree: &Tree, device: &Device) -> io::Result<Vec<String>> {
    const SHOWN: usize = 5;
    let files = files(tree, device)?;
    let mut users = Vec::new();
    if files.is_empty() {
        return Ok(users);
    }
    for entry in fs::read_dir(tree.at("proc"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && opens(tree, &name, &files) {
            let program = word(&tree.at(format!("proc/{name}/comm")))?.unwrap_or_default();
            users.push(format!("{program} ({name})"));
        }
    }
    users.sort();
    users.truncate(SHOWN);
    Ok(users)
}

/// A process that ends while it is looked at has nothing open.
fn opens(tree: &Tree, process: &str, files: &[String]) -> bool {
    let Ok(open) = fs::read_dir(tree.at(format!("proc/{process}/fd"))) else { return false };
    open.flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| files.iter().any(|file| target.as_os_str() == file.as_str()))
}

/// The files by which programs use a device.
fn files(tree: &Tree, device: &Device) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    if device.driver.as_deref() == Some(VFIO) {
        files.extend(device.group.map(|group| format!("/dev/vfio/{group}")));
    }
    if let Ok(entries) = fs::read_dir(tree.device(&device.address).join("drm")) {
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        files.extend(names.map(|name| format!("/dev/dri/{name}")));
    }
    let facts = tree.at(format!("proc/driver/nvidia/gpus/{}/information", device.address));
    let facts = fs::read_to_string(facts).unwrap_or_default();
    let number = facts.lines().find_map(|line| line.strip_prefix("Device Minor:"));
    files.extend(number.map(|number| format!("/dev/nvidia{}", number.trim())));
    Ok(files)
}
