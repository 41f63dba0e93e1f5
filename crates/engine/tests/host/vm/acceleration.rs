//! The probe, on whatever machine the tests run on: its verdict must be true here.

use std::time::{Duration, Instant};

use deckle_engine::linux::vm::Vms;
use deckle_engine::linux::{Settings, acceleration};
use deckle_engine::seen::{Acceleration, AgentSeen};

use crate::vm::place::{GIB, Place, eventually, tap};
use crate::vm::small_guest::image;

#[tokio::test]
async fn kvm_is_taken_only_where_a_kernel_runs_under_it() {
    let mut place = Place::new();
    place.take_in(&image()).await.unwrap();
    let settings = Settings { first_uid: 3_000_000, ..Settings::default() };
    let verdict = acceleration::find(&place.paths, &settings).await;
    println!("{verdict:?}");

    let began = Instant::now();
    assert_eq!(acceleration::find(&place.paths, &settings).await, verdict);
    assert!(began.elapsed() < Duration::from_secs(2), "a verdict is kept");
    assert!(!place.paths.state().join("probe").exists());

    if let Acceleration::Tcg { because } = &verdict {
        assert!(because.contains("/dev/kvm"), "{because}");
        return;
    }
    // Where it says KVM, a whole machine must come up so; under TCG other tests have one.
    place.vms = Vms::new(place.paths.clone(), &settings, verdict);
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    place.vms.power_on(&place.boot_spec(1, 256), tap()).await.unwrap();
    let answers = async || matches!(place.agent().await, AgentSeen::Answers { .. });
    eventually("the agent answers", answers).await;
}
