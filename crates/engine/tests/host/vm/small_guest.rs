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
