//! GPUs on a real kernel with a real IOMMU: those of a virtual machine, in which this very test runs again.
//!
//! The card there is one that QEMU pretends: an old AMD one with a second function. The kernel and its busybox
//! are those that the small guest was made from.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use deckle_api::ids::MachineId;
use deckle_engine::linux::folder::Owners;
use deckle_engine::linux::gpu::Gpus;
use deckle_engine::linux::paths::{Paths, Tag};
use deckle_engine::linux::vm::{QEMU, SANDBOX, arguments};
use deckle_engine::linux::{Settings, command};
use deckle_engine::pci::PciAddress;
use deckle_engine::seen::Verdict;

use crate::vm::place::{MIB, eventually};
use crate::vm::small_guest::image;

const THIS: &str = "vm::gpus::a_card_goes_to_qemu_whole_and_back_to_its_drivers";
/// Where this test finds itself inside.
const INSIDE: &str = "DECKLE_INSIDE";
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
depmod; modprobe virtio_pci; modprobe vfio_iommu_type1
DECKLE_INSIDE=1 /bin/test-itself --exact TEST --nocapture 2>&1
echo \"ended $?\"
poweroff -f
";
const UID: u32 = 70_000;

#[tokio::test]
async fn a_card_goes_to_qemu_whole_and_back_to_its_drivers() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (kernel, initrd) = (unpacked(folder.path()), folder.path().join("initrd"));
    fs::write(&initrd, archive(&folder.path().join("root"))).unwrap();
    let qemu = Command::new("timeout")
        .args(["180", QEMU, "-machine", "q35", "-accel", "tcg", "-cpu", "Nehalem"])
        .args(["-smp", "2", "-m", "2G", "-nodefaults", "-display", "none", "-vga", "std", "-no-reboot"])
        .args(["-serial", "stdio", "-device", "intel-iommu,intremap=on"])
        .args(["-device", "pcie-root-port,id=above,chassis=1,slot=1"])
        .args(["-device", "ati-vga,bus=above,addr=00.0,multifunction=on"])
        .args(["-device", "virtio-rng-pci,bus=above,addr=00.1,iommu_platform=on,disable-legacy=on"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0 intel_iommu=on quiet panic=-1"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[qemu.stdout, qemu.stderr].concat()).into_owned();
    assert!(said.contains("test result: ok. 1 passed") && said.contains("ended 0"), "{said}");
}

/// The kernel, and the tree of what runs on it.
fn unpacked(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    let (packages, bin) = (folder.join("packages"), root.join("bin"));
    for name in ["linux-image-", "busybox-static_"] {
        let package = cached(name);
        assert!(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&packages).status().unwrap().success());
    }
    for empty in ["bin", "dev", "proc", "sys", "state", "tmp", "usr/share/qemu"] {
        fs::create_dir_all(root.join(empty)).unwrap();
    }
    fs::copy(packages.join("bin/busybox"), bin.join("busybox")).unwrap();
    let modules = packages.join("lib/modules");
    for wanted in ["drivers/vfio", "drivers/virtio", "virt/lib", "drivers/char/hw_random"] {
        let version = only(&modules);
        let from = version.join("kernel").join(wanted);
        let to = root.join(version.strip_prefix(&packages).unwrap()).join("kernel").join(wanted);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if from.exists() {
            assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
        }
    }
    let programs = [(std::env::current_exe().unwrap(), "test-itself"), (program(QEMU), QEMU)];
    for (program, name) in programs {
        bring_libraries(&program, &root);
        fs::copy(program, bin.join(name)).unwrap();
    }
    for (folder, file) in [("seabios", "bios-256k.bin"), ("qemu", "kvmvapic.bin")] {
        fs::copy(Path::new("/usr/share").join(folder).join(file), root.join("usr/share/qemu").join(file))
            .unwrap();
    }
    fs::write(root.join("init"), INIT.replace("TEST", THIS)).unwrap();
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).unwrap();
    let boot = fs::read_dir(packages.join("boot")).unwrap().map(|entry| entry.unwrap().path());
    boot.into_iter().find(|file| file.display().to_string().contains("vmlinuz")).unwrap()
}

/// A package that the small guest was made from.
fn cached(name: &str) -> PathBuf {
    let cache = image().parent().unwrap().join("cache/small");
    let packages = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let mut named: Vec<_> =
        packages.filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(name)).collect();
    named.sort();
    named.pop().unwrap()
}

fn only(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists()).unwrap()
}

fn bring_libraries(program: &Path, root: &Path) {
    let said = Command::new("ldd").arg(program).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    for library in said.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new) {
        let to = root.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
}

