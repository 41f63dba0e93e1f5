//! GPUs of made-up hosts: what is found, what is in the way, and how they change hands.

mod host;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::seen::Verdict;
use host::{FIRST_UID, Host, Made, at};

const FIRST: &str = "0000:41:00.0";
const SECOND: &str = "0000:c1:00.0";

/// Two cards on two nodes, the first with its sound and its bridge in its group.
fn two() -> Host {
    let host = Host::new();
    host.device("0000:40:01.0", Made::bridge(33));
    host.device(FIRST, Made::gpu(33, 0));
    host.device("0000:41:00.1", Made::audio(33));
    host.device(SECOND, Made::gpu(50, 1));
    host
}

fn one() -> Host {
    let host = Host::new();
    host.device(FIRST, Made::gpu(33, 0));
    host
}

fn blocked(host: &Host) -> String {
    match host.trouble() {
        (Some(GpuTrouble::Blocked(why)), checks) => {
            assert!(checks.iter().all(|check| check.verdict == Verdict::Weak && !check.cure.is_empty()));
            assert!(!checks.is_empty(), "doctor names it too");
            why
        }
        other => panic!("it must be blocked: {other:?}"),
    }
}

#[test]
fn a_gpu_is_found_with_its_model_memory_node_and_functions() {
    let host = two();
    let gpus = host.gpus().look().unwrap();
    let found: Vec<_> =
        gpus.iter().map(|gpu| (gpu.address.as_str(), gpu.model.as_str(), gpu.numa_node)).collect();
    assert_eq!(found, [(FIRST, "A100", Some(0)), (SECOND, "A100", Some(1))]);
    assert!(gpus.iter().all(|gpu| gpu.memory_bytes == Some(40 << 30)), "{gpus:?}");
    assert!(gpus.iter().all(|gpu| gpu.trouble.is_none() && gpu.machine.is_none()), "{gpus:?}");
    let checks = host.gpus().checks();
    assert!(checks.iter().all(|check| check.verdict == Verdict::Good), "{checks:?}");
    let told = "A100, 40 GiB, NUMA node 0, IOMMU group 33, driver nvidia: it can be given to a machine, \
                with 1 more functions of its card.";
    assert_eq!(checks.iter().find(|check| check.name == format!("gpu {FIRST}")).unwrap().found, told);
}

#[test]
fn what_is_no_gpu_to_give_is_not_found() {
    let host = Host::new();
    let screen = |numbers| Made { numbers, class: 0x03_0000, group: Some(1), node: -1, driver: None };
    host.device("0000:03:00.0", screen((0x1a03, 0x2000)));
    host.device("0000:04:00.0", screen((0x1234, 0x1111)));
    host.device(FIRST, Made::gpu(33, 0));
    symlink("../0000:40:00.0", host.path(&format!("sys/bus/pci/devices/{FIRST}/physfn"))).unwrap();
    assert_eq!(host.gpus().look().unwrap(), []);
    let checks = host.gpus().checks();
    assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Good), "{checks:?}");
    assert_eq!(Host::new().gpus().look().unwrap(), [], "a host without devices has none");
}

#[test]
fn an_unknown_gpu_is_shown_by_its_numbers_and_its_largest_window() {
    let host = one();
    let folder = format!("sys/bus/pci/devices/{FIRST}");
    host.file(&format!("{folder}/device"), "0x29bb\n");
    host.file(&format!("{folder}/numa_node"), "-1\n");
    let windows = "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n\
                   0x0000004000000000 0x00000047ffffffff 0x000000000014220c\n\
                   0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
    host.file(&format!("{folder}/resource"), windows);
    let [gpu] = host.gpus().look().unwrap().try_into().unwrap();
    assert_eq!((gpu.model.as_str(), gpu.memory_bytes, gpu.numa_node), ("10de:29bb", Some(32 << 30), None));
    host.file(&format!("{folder}/resource"), "0x00000000e0000000 0x00000000efffffff 0x000000000014220c\n");
    assert_eq!(host.gpus().look().unwrap()[0].memory_bytes, None, "a small window does not tell");
}

