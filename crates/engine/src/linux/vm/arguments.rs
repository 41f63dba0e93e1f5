//! The command line of a machine's QEMU.
//!
//! **Invariant**: it holds nothing secret (every user of the host can read it), and no text of a user's:
//! only ids, numbers, and paths made from ids.

use std::os::fd::RawFd;
use std::path::Path;

use deckle_api::ids::MachineId;
use serde_json::{Value, json};

use super::desktop;
use crate::linux::folder::Folder;
use crate::pci::PciAddress;
use crate::seen::Acceleration;
use crate::specs::BootSpec;

/// What a QEMU gives up at its start: old system calls, more rights, programs, priorities.
pub const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// The descriptors that QEMU is started with, by their numbers.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors {
    /// The machine's port.
    pub tap: RawFd,
    /// The listening socket for commands.
    pub qmp: RawFd,
    /// The listening socket that leads to the guest's agent.
    pub agent: RawFd,
}

/// All arguments of a machine's QEMU.
pub fn of_machine(
    spec: &BootSpec,
    folder: &Folder,
    disk_bytes: u64,
    acceleration: &Acceleration,
    descriptors: Descriptors,
) -> Vec<String> {
    let Descriptors { tap, qmp, agent } = descriptors;
    let mut line = Line::default();
    line.add("-name", format!("guest={}", spec.machine));
    line.add("-uuid", uuid(&spec.machine));
    line.all(machine(acceleration));
    line.add("-smp", spec.vcpus.to_string());
    line.add("-m", format!("{}M", spec.ram_bytes >> 20));
    line.all(alone());
    line.all(disk(folder, disk_bytes));
    line.all(seed(folder));
    line.add("-netdev", format!("tap,id=nic,fd={tap},vhost=off"));
    line.add("-device", format!("virtio-net-pci,netdev=nic,mac={},romfile=", spec.nic.mac));
    line.add("-device", "virtio-serial-pci");
    line.add("-chardev", format!("socket,id=agent,fd={agent},server=on,wait=off"));
    line.add("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    line.add("-object", "rng-random,id=rng,filename=/dev/urandom");
    line.add("-device", "virtio-rng-pci,rng=rng");
    line.add("-chardev", format!("file,id=serial,path={},append=on", option(&folder.serial_log())));
    line.add("-serial", "chardev:serial");
    line.add("-chardev", format!("socket,id=qmp,fd={qmp},server=on,wait=off"));
    line.add("-mon", "chardev=qmp,mode=control");
    if spec.desktop.is_some() {
        line.all(desktop::arguments());
    }
    line.0
}

/// What a device of the host's is named by.
const HOST: &str = "vfio-pci,host=";

/// The devices of GPUs, each given as its functions. Each GPU is behind a port of its own, as on a board, so
/// that its driver finds a PCI Express device. What its ROM holds is not run: no guest boots from it, and the
/// ROM of a card that the host has booted with may be damaged.
pub fn of_gpus(gpus: &[Vec<PciAddress>]) -> Vec<String> {
    let mut line = Line::default();
    for (slot, functions) in (1..).zip(gpus) {
        line.add("-device", format!("pcie-root-port,id=gpu{slot},bus=pcie.0,chassis={slot},slot={slot}"));
        let several = if functions.len() > 1 { ",multifunction=on" } else { "" };
        for (number, address) in functions.iter().enumerate() {
            let several = if number == 0 { several } else { "" };
            line.add("-device", format!("{HOST}{address},bus=gpu{slot},addr=00.{number}{several},rombar=0"));
        }
    }
    line.0
}

/// The GPUs in a command line, a zero byte after each word: the first function of each.
pub fn gpus(line: &str) -> Vec<PciAddress> {
    let devices = line.split('\0').filter_map(|word| word.strip_prefix(HOST));
    let firsts = devices.filter(|device| device.contains(",addr=00.0"));
    firsts.filter_map(|device| device.split(',').next()?.parse().ok()).collect()
}

/// The board and the processor.
fn machine(acceleration: &Acceleration) -> Vec<String> {
    // QEMU's own bound of translated code is as large as its share of memory; this one the cgroup has room for.
    let (accelerator, cpu) = match acceleration {
        Acceleration::Kvm => ("kvm", "host"),
        Acceleration::Tcg { .. } | Acceleration::Pretended => ("tcg,thread=multi,tb-size=256", "max"),
    };
    ["-machine", "q35,dump-guest-core=off", "-accel", accelerator, "-cpu", cpu].map(str::to_owned).to_vec()
}

/// Nothing that was not asked for, nobody's configuration, nowhere to go.
fn alone() -> Vec<String> {
    let words = ["-nodefaults", "-no-user-config", "-display", "none", "-sandbox", SANDBOX];
    // A guest that shuts down stays to be looked at; one that reboots goes on.
    let ends = ["-action", "shutdown=pause,reboot=reset", "-boot", "strict=on", "-msg", "timestamp=on"];
    words.into_iter().chain(ends).map(str::to_owned).collect()
}

/// The disk and the image under it, each file named here: what the disk's header says is not followed.
fn disk(folder: &Folder, disk_bytes: u64) -> Vec<String> {
    let cache = json!({ "direct": false, "no-flush": false });
    let file = |name: &str, path: &Path| json!({ "node-name": name, "driver": "file", "filename": path, "discard": "unmap", "cache": cache });
    let mut template_file = file("template-file", &folder.template());
    template_file["read-only"] = json!(true);
    let template = json!({ "node-name": "template", "driver": "qcow2", "file": "template-file",
        "read-only": true, "backing": null });
    let disk = json!({ "node-name": "disk", "driver": "qcow2", "file": "disk-file", "backing": "template",
        "discard": "unmap", "cache": cache, "refcount-cache-size": refcount_cache_bytes(disk_bytes) });
    let device = "virtio-blk-pci,drive=disk,id=disk,bootindex=1,werror=enospc,rerror=report";
    let mut line = Line::default();
    for node in [template_file, template, file("disk-file", &folder.disk()), disk] {
        line.node(&node);
    }
    line.add("-device", device);
    line.0
}

fn seed(folder: &Folder) -> Vec<String> {
    let mut line = Line::default();
    line.node(&json!({ "node-name": "seed-file", "driver": "file", "filename": folder.seed(),
        "read-only": true }));
    line.node(&json!({ "node-name": "seed", "driver": "raw", "file": "seed-file", "read-only": true }));
    line.add("-device", "virtio-blk-pci,drive=seed,id=seed");
    line.0
}

/// A cache of the whole refcount table: without it, deleting a snapshot of a large disk takes seconds while
/// the guest waits. 1 MiB serves 32 GiB.
pub fn refcount_cache_bytes(disk_bytes: u64) -> u64 {
    const DISK_BYTES_PER_CACHE_BYTE: u64 = 32 * 1024;
    const STEP: u64 = 1 << 20;
    const MAX: u64 = 64 << 20;
    disk_bytes.div_ceil(DISK_BYTES_PER_CACHE_BYTE).next_multiple_of(STEP).clamp(STEP, MAX)
}

/// A machine's number to the guest's firmware: its id, read as one number, in a UUID of version 8.
pub fn uuid(machine: &MachineId) -> String {
    let digits = machine.as_str().bytes().map(|byte| (byte as char).to_digit(36).unwrap_or_default());
    let number = digits.fold(0u128, |number, digit| number * 36 + u128::from(digit));
    let (high, low) = ((number >> 62) as u64, (number & ((1 << 62) - 1)) as u64);
    let (first, second) = (high >> 28, (high >> 12) & 0xffff);
    let (fourth, fifth) = (0x8000 | (low >> 48), low & 0xffff_ffff_ffff);
    format!("{first:08x}-{second:04x}-8{:03x}-{fourth:04x}-{fifth:012x}", high & 0xfff)
}

/// A path inside a comma-separated option.
fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[derive(Debug, Default)]
struct Line(Vec<String>);

impl Line {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.extend([name.to_owned(), value.into()]);
    }

    fn all(&mut self, more: Vec<String>) {
        self.0.extend(more);
    }

    fn node(&mut self, node: &Value) {
        self.add("-blockdev", node.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::paths::{Paths, Tag};
    use crate::linux::vm::tests::boot_spec;
    use crate::specs::DesktopSpec;

    const EXPECTED: &str = include_str!("arguments.expected");

    #[test]
    fn the_whole_command_line_is_as_written_down() {
        let spec = boot_spec(1);
        let folder = Folder::of(&Paths::new(Tag::mint(1), "/state, mine".into()), &spec.machine);
        let descriptors = Descriptors { tap: 11, qmp: 12, agent: 13 };
        let tcg = Acceleration::Tcg { because: "a test".into() };
        let said = of_machine(&spec, &folder, 50 << 30, &tcg, descriptors);
        let words = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| json!(line));
        let said_words: Vec<Value> = said.iter().map(|line| words(line)).collect();
        let expected: Vec<Value> = EXPECTED.lines().map(words).collect();
        assert_eq!(said_words, expected, "{}", said.join("\n"));
        let seen = DesktopSpec { password: "8letters".to_owned() };
        let seen = BootSpec { desktop: Some(seen), ..spec.clone() };
        let seen = of_machine(&seen, &folder, 50 << 30, &tcg, descriptors);
        let (same, more) = seen.split_at(said.len());
        assert_eq!(same, said);
        let told = "-vnc none,password=on -device VGA -device qemu-xhci -device usb-tablet -S";
        assert_eq!(more.join(" "), told);
        let by_kvm = of_machine(&spec, &folder, 50 << 30, &Acceleration::Kvm, descriptors).join(" ");
        assert!(by_kvm.contains("-accel kvm -cpu host"), "{by_kvm}");
    }

    #[test]
    fn each_gpu_has_a_port_and_all_its_functions() {
        let address = |text: &str| text.parse::<PciAddress>().unwrap();
        let card = vec![address("0000:41:00.0"), address("0000:41:00.1")];
        let lone = vec![address("10000:e1:00.0")];
        let said = of_gpus(&[card.clone(), lone.clone()]);
        let expected = [
            "pcie-root-port,id=gpu1,bus=pcie.0,chassis=1,slot=1",
            "vfio-pci,host=0000:41:00.0,bus=gpu1,addr=00.0,multifunction=on,rombar=0",
            "vfio-pci,host=0000:41:00.1,bus=gpu1,addr=00.1,rombar=0",
            "pcie-root-port,id=gpu2,bus=pcie.0,chassis=2,slot=2",
            "vfio-pci,host=10000:e1:00.0,bus=gpu2,addr=00.0,rombar=0",
        ];
        assert_eq!(said, expected.map(|device| ["-device", device]).concat());
        assert_eq!(gpus(&said.join("\0")), [card[0].clone(), lone[0].clone()]);
        assert_eq!(of_gpus(&[]), Vec::<String>::new());
    }

    #[test]
    fn ids_that_differ_have_numbers_that_differ() {
        let uuid_of = |text: &str| uuid(&text.parse().unwrap());
        assert_eq!(uuid_of("ps1"), "00000000-0000-8000-8000-000000008281");
        assert_ne!(uuid_of("pszzzzzzzzzzzzzzzz"), uuid_of("pszzzzzzzzzzzzzzzy"));
        assert_eq!(uuid_of("pszzzzzzzzzzzzzzzz").len(), 36);
    }

    #[test]
    fn the_refcount_cache_grows_with_the_disk() {
        let mib = |gib: u64| refcount_cache_bytes(gib << 30) >> 20;
        assert_eq!([mib(1), mib(32), mib(50), mib(2000), mib(16_000)], [1, 1, 2, 63, 64]);
    }
}
