//! A made-up host in a folder, and a kernel that does to its files what the real one does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use deckle_api::ids::MachineId;
use tempfile::TempDir;

use super::super::tree::Kernel;
use super::super::{Gpus, VFIO};
use crate::linux::Settings;
use crate::linux::folder::Owners;
use crate::linux::paths::{Paths, Tag};
use crate::linux::process::Process;
use crate::linux::vm::running::RunFile;
use crate::pci::PciAddress;
use crate::seen::{Check, GpuTrouble, Verdict};

/// The user that the first machine's QEMU runs as.
pub const FIRST_UID: u32 = 70_000;

pub struct Host {
    folder: TempDir,
    pub kernel: Arc<Kern>,
    pub paths: Paths,
    pub settings: Settings,
}

/// A kernel that a test can make fail.
#[derive(Debug)]
pub struct Kern {
    root: PathBuf,
    /// What was written, in order: the file's last names, and the word.
    pub said: Mutex<Vec<String>>,
    pub stubborn: Mutex<BTreeSet<String>>,
    /// The functions that cannot be reset one by one.
    pub joined: Mutex<BTreeSet<String>>,
    /// The groups that a program has open.
    pub open: Mutex<BTreeSet<PathBuf>>,
    /// After how many writes every other one fails, as if the server had ended there.
    pub ends_after: Mutex<Option<usize>>,
}

pub fn at(text: &str) -> PciAddress {
    text.parse().unwrap()
}

/// What a made-up device is.
pub struct Made<'a> {
    pub numbers: (u16, u16),
    pub class: u32,
    pub group: Option<u32>,
    pub node: i32,
    pub driver: Option<&'a str>,
}

pub const A100: (u16, u16) = (0x10de, 0x20b0);

impl Made<'_> {
    pub fn gpu(group: u32, node: i32) -> Self {
        Made { numbers: A100, class: 0x03_0200, group: Some(group), node, driver: Some("nvidia") }
    }

    pub fn audio(group: u32) -> Self {
        let driver = Some("snd_hda_intel");
        Made { numbers: (0x10de, 0x1aef), class: 0x04_0300, group: Some(group), node: 0, driver }
    }

    pub fn bridge(group: u32) -> Self {
        let driver = Some("pcieport");
        Made { numbers: (0x8086, 0x1901), class: 0x06_0400, group: Some(group), node: 0, driver }
    }

    pub fn disk(group: u32) -> Self {
        let driver = Some("nvme");
        Made { numbers: (0x144d, 0xa80a), class: 0x01_0802, group: Some(group), node: 0, driver }
    }
}

impl Host {
    /// A host with an IOMMU and vfio-pci, and without devices.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("host");
        let kernel = Arc::new(Kern {
            root: root.clone(),
            said: Mutex::default(),
            stubborn: Mutex::default(),
            joined: Mutex::default(),
            open: Mutex::default(),
            ends_after: Mutex::default(),
        });
        let paths = Paths::new(Tag::mint(1), folder.path().join("state"));
        let settings = Settings { host_root: Some(root), ..Settings::default() };
        let host = Self { folder, kernel, paths, settings };
        host.file("sys/bus/pci/drivers_probe", "");
        host.file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n");
        host.file("proc/sys/kernel/osrelease", "6.1.0-test\n");
        host.file("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
        host.driver(VFIO);
        host
    }

    pub fn gpus(&self) -> Gpus {
        Gpus::under(self.paths.clone(), &self.settings, self.kernel.clone())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("host").join(path)
    }

    pub fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub fn driver(&self, name: &str) {
        for file in ["bind", "unbind"] {
            self.file(&format!("sys/bus/pci/drivers/{name}/{file}"), "");
        }
    }