#[test]
fn without_an_iommu_the_kernels_parameter_is_named_by_the_processor() {
    let host = one();
    host.remove(&format!("sys/bus/pci/devices/{FIRST}/iommu_group"));
    let why = blocked(&host);
    assert!(
        why.contains("the IOMMU is off") && why.contains("VT-d") && why.contains("`intel_iommu=on`"),
        "{why}"
    );
    assert!(!why.contains("amd_iommu"), "{why}");
    host.file("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
    assert!(blocked(&host).contains("`amd_iommu=on`"));
    host.file("proc/cpuinfo", "");
    assert!(blocked(&host).contains("`intel_iommu=on` or `amd_iommu=on`"));
    let iommu = host.gpus().checks().into_iter().find(|check| check.name == "iommu").unwrap();
    assert_eq!(iommu.verdict, Verdict::Weak);
}

#[test]
fn a_group_that_protects_nothing_is_no_iommu() {
    let host = one();
    host.file("sys/kernel/iommu_groups/33/name", "vfio-noiommu\n");
    assert!(blocked(&host).contains("the IOMMU is off"));
}

#[test]
fn a_shared_group_names_who_shares_it() {
    let host = one();
    host.device("0000:40:01.0", Made::bridge(33));
    assert_eq!(host.trouble(), (None, Vec::new()), "a bridge hinders nothing");
    host.device("0000:42:00.0", Made::disk(33));
    host.device(SECOND, Made::disk(50));
    let why = blocked(&host);
    assert!(why.contains("shares IOMMU group 33 with 0000:42:00.0 (144d:a80a, driver nvme):"), "{why}");
    assert!(why.contains("ACS") && !why.contains(SECOND), "{why}");
}

#[test]
fn two_gpus_in_one_group_block_each_other() {
    let host = one();
    host.device(SECOND, Made::gpu(33, 0));
    let gpus = host.gpus().look().unwrap();
    assert!(gpus.iter().all(|gpu| matches!(gpu.trouble, Some(GpuTrouble::Blocked(_)))), "{gpus:?}");
}

#[test]
fn a_kernel_without_vfio_is_told_and_one_that_can_load_it_is_not() {
    let host = one();
    host.remove("sys/bus/pci/drivers/vfio-pci");
    let why = blocked(&host);
    assert!(why.contains("no vfio-pci") && why.contains("modprobe vfio-pci"), "{why}");
    host.file("lib/modules/6.1.0-test/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko\n");
    assert_eq!(host.trouble(), (None, Vec::new()));
}

#[test]
fn a_driver_that_lets_nothing_go_is_told() {
    let host = one();
    host.remove("sys/bus/pci/drivers/nvidia/unbind");
    let why = blocked(&host);
    assert!(why.contains("the driver nvidia has 0000:41:00.0 and cannot be unbound"), "{why}");
    assert!(why.contains("module_blacklist=nvidia"), "{why}");
}

#[test]
fn a_gpu_that_programs_of_the_host_use_is_left_to_them() {
    let host = one();
    host.file(&format!("proc/driver/nvidia/gpus/{FIRST}/information"), "Model: A100\nDevice Minor: \t 3\n");
    let opens = |pid: u32, name: &str, target: &str| {
        host.file(&format!("proc/{pid}/comm"), format!("{name}\n"));
        fs::create_dir_all(host.path(&format!("proc/{pid}/fd"))).unwrap();
        symlink(target, host.path(&format!("proc/{pid}/fd/5"))).unwrap();
    };
    opens(17, "python3", "/dev/nvidia4");
    assert_eq!(host.trouble(), (None, Vec::new()), "another GPU is another's");
    opens(18, "python3", "/dev/nvidia3");
    let why = blocked(&host);
    assert!(
        why.contains("0000:41:00.0 is used through the driver nvidia by python3 (18): end those programs"),
        "{why}"
    );
    opens(19, "nvidia-persiste", "/dev/nvidia3");
    assert!(blocked(&host).contains("systemctl disable --now nvidia-persistenced"));
}

#[test]
fn a_screen_that_a_program_draws_on_is_left_to_it() {
    let host = one();
    host.file(&format!("sys/bus/pci/devices/{FIRST}/drm/card1/dev"), "226:1\n");
    host.file("proc/20/comm", "Xorg\n");
    fs::create_dir_all(host.path("proc/20/fd")).unwrap();
    symlink("/dev/dri/card1", host.path("proc/20/fd/9")).unwrap();
    assert!(blocked(&host).contains("by Xorg (20)"));
}

#[test]
fn a_server_that_may_not_lock_memory_is_told() {
    let host = one();
    host.file("proc/self/status", "CapEff:\t000001fffeffffff\n");
    let limits = |most: &str| {
        format!("Max processes 1 1 processes\nMax locked memory         8388608    {most}    bytes\n")
    };
    host.file("proc/self/limits", limits("8388608"));
    let (_, checks) = host.trouble();
    let [check] = checks.as_slice() else { panic!("one check is weak: {checks:?}") };
    assert_eq!((check.name.as_str(), check.verdict), ("locked memory", Verdict::Weak));
    assert!(check.found.contains("8388608 bytes") && check.cure.contains("LimitMEMLOCK"), "{check:?}");
    host.file("proc/self/limits", limits("unlimited"));
    assert_eq!(host.trouble(), (None, Vec::new()));
}

#[test]
fn the_hosts_console_is_kept_unless_it_is_listed() {
    let mut host = two();
    host.file(&format!("sys/bus/pci/devices/{FIRST}/boot_vga"), "1\n");
    let troubles = |host: &Host| -> Vec<_> {
        host.gpus()
            .look()
            .unwrap()
            .into_iter()
            .map(|gpu| (gpu.address.to_string(), gpu.trouble.is_some()))
            .collect()
    };
    assert_eq!(troubles(&host), [(FIRST.to_owned(), true), (SECOND.to_owned(), false)]);
    host.settings.gpus = Some(vec![at(FIRST), at("0000:99:00.0")]);
    assert_eq!(troubles(&host), [(FIRST.to_owned(), false)], "what is not listed stays the host's");
    let checks = host.gpus().checks();
    let missing = checks.iter().find(|check| check.verdict == Verdict::Weak).unwrap();
    assert!(missing.found.contains("names 0000:99:00.0, which is no GPU of this host"), "{missing:?}");
}

#[tokio::test]
async fn a_machine_takes_all_functions_and_the_group_is_its_qemus_alone() {
    let host = two();
    let machine = host.machine(1);
    let taken = host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
    assert_eq!(taken, [[at(FIRST), at("0000:41:00.1")]]);
    let steps = |address: &str, driver: &str| {
        [
            format!("{address}/driver_override vfio-pci"),
            format!("{driver}/unbind {address}"),
            format!("pci/drivers_probe {address}"),
        ]
    };
    let expected = [steps(FIRST, "nvidia"), steps("0000:41:00.1", "snd_hda_intel")].concat();
    assert_eq!(host.kernel.heard(), expected);
    assert_eq!(host.driver_of("0000:40:01.0").as_deref(), Some("pcieport"), "a bridge stays the host's");
    let file = fs::metadata(host.path("dev/vfio/33")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.permissions().mode() & 0o777), (FIRST_UID, 0, 0o600));

    assert_eq!(host.gpus().look().unwrap()[0].machine, None, "it does not run yet");
    host.runs(&machine, FIRST);
    assert_eq!(host.gpus().look().unwrap()[0].machine, Some(machine.clone()));
    let things: Vec<_> =
        host.gpus().look_things().unwrap().into_iter().map(|thing| (thing.name, thing.of)).collect();
    assert_eq!(things, [(FIRST.to_owned(), machine.to_string())]);
}

