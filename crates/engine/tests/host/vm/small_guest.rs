//! The small guest image: a real kernel, a real agent.

use std::path::PathBuf;

use deckle_engine::seen::{AgentSeen, Power};

use crate::vm::place::{GIB, Place, eventually, tap};

/// The image that `images/small/build.sh` has made.
fn image() -> PathBuf {
    let named = std::env::var_os("DECKLE_SMALL_GUEST");
    named.expect("DECKLE_SMALL_GUEST must name the image that images/small/build.sh makes").into()
}

#[tokio::test]
async fn a_real_guest_tells_its_system_and_hears_the_power_button() {
    let mut place = Place::new();
    place.take_in(&image()).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(2 * GIB)).await.unwrap();
    place.vms.power_on(&place.boot_spec(1, 256), tap()).await.unwrap();
    let answers = async || matches!(place.agent().await, AgentSeen::Answers { os: Some(_) });
    eventually("the agent answers", answers).await;
    let AgentSeen::Answers { os: Some(os) } = place.agent().await else { panic!("it has gone") };
    assert!(os.contains("kernel 6."), "{os}");
    assert!(place.console().await.contains("Linux version") || !place.console().await.is_empty());

    place.restarted();
    let pressed = async || {
        place.vms.press_power_button(&place.machine).await.unwrap();
        place.power().await == Power::Halted { boot: 1 }
    };
    eventually("the guest halts", pressed).await;
    place.vms.cut_power(&place.machine).await.unwrap();
    assert_eq!(place.power().await, Power::Off);
}