    pub fn device(&self, address: &str, made: Made) {
        let folder = format!("sys/bus/pci/devices/{address}");
        let (vendor, device) = made.numbers;
        self.file(&format!("{folder}/vendor"), format!("0x{vendor:04x}\n"));
        self.file(&format!("{folder}/device"), format!("0x{device:04x}\n"));
        self.file(&format!("{folder}/class"), format!("0x{:06x}\n", made.class));
        self.file(&format!("{folder}/numa_node"), format!("{}\n", made.node));
        self.file(&format!("{folder}/config"), [vendor.to_le_bytes(), device.to_le_bytes()].concat());
        self.file(&format!("{folder}/driver_override"), "(null)\n");
        self.file(&format!("{folder}/reset"), "");
        if let Some(group) = made.group {
            let target = format!("../../../../kernel/iommu_groups/{group}");
            symlink(target, self.path(&format!("{folder}/iommu_group"))).unwrap();
        }
        if let Some(driver) = made.driver {
            self.driver(driver);
            symlink(format!("../../drivers/{driver}"), self.path(&format!("{folder}/driver"))).unwrap();
        }
    }

    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// A machine with a folder and a user of its own.
    pub fn machine(&self, number: u64) -> MachineId {
        let machine = MachineId::mint(number);
        Owners::new(self.paths.clone(), FIRST_UID).ensure(&machine).unwrap();
        machine
    }

    /// The machine runs with a GPU: this very process is its QEMU.
    pub fn runs(&self, machine: &MachineId, gpu: &str) {
        let (folder, _) = Owners::new(self.paths.clone(), FIRST_UID).ensure(machine).unwrap();
        let process = Process::of_pid(std::process::id()).unwrap();
        let note = RunFile { process, gpus: vec![at(gpu)], ..RunFile::new(1).unwrap() };
        note.write(&folder).unwrap();
    }

    pub fn ends(&self, machine: &MachineId) {
        fs::remove_file(self.paths.machine(machine).join("run.json")).unwrap();
    }

    pub fn driver_of(&self, address: &str) -> Option<String> {
        let link = fs::read_link(self.path(&format!("sys/bus/pci/devices/{address}/driver"))).ok()?;
        Some(link.file_name().unwrap().to_str().unwrap().to_owned())
    }

    /// Why the only GPU cannot be given, if it cannot, and what doctor says of it.
    pub fn trouble(&self) -> (Option<GpuTrouble>, Vec<Check>) {
        let [gpu] = self.gpus().look().unwrap().try_into().expect("there is one GPU");
        (
            gpu.trouble,
            self.gpus().checks().into_iter().filter(|check| check.verdict != Verdict::Good).collect(),
        )
    }
}

impl Kern {
    /// What was written since the last time.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }

    fn device(&self, address: &str) -> PathBuf {
        self.root.join("sys/bus/pci/devices").join(address)
    }

    fn link(&self, address: &str, driver: &str) -> io::Result<()> {
        symlink(format!("../../drivers/{driver}"), self.device(address).join("driver"))?;
        if driver == VFIO {
            let group = fs::read_link(self.device(address).join("iommu_group"))?;
            let files = self.root.join("dev/vfio");
            fs::create_dir_all(&files)?;
            fs::write(files.join(group.file_name().unwrap()), "")?;
        }
        Ok(())
    }
}

impl Kernel for Kern {
    fn is_open(&self, file: &Path) -> io::Result<bool> {
        Ok(self.open.lock().unwrap().contains(file))
    }

    fn write(&self, file: &Path, word: &str) -> io::Result<()> {
        if let Some(left) = self.ends_after.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the server has ended"))?;
        }
        let mut names = file.iter().rev().map(|name| name.to_str().unwrap());
        let (name, of) = (names.next().unwrap(), names.next().unwrap());
        self.said.lock().unwrap().push(format!("{of}/{name} {}", word.trim()));
        match name {
            "driver_override" => fs::write(file, word),
            "unbind" => {
                assert_eq!(fs::read_link(self.device(word).join("driver"))?.file_name().unwrap(), of);
                fs::remove_file(self.device(word).join("driver"))
            }
            "bind" => self.link(word, of),
            "drivers_probe" => {
                let wanted = fs::read_to_string(self.device(word).join("driver_override"))?;
                let free = fs::symlink_metadata(self.device(word).join("driver")).is_err();
                if free { self.link(word, wanted.trim()) } else { Ok(()) }
            }
            "reset" if self.stubborn.lock().unwrap().contains(of) => {
                Err(io::Error::from_raw_os_error(nix::libc::ETIMEDOUT))
            }
            "reset" if self.joined.lock().unwrap().contains(of) => {
                Err(io::Error::from_raw_os_error(nix::libc::ENOTTY))
            }
            "reset" => Ok(()),
            other => panic!("{other} is no file that is written to"),
        }
    }
}
