//! What tests can do to a pretended host, and what they can read of it.

use super::*;

#[tokio::test]
async fn a_fuse_breaks_one_call_before_or_after_its_effect() {
    for (fuse, seen) in
        [(Fuse::Before as fn(Call) -> Fuse, NetworkSeen::Absent), (Fuse::After, NetworkSeen::Whole)]
    {
        let host = emulator();
        host.fail_at(Some(fuse(Call::EnsureNetwork)));
        assert!(!host.ensure_network(&network_spec()).await.unwrap_err().is_final());
        assert_eq!(host.look_network(&network_spec()).await.unwrap(), seen);
        assert_eq!(host.fuse_left(), None);
        host.ensure_network(&network_spec()).await.unwrap();
        assert_eq!(host.calls(), [(Call::LookNetwork, 1), (Call::EnsureNetwork, 2)]);
    }
}

#[tokio::test]
async fn a_lasting_fault_lasts_until_it_is_taken_away() {
    let host = emulator();
    host.fail_always(Some((Call::EnsureNetwork, Fault::Final)));
    for _ in 0..2 {
        told_finally(host.ensure_network(&network_spec()).await);
    }
    host.fail_always(None);
    host.ensure_network(&network_spec()).await.unwrap();
}

#[tokio::test]
async fn a_reboot_of_the_host_leaves_disks_and_templates() {
    let host = emulator();
    start(&host, 1).await;
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
    host.reboot_host();
    let left = "templates:\n  tsmall: 10 GiB\nnetworks: none\nmachines:\n  ps1: 50 GiB on tsmall; off";
    assert_eq!(host.dump(), left);
    start(&host, 1).await;
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
}

#[tokio::test]
async fn guests_misbehave_as_they_are_told() {
    let host = emulator();
    let id = machine(1);
    start(&host, 1).await;
    host.deaf(&id, true);
    host.press_power_button(&id).await.unwrap();
    host.stall(&id, true);
    assert_eq!(power(&host, 1).await, Power::Stalled { boot: 1 });
    host.stall(&id, false);
    host.silent(&id, true);
    let seen = host.look_machine(&id, &network()).await.unwrap();
    assert_eq!((seen.guest.leased, seen.guest.agent), (Some(Timestamp(0)), AgentSeen::Absent));
    host.guest_powers_off(&id);
    assert_eq!(power(&host, 1).await, Power::Halted { boot: 1 });
    host.crash(&id);
    assert_eq!(power(&host, 1).await, Power::Off);
    host.lose_disk(&id);
    assert_eq!(host.look_machine(&id, &network()).await.unwrap().disk, None);
    host.break_network(&network());
    assert_eq!(host.look_network(&network_spec()).await.unwrap(), NetworkSeen::Broken);
}

#[tokio::test]
async fn the_console_says_honestly_what_would_run() {
    let host = emulator();
    make(&host, 1).await;
    let script =
        StartupScriptSpec { id: "scone".parse().unwrap(), script: "echo hello".to_owned(), once: true };
    let mut spec = boot(1, 1);
    spec.seed.startup_script = Some(script);
    host.power_on(&spec).await.unwrap();
    let first = host.read_console(&machine(1), 0, 4096).await.unwrap();
    assert!(String::from_utf8(first.bytes).unwrap().contains("the startup script scone would run here"));
    host.cut_power(&machine(1)).await.unwrap();
    spec.boot = 2;
    host.power_on(&spec).await.unwrap();
    let second = host.read_console(&machine(1), first.next, 4096).await.unwrap();
    assert!(String::from_utf8(second.bytes).unwrap().contains("ran at an earlier boot"));
}