#[tokio::test]
async fn a_running_machines_gpu_goes_to_nobody_else_and_after_its_end_is_reset_first() {
    let host = two();
    let (first, second) = (host.machine(1), host.machine(2));
    host.gpus().take(&first, &[at(FIRST)]).await.unwrap();
    host.runs(&first, FIRST);
    let error = host.gpus().take(&second, &[at(FIRST)]).await.unwrap_err();
    assert!(error.is_final() && error.told().ends_with(&format!("{first} runs with it")), "{}", error.told());
    assert!(host.gpus().reset(&at(FIRST)).await.unwrap_err().is_final());

    host.ends(&first);
    host.kernel.heard();
    host.gpus().take(&second, &[at(FIRST)]).await.unwrap();
    assert_eq!(host.kernel.heard(), [format!("{FIRST}/reset 1")], "bound it is already");
    assert_eq!(fs::metadata(host.path("dev/vfio/33")).unwrap().uid(), FIRST_UID + 1);
}

#[tokio::test]
async fn a_release_closes_resets_and_keeps_the_gpu_with_vfio() {
    let host = two();
    let machine = host.machine(1);
    host.gpus().take(&machine, &[at(FIRST), at(SECOND)]).await.unwrap();
    host.kernel.heard();
    host.gpus().release(&machine).await.unwrap();
    assert_eq!(host.kernel.heard(), [format!("{FIRST}/reset 1"), format!("{SECOND}/reset 1")]);
    assert_eq!(fs::metadata(host.path("dev/vfio/33")).unwrap().uid(), 0);
    assert_eq!(host.driver_of(FIRST).as_deref(), Some(VFIO));
    assert_eq!(host.gpus().look_things().unwrap(), []);
    host.gpus().release(&machine).await.unwrap();
    assert_eq!(host.kernel.heard(), Vec::<String>::new(), "what is back is back");
}

