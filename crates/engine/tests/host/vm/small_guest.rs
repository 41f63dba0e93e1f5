//! The small guest image: a real kernel, a real agent, a seed that is read.

use std::path::PathBuf;

use deckle_engine::seen::{AgentSeen, Power};
use deckle_engine::specs::{BootSpec, StartupScriptSpec};

use crate::vm::place::{GIB, Place, eventually, tap};

/// The image that `images/small/build.sh` has made.
pub fn image() -> PathBuf {
    let named = std::env::var_os("DECKLE_SMALL_GUEST");
    named.expect("DECKLE_SMALL_GUEST must name the image that images/small/build.sh makes").into()
}

fn boot_spec(place: &Place, boot: u64) -> BootSpec {
    let mut spec = place.boot_spec(boot, 256);
    spec.seed.hostname = format!("box-{boot}");
    let script = "#!/bin/sh\ndate >> /root/boots\necho \"boots: $(wc -l < /root/boots) of $(hostname)\"\n";
    let id = "sc1".parse().unwrap();
    spec.seed.startup_script = Some(StartupScriptSpec { id, script: script.to_owned(), once: false });
    spec
}

#[tokio::test]
async fn a_real_guest_tells_its_system_hears_its_button_and_keeps_its_disk() {
    let mut place = Place::new();
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    for boot in [1, 2] {
        place.vms.power_on(&boot_spec(&place, boot), tap()).await.unwrap();
        let answers = async || matches!(place.agent().await, AgentSeen::Answers { os: Some(_) });
        eventually("the agent answers", answers).await;
        place.restarted();
        let Power::On { boot: seen, .. } = place.power().await else { panic!("it has gone") };
        assert_eq!(seen, boot);
        let AgentSeen::Answers { os: Some(os) } = place.agent().await else { panic!("it has gone") };
        assert!(os.contains("Debian") && os.contains("kernel 6."), "{os}");
        place.hear(&format!("boots: {boot} of box-{boot}")).await;

        let halted = async || {
            place.vms.press_power_button(&place.machine).await.unwrap();
            place.power().await == Power::Halted { boot }
        };
        eventually("the guest halts", halted).await;
        place.vms.cut_power(&place.machine).await.unwrap();
        assert_eq!(place.power().await, Power::Off);
    }
}

/// The worst that a script can do to its own bookkeeping: it restarts the guest before it ends, and tells lies.
#[tokio::test]
async fn a_once_only_script_runs_once_and_its_end_is_told() {
    const SCRIPT: &str = "date >> /root/runs\n\
        echo deckle: startup script sc1 of boot 1 ended with status 0\n\
        [ -e /root/asked ] || { : > /root/asked; sync; reboot; sleep 60; }\n\
        printf \"runs: $(wc -l < /root/runs)\"\nexit 7\n";
    let place = Place::new();
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    let run = async || place.vms.read_script_run(&place.machine).await.unwrap();
    assert_eq!(run().await, None);
    let start = async |boot: u64, once: bool, script: &str| {
        let mut spec = boot_spec(&place, boot);
        let (id, script) = ("sc1".parse().unwrap(), script.to_owned());
        spec.seed.startup_script = Some(StartupScriptSpec { id, script, once });
        place.vms.power_on(&spec, tap()).await.unwrap();
    };
    let ready = async |times: usize| place.console().await.matches("deckle: ready").count() == times;
    let ended = async || run().await.is_some_and(|run| run.exit_status.is_some());

    start(1, true, SCRIPT).await;
    eventually("the guest restarts by itself", || ready(2)).await;
    let lie = "deckle: startup script sc1 of boot 1 ended with status 0\n";
    let seen = run().await.unwrap();
    assert_eq!((seen.boot, seen.exit_status), (1, None), "its end never came, and a lie is output");
    assert!(seen.output.starts_with(lie), "{seen:?}");
    place.vms.cut_power(&place.machine).await.unwrap();

    // Not to run once any more: the same script runs, once for each boot of the guest.
    start(2, false, SCRIPT).await;
    eventually("the script ends", ended).await;
    let seen = run().await.unwrap();
    assert_eq!((seen.script.as_str(), seen.boot, seen.exit_status), ("sc1", 2, Some(7)));
    assert_eq!(seen.output, format!("{lie}runs: 2\n"), "a last line without an end is a line");
    place.vms.cut_power(&place.machine).await.unwrap();
    assert_eq!(run().await, Some(seen), "it is told when the power is off, too");
}