#[tokio::test]
async fn a_run_of_a_script_is_what_a_test_says() {
    let host = emulator();
    make(&host, 1).await;
    let run = async || host.read_script_run(&machine(1)).await.unwrap();
    let mut spec = boot(1, 1);
    let id: StartupScriptId = "scone".parse().unwrap();
    spec.seed.startup_script =
        Some(StartupScriptSpec { id: id.clone(), script: "echo hello".to_owned(), once: true });
    host.script_says(&machine(1), "hello\n", None);
    assert_eq!(run().await, None);
    host.power_on(&spec).await.unwrap();
    let seen = |boot, exit_status| {
        Some(ScriptRunSeen { script: id.clone(), boot, exit_status, output: "hello\n".to_owned() })
    };
    assert_eq!(run().await, seen(1, None));
    host.script_says(&machine(1), "hello\n", Some(7));
    host.cut_power(&machine(1)).await.unwrap();
    assert_eq!(run().await, seen(1, Some(7)), "it is told when the power is off, too");
    spec.boot = 2;
    host.power_on(&spec).await.unwrap();
    assert_eq!(run().await, seen(1, Some(7)), "it has run once");
    spec.seed.startup_script.as_mut().unwrap().once = false;
    host.cut_power(&machine(1)).await.unwrap();
    spec.boot = 3;
    host.power_on(&spec).await.unwrap();
    assert_eq!(run().await, seen(3, Some(7)));
    host.cut_power(&machine(1)).await.unwrap();
    host.remove_disk(&machine(1)).await.unwrap();
    assert_eq!(run().await, None);
}

#[tokio::test]
async fn the_whole_world_is_one_text() {
    let host = emulator();
    start(&host, 1).await;
    make(&host, 2).await;
    host.ensure_public_ip(&public_ip(1)).await.unwrap();
    let told = [
        "templates:",
        "  tsmall: 10 GiB",
        "networks:",
        "  nlab: 10.64.0.0/24; ps1 at 10.64.0.2 (02:00:00:00:00:02) as ps1, public 203.0.113.7; \
         ps2 at 10.64.0.3 (02:00:00:00:00:03) as ps2",
        "machines:",
        "  ps1: 50 GiB on tsmall; on, boot 1, 2 vCPUs, 4 GiB, leased, agent answers",
        "  ps2: 50 GiB on tsmall; off",
    ];
    assert_eq!(host.dump(), told.join("\n"));
}

#[tokio::test]
async fn a_disk_remembers_what_ran_on_it_and_a_restore_takes_that_back() {
    let (hand, folder) = (Hand::default(), tempfile::tempdir().unwrap());
    let settings = Settings { state: Some(folder.path().to_owned()), ..Default::default() };
    let host = open(settings.clone(), &hand);
    make(&host, 1).await;
    host.ensure_snapshot(&machine(1), &snapshot()).await.unwrap();
    let mut spec = boot(1, 1);
    let once = StartupScriptSpec { id: "scone".parse().unwrap(), script: "true".to_owned(), once: true };
    spec.seed.startup_script = Some(once);
    host.power_on(&spec).await.unwrap();
    host.cut_power(&machine(1)).await.unwrap();
    host.ensure_disk(&disk(1, 60)).await.unwrap();
    let told = |line: &str| format!("machines:\n  ps1: 60 GiB on tsmall{line}; off");
    let before = ", ran scone, snapshot slone of 50 GiB";
    assert!(host.dump().ends_with(&told(before)), "{}", host.dump());
    drop(host);
    let host = open(settings, &hand);
    assert!(host.dump().ends_with(&told(before)), "{}", host.dump());
    host.restore_snapshot(&restore(1, 2)).await.unwrap();
    assert!(host.dump().ends_with(&told(", snapshot slone of 50 GiB, restore 2")), "{}", host.dump());
}

#[tokio::test]
async fn every_method_has_a_fuse_of_its_own() {
    for call in Call::ALL {
        for fuse in [Fuse::Before(*call), Fuse::After(*call)] {
            let host = emulator();
            host.fail_at(Some(fuse));
            let failed: Vec<Call> =
                every_call(&host).await.into_iter().filter(|(_, ok)| !ok).map(|(call, _)| call).collect();
            assert_eq!(failed.first(), Some(call), "{fuse:?}");
            assert_eq!(host.fuse_left(), None);
            let again = every_call(&host).await;
            assert!(again.iter().all(|(_, ok)| *ok), "{fuse:?}: {again:?}");
        }
    }
}

