//! Promises on power and on guests.

use deckle_engine::seen::{AgentSeen, Power};

use super::{Case, Host};

pub async fn power_on_twice_is_one_boot(host: &Host) {
    let case = Case::new(host);
    case.make().await;
    assert_eq!(case.seen().await.power, Power::Off);
    case.engine().power_on(&case.boot_spec(7)).await.unwrap();
    let first = case.seen().await.power;
    assert!(matches!(first, Power::On { boot: 7, .. }), "{first:?}");
    case.engine().power_on(&case.boot_spec(8)).await.unwrap();
    assert_eq!(case.seen().await.power, first);
    case.clear().await;
}

pub async fn a_boot_after_a_cut_is_a_new_one(host: &Host) {
    let case = Case::new(host);
    case.make().await;
    case.engine().power_on(&case.boot_spec(1)).await.unwrap();
    for _ in 0..2 {
        case.engine().cut_power(&case.machine).await.unwrap();
        let seen = case.seen().await;
        assert!(seen.nic && seen.disk.is_some(), "a cut takes power alone: {seen:?}");
        assert_eq!((seen.power, seen.guest), (Power::Off, Default::default()));
    }
    case.engine().power_on(&case.boot_spec(2)).await.unwrap();
    let second = case.seen().await.power;
    assert!(matches!(second, Power::On { boot: 2, .. }), "{second:?}");
    case.clear().await;
}

pub async fn a_machine_without_a_disk_does_not_start(host: &Host) {
    let case = Case::new(host);
    case.plug().await;
    case.engine().power_on(&case.boot_spec(1)).await.expect_err("it has no disk");
    let seen = case.seen().await;
    assert_eq!((seen.power, seen.disk), (Power::Off, None), "a missing disk is never made by a start");
    case.clear().await;
}

pub async fn a_guest_comes_up_and_hears_the_button(host: &Host) {
    let case = Case::new(host);
    case.make().await;
    case.engine().power_on(&case.boot_spec(1)).await.unwrap();
    let Power::On { since, .. } = case.seen().await.power else { panic!("it was started") };
    case.wait("up", host.up_limit, |seen| {
        matches!(seen.guest.agent, AgentSeen::Answers { .. }).then_some(())
    })
    .await;
    // The agent may be quicker than the lease.
    let leased = case.wait("leased", host.up_limit, |seen| seen.guest.leased).await;
    // A lease server may count in whole seconds.
    assert!(leased.seconds_since(since) > -1.0, "leased at {leased}, started at {since}");
    case.engine().press_power_button(&case.machine).await.unwrap();
    case.wait("halted", host.halt_limit, |seen| {
        matches!(seen.power, Power::Halted { boot: 1 }).then_some(())
    })
    .await;
    case.engine().power_on(&case.boot_spec(2)).await.unwrap();
    assert_eq!(case.seen().await.power, Power::Halted { boot: 1 }, "what has halted is cut before it starts");
    case.engine().cut_power(&case.machine).await.unwrap();
    assert_eq!(case.seen().await.power, Power::Off);
    case.clear().await;
}