#[tokio::test]
async fn a_gpu_that_does_not_reset_or_answer_is_out_of_use_until_it_is_reset() {
    let host = two();
    let (machine, other) = (host.machine(1), host.machine(2));
    let failure = || match host.gpus().look().unwrap()[0].trouble.clone() {
        Some(GpuTrouble::Failed(why)) => why,
        other => panic!("it must have failed: {other:?}"),
    };
    host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
    host.kernel.stubborn.lock().unwrap().insert(FIRST.to_owned());
    host.gpus().release(&machine).await.unwrap();
    assert!(failure().starts_with("it does not reset: write 1 to "), "{}", failure());
    let error = host.gpus().take(&other, &[at(FIRST)]).await.unwrap_err();
    assert!(error.is_final() && error.told().contains("it does not reset"), "{}", error.told());
    assert!(host.gpus().reset(&at(FIRST)).await.unwrap_err().is_final());
    let check = host.gpus().checks().into_iter().find(|check| check.name == format!("gpu {FIRST}")).unwrap();
    assert_eq!(check.verdict, Verdict::Weak);
    assert!(check.cure.contains(&format!("deckle admin gpu release {FIRST}")), "{check:?}");

    host.kernel.stubborn.lock().unwrap().clear();
    assert!(host.gpus().take(&other, &[at(FIRST)]).await.is_err(), "nobody has asked for a reset");
    host.gpus().reset(&at(FIRST)).await.unwrap();
    host.gpus().take(&other, &[at(FIRST)]).await.unwrap();

    host.file(&format!("sys/bus/pci/devices/{FIRST}/config"), [0xff; 4]);
    host.gpus().release(&other).await.unwrap();
    assert_eq!(failure(), "it does not answer after its reset");
}

#[tokio::test]
async fn a_card_whose_functions_are_reset_together_is_sound_if_it_answers() {
    let host = two();
    let machine = host.machine(1);
    host.kernel.joined.lock().unwrap().insert(FIRST.to_owned());
    for round in ["the first time", "again"] {
        host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
        host.gpus().release(&machine).await.unwrap();
        assert_eq!(host.gpus().look().unwrap()[0].trouble, None, "{round}");
    }
    host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
    host.file(&format!("sys/bus/pci/devices/{FIRST}/config"), [0xff; 4]);
    host.gpus().release(&machine).await.unwrap();
    assert!(host.gpus().look().unwrap()[0].trouble.is_some());
}

#[tokio::test]
async fn what_another_program_has_open_is_neither_given_nor_reset() {
    let host = Host::new();
    host.device(FIRST, Made { driver: Some(VFIO), ..Made::gpu(33, 0) });
    host.file("proc/30/comm", "qemu-system-x86\n");
    fs::create_dir_all(host.path("proc/30/fd")).unwrap();
    symlink("/dev/vfio/33", host.path("proc/30/fd/7")).unwrap();
    assert!(blocked(&host).contains("is used through the driver vfio-pci by qemu-system-x86 (30)"));

    let host = two();
    let machine = host.machine(1);
    host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
    host.kernel.heard();
    host.kernel.open.lock().unwrap().insert(host.path("dev/vfio/33"));
    host.gpus().release(&machine).await.unwrap();
    assert_eq!(host.kernel.heard(), Vec::<String>::new(), "nothing was written");
    let open = "a program that is no machine of this installation has it open".to_owned();
    assert_eq!(host.gpus().look().unwrap()[0].trouble, Some(GpuTrouble::Failed(open)));
    assert!(host.gpus().give_back().await.is_err());
    host.kernel.open.lock().unwrap().clear();
    host.gpus().give_back().await.unwrap();
    assert_eq!(host.driver_of(FIRST).as_deref(), Some("nvidia"));
}