/// Makes every call once, in an order in which each can succeed; says which did.
async fn every_call(host: &Emulator) -> Vec<(Call, bool)> {
    let (id, net) = (machine(1), network());
    let other = "tother".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (of, file) = (Stored::Disk(id.clone()), folder.path().join("disk"));
    let import = ImportSpec { of: of.clone(), file: file.clone(), size_bytes: 50 * GIB };
    let export = ExportSpec { of: of.clone(), file, replace: false };
    let image = TemplateSpec { id: template(), file: "/no/such/image".into(), size_bytes_max: GIB };
    vec![
        (Call::LookHost, host.look_host().await.is_ok()),
        (Call::LookCapacity, host.look_capacity().await.is_ok()),
        (Call::LookGpus, host.look_gpus().await.is_ok()),
        (Call::ResetGpu, host.reset_gpu(&"0000:01:00.0".parse().unwrap()).await.is_ok()),
        (Call::LookThings, host.look_things().await.is_ok()),
        (Call::LookTemplate, host.look_template(&template()).await.is_ok()),
        (Call::EnsureTemplate, host.ensure_template(&image).await.is_ok()),
        (Call::RemoveTemplate, host.remove_template(&other).await.is_ok()),
        (Call::EnsureNetwork, host.ensure_network(&network_spec()).await.is_ok()),
        (Call::LookNetwork, host.look_network(&network_spec()).await.is_ok()),
        (Call::EnsureDrive, host.ensure_drive(&drive()).await.is_ok()),
        (Call::EnsureShare, host.ensure_share(&share()).await.is_ok()),
        (Call::LookDrive, host.look_drive(&drive().drive, &drive().network).await.is_ok()),
        (Call::RemoveShare, host.remove_share(&drive().drive, &drive().network).await.is_ok()),
        (Call::RemoveDrive, host.remove_drive(&drive().drive).await.is_ok()),
        (Call::EnsureDisk, host.ensure_disk(&disk(1, 50)).await.is_ok()),
        (Call::EnsureSnapshot, host.ensure_snapshot(&id, &snapshot()).await.is_ok()),
        (Call::LookSnapshots, host.look_snapshots(&id).await.is_ok()),
        (Call::RestoreSnapshot, host.restore_snapshot(&restore(1, 1)).await.is_ok()),
        (Call::RemoveSnapshot, host.remove_snapshot(&id, &snapshot()).await.is_ok()),
        (Call::EnsureTemplateFrom, host.ensure_template_from(&capture()).await.is_ok()),
        (Call::Export, host.export(&export).await.is_ok()),
        (Call::LookTransfer, host.look_transfer(&of).await.is_ok()),
        (Call::EnsureNic, host.ensure_nic(&nic(1)).await.is_ok()),
        (Call::EnsurePublicIp, host.ensure_public_ip(&public_ip(1)).await.is_ok()),
        (Call::PowerOn, host.power_on(&boot(1, 1)).await.is_ok()),
        (Call::LookMachine, host.look_machine(&id, &net).await.is_ok()),
        (Call::ReadConsole, host.read_console(&id, 0, 1).await.is_ok()),
        (Call::ReadScriptRun, host.read_script_run(&id).await.is_ok()),
        (Call::PressPowerButton, host.press_power_button(&id).await.is_ok()),
        (Call::CutPower, host.cut_power(&id).await.is_ok()),
        (Call::Import, host.import(&import).await.is_ok()),
        (Call::RemovePublicIp, host.remove_public_ip(&id, &net).await.is_ok()),
        (Call::RemoveNic, host.remove_nic(&id, &net).await.is_ok()),
        (Call::RemoveDisk, host.remove_disk(&id).await.is_ok()),
        (Call::RemoveNetwork, host.remove_network(&net).await.is_ok()),
    ]
}
