//! What `deckle doctor` says of GPUs. A host without them, or that keeps them, is only *weak*: machines
//! without GPUs run all the same.

use std::fs;
use std::io;

use super::block::Block;
use super::inventory::{self, Gpu, VFIO};
use super::note::Notes;
use super::tree::Tree;
use crate::pci::PciAddress;
use crate::seen::{Check, Verdict};

/// Every check.
pub fn of(tree: &Tree, notes: &Notes, listed: Option<&[PciAddress]>) -> Vec<Check> {
    looked(tree, notes, listed).unwrap_or_else(|error| {
        let found = format!("The host's devices cannot be looked at: {error}.");
        vec![Check::new("gpu", Verdict::Weak, found, "run `deckle doctor` as root")]
    })
}

fn looked(tree: &Tree, notes: &Notes, listed: Option<&[PciAddress]>) -> io::Result<Vec<Check>> {
    let ours: Vec<_> = notes.all()?.into_iter().map(|(gpu, _)| gpu).collect();
    let gpus = inventory::look(tree, listed, &ours)?;
    let mut checks = missing(&gpus, listed);
    if gpus.is_empty() {
        if checks.is_empty() {
            checks
                .push(Check::good("gpu", "This host has no GPU to give: types with GPUs are not available."));
        }
        return Ok(checks);
    }
    checks.push(iommu(&gpus));
    checks.push(vfio(tree)?);
    checks.push(memory(tree));
    for gpu in &gpus {
        checks.push(one(gpu, notes)?);
    }
    Ok(checks)
}

/// What the settings list and the host does not have.
fn missing(gpus: &[Gpu], listed: Option<&[PciAddress]>) -> Vec<Check> {
    let absent = |address: &&PciAddress| gpus.iter().all(|gpu| gpu.device.address != **address);
    let listed = listed.unwrap_or_default().iter().filter(absent);
    listed
        .map(|address| {
            let found = format!("The setting `gpus` names {address}, which is no GPU of this host.");
            Check::new(&name(address), Verdict::Weak, found, "correct `gpus` in [linux]")
        })
        .collect()
}

fn iommu(gpus: &[Gpu]) -> Check {
    let off =
        gpus.iter().filter_map(|gpu| gpu.block.as_ref()).find(|block| matches!(block, Block::NoIommu { .. }));
    match off {
        Some(block) => Check::new("iommu", Verdict::Weak, sentence(&block.found()), block.cure()),
        None => Check::good("iommu", "The IOMMU is on."),
    }
}

fn vfio(tree: &Tree) -> io::Result<Check> {
    Ok(match (tree.driver(VFIO).exists(), inventory::has_vfio(tree)?) {
        (true, _) => Check::good(VFIO, "vfio-pci is loaded."),
        (false, true) => Check::good(VFIO, "vfio-pci is loaded when a machine needs it."),
        (false, false) => {
            Check::new(VFIO, Verdict::Weak, sentence(&Block::NoVfio.found()), Block::NoVfio.cure())
        }
    })
}

/// A machine with a GPU has all its memory locked, because the GPU may write to any of it.
fn memory(tree: &Tree) -> Check {
    const NAME: &str = "locked memory";
    /// `CAP_SYS_RESOURCE`: to raise one's own limits.
    const RAISES: u64 = 1 << 24;
    let text = |file: &str| fs::read_to_string(tree.at(file)).unwrap_or_default();
    let status = text("proc/self/status");
    let may = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let may = may.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    let limits = text("proc/self/limits");
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let most = limit.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("0");
    if may & RAISES != 0 || most == "unlimited" {
        return Check::good(NAME, "QEMU may lock a machine's whole memory.");
    }
    let found =
        format!("QEMU may lock {most} bytes of memory, and a machine with a GPU needs all of its own.");
    let cure = "start the server with `LimitMEMLOCK=infinity`, or with the capability CAP_SYS_RESOURCE";
    Check::new(NAME, Verdict::Weak, found, cure)
}

fn one(gpu: &Gpu, notes: &Notes) -> io::Result<Check> {
    let address = &gpu.device.address;
    let what = described(gpu);
    if let Some(failure) = notes.read(address)?.failure {
        let cure = format!("look at the card, then `deckle admin gpu release {address}`");
        return Ok(Check::new(
            &name(address),
            Verdict::Weak,
            format!("{what}: out of use, {failure}."),
            cure,
        ));
    }
    Ok(match &gpu.block {
        Some(block) => {
            let found = format!("{what}: it cannot be given to a machine: {}.", block.found());
            Check::new(&name(address), Verdict::Weak, found, block.cure())
        }
        None => {
            let along = match gpu.functions.len() {
                1 => String::new(),
                more => format!(", with {} more functions of its card", more - 1),
            };
            let reset = if gpu.device.resettable { "" } else { "; only vfio-pci can reset it" };
            Check::good(&name(address), format!("{what}: it can be given to a machine{along}{reset}."))
        }
    })
}

/// `A100-80G, 80 GiB, NUMA node 1, IOMMU group 33, driver nvidia`.
fn described(gpu: &Gpu) -> String {
    let device = &gpu.device;
    let parts = [
        gpu.memory_bytes.map(|bytes| format!("{} GiB", bytes >> 30)),
        device.numa_node.map(|node| format!("NUMA node {node}")),
        device.group.map(|group| format!("IOMMU group {group}")),
        device.driver.as_ref().map(|driver| format!("driver {driver}")),
    ];
    std::iter::once(gpu.model.clone()).chain(parts.into_iter().flatten()).collect::<Vec<_>>().join(", ")
}

fn name(address: &PciAddress) -> String {
    format!("gpu {address}")
}

fn sentence(found: &str) -> String {
    let mut letters = found.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