#[tokio::test]
async fn a_gpu_that_never_left_its_driver_is_not_reset_under_it() {
    let host = two();
    let machine = host.machine(1);
    *host.kernel.ends_after.lock().unwrap() = Some(1);
    host.gpus().take(&machine, &[at(FIRST)]).await.unwrap_err();
    *host.kernel.ends_after.lock().unwrap() = None;
    host.kernel.heard();
    host.gpus().release(&machine).await.unwrap();
    assert_eq!(host.kernel.heard(), Vec::<String>::new());
    assert_eq!(host.gpus().look().unwrap()[0].trouble, None);
    assert_eq!(host.gpus().look_things().unwrap(), []);
}

#[tokio::test]
async fn a_gpu_that_is_gone_is_told() {
    let host = two();
    let machine = host.machine(1);
    host.gpus().take(&machine, &[at(SECOND)]).await.unwrap();
    host.remove(&format!("sys/bus/pci/devices/{SECOND}"));
    let error = host.gpus().take(&machine, &[at(SECOND)]).await.unwrap_err();
    assert!(error.is_final() && error.told().contains("is not on this host any more"), "{}", error.told());
    host.gpus().release(&machine).await.unwrap();
    assert!(host.gpus().reset(&at(SECOND)).await.unwrap_err().is_final());
    host.gpus().give_back().await.unwrap();
    assert_eq!(host.gpus().look().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_ends_at_any_step_of_a_take_finishes_it_the_next_time() {
    for writes in 0..6 {
        let host = two();
        let machine = host.machine(1);
        *host.kernel.ends_after.lock().unwrap() = Some(writes);
        let error = host.gpus().take(&machine, &[at(FIRST)]).await.unwrap_err();
        assert!(!error.is_final(), "{}", error.told());
        *host.kernel.ends_after.lock().unwrap() = None;
        host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
        for function in [FIRST, "0000:41:00.1"] {
            assert_eq!(host.driver_of(function).as_deref(), Some(VFIO), "after {writes} writes");
        }
        host.gpus().give_back().await.unwrap();
        assert_eq!(host.driver_of(FIRST).as_deref(), Some("nvidia"), "after {writes} writes");
        assert_eq!(host.driver_of("0000:41:00.1").as_deref(), Some("snd_hda_intel"), "after {writes} writes");
    }
}

#[tokio::test]
async fn gpus_go_back_to_their_drivers_and_a_crash_in_between_does_not_matter() {
    for writes in 0..=8 {
        let host = two();
        let (machine, running) = (host.machine(1), host.machine(2));
        host.gpus().take(&machine, &[at(FIRST)]).await.unwrap();
        host.gpus().take(&running, &[at(SECOND)]).await.unwrap();
        host.runs(&running, SECOND);
        *host.kernel.ends_after.lock().unwrap() = Some(writes);
        let done = host.gpus().give_back().await.is_ok();
        assert_eq!(done, writes >= 7, "a reset, and three writes for each function");
        *host.kernel.ends_after.lock().unwrap() = None;
        host.gpus().give_back().await.unwrap();
        assert_eq!(host.driver_of(FIRST).as_deref(), Some("nvidia"), "after {writes} writes");
        assert_eq!(host.driver_of("0000:41:00.1").as_deref(), Some("snd_hda_intel"), "after {writes} writes");
        assert_eq!(host.driver_of(SECOND).as_deref(), Some(VFIO), "a running machine keeps its own");
        host.file("x", fs::read(host.path(&format!("sys/bus/pci/devices/{FIRST}/driver_override"))).unwrap());
        assert_eq!(fs::read_to_string(host.path("x")).unwrap().trim(), "", "nothing overrides its driver");
    }
}