/// A tree as the kernel unpacks it at its start: cpio, in its `newc` form. Links are not among it.
fn archive(root: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut add = |name: &str, mode: u32, bytes: &[u8]| {
        let (size, length) = (bytes.len(), name.len() + 1);
        let number = archive.len() as u32;
        write!(archive, "070701{number:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{size:08X}", 0, 0, 1, 0)
            .unwrap();
        write!(archive, "{:08X}{:08X}{:08X}{:08X}{length:08X}{:08X}{name}\0", 0, 0, 0, 0, 0).unwrap();
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(bytes);
        archive.resize(archive.len().next_multiple_of(4), 0);
    };
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            let facts = fs::metadata(&path).unwrap();
            add(name, facts.mode(), &if facts.is_dir() { Vec::new() } else { fs::read(&path).unwrap() });
            folders.extend(facts.is_dir().then_some(path));
        }
    }
    add("TRAILER!!!", 0, &[]);
    archive
}

/// On the kernel with the card.
async fn inside() {
    let paths = Paths::new(Tag::mint(1), "/state".into());
    let gpus = Gpus::new(paths.clone(), &Settings::default());
    let [gpu] = gpus.look().unwrap().try_into().unwrap();
    assert_eq!((gpu.model.as_str(), gpu.trouble), ("1002:5046", None));
    let bad: Vec<_> = gpus.checks().into_iter().filter(|check| check.verdict != Verdict::Good).collect();
    assert_eq!(bad, []);
    let functions: [PciAddress; 2] =
        ["0", "1"].map(|n| format!("{}.{n}", gpu.address.slot()).parse().unwrap());
    let drivers = || functions.each_ref().map(driver);
    let before = drivers();
    assert_eq!(before, [None, Some("virtio-pci".to_owned())]);

    let machine = MachineId::mint(1);
    Owners::new(paths.clone(), UID).ensure(&machine).unwrap();
    for round in ["the first time", "again"] {
        let taken = gpus.take(&machine, std::slice::from_ref(&gpu.address)).await.unwrap();
        assert_eq!((taken.len(), taken.concat()), (1, functions.to_vec()), "{round}");
        assert_eq!(drivers(), [Some("vfio-pci".to_owned()), Some("vfio-pci".to_owned())], "{round}");
        qemu_has_all_of_it(&taken).await;
        gpus.release(&machine).await.unwrap();
        assert_eq!(gpus.look().unwrap()[0].trouble, None, "{round}");
        let groups: Vec<_> = fs::read_dir("/dev/vfio").unwrap().map(|entry| entry.unwrap()).collect();
        assert!(groups.iter().all(|group| group.metadata().unwrap().uid() == 0), "{round}: {groups:?}");
    }
    gpus.give_back().await.unwrap();
    assert_eq!(drivers(), before);
    assert_eq!(fs::read_dir(paths.gpus()).unwrap().count(), 0);
}

fn driver(function: &PciAddress) -> Option<String> {
    let link = fs::read_link(format!("/sys/bus/pci/devices/{function}/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// QEMU runs with both functions, as the machine's user, in its sandbox, with its memory locked.
async fn qemu_has_all_of_it(taken: &[Vec<PciAddress>]) {
    let ram_mib = 64;
    let words = ["-machine", "q35", "-accel", "tcg", "-m", "64M", "-nodefaults", "-no-user-config", "-S"];
    let words = words.into_iter().chain(["-display", "none", "-sandbox", SANDBOX, "-monitor", "stdio"]);
    let said = "/tmp/said";
    let mut qemu = command::run(QEMU)
        .args(words.map(str::to_owned).chain(arguments::of_gpus(taken)))
        .as_user(UID, UID)
        .locked_memory(Some((ram_mib + 1024) * MIB))
        .with(|command| {
            command.stdin(Stdio::piped());
        })
        .launch(fs::File::create(said).unwrap(), &[])
        .unwrap();
    let mut words = qemu.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut words, b"info qtree\n").await.unwrap();
    eventually("QEMU shows its devices", async || {
        let said = fs::read_to_string(said).unwrap();
        assert!(!said.contains("failed"), "{said}");
        ["pci id 1002:5046", "pci id 1af4:1044"].iter().all(|function| said.contains(function))
    })
    .await;
    let status = fs::read_to_string(format!("/proc/{}/status", qemu.id().unwrap())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(field("Uid"), u64::from(UID));
    // But for what the firmware has not made memory yet.
    assert!(field("VmLck") >= (ram_mib - 1) * 1024, "in KiB: {status}");
    qemu.kill().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), qemu.wait()).await.unwrap().unwrap();
}
