//! Whatever is wanted and whatever is seen: the steps end, and no step destroys what it must keep.

use proptest::prelude::*;

use super::*;

/// More steps than any way has.
const STEPS_MAX: usize = 50;

prop_compose! {
    fn sights()(
        own_network: bool,
        network in prop::sample::select(vec![Network::Absent, Network::Broken, Network::Whole]),
        disk in prop::sample::select(vec![Disk::NotMade, Disk::Unrecorded, Disk::There, Disk::Lost]),
        work in prop::sample::select(vec![Work::None, Work::Take, Work::Remove, Work::Restore, Work::Grow, Work::Discard, Work::Capture]),
        nic: bool,
        port: bool,
        names: bool,
        moving: bool,
        public_ip in prop::sample::select(vec![PublicIp::Free, PublicIp::Wanted, PublicIp::Held, PublicIp::Routed, PublicIp::Stray]),
        claimed: bool,
        placed: bool,
        power in prop::sample::select(vec![Power::Off, Power::On, Power::OnBefore, Power::Halted, Power::HaltedBefore]),
        guest in prop::sample::select(vec![Guest::Booting, Guest::Leased, Guest::Ready, Guest::Overdue]),
        button in prop::sample::select(vec![Button::Untouched, Button::Pressed, Button::PressAgain, Button::Overdue]),
        due in prop::sample::select(vec![Due::Nothing, Due::Shutdown, Due::Snapshot]),
    ) -> Sight {
        // What is plugged in has a port.
        let port = port || nic;
        Sight {
            own_network, network, disk, work, nic, port, names, moving, public_ip, claimed, placed, power, guest, button, due,
        }
    }
}

fn intents() -> impl Strategy<Value = Intent> {
    prop::sample::select(vec![Intent::On, Intent::Off, Intent::Blank, Intent::Gone])
}

/// What an honest host shows after a step. `wants_ip` says whether the machine is to have a public address,
/// `hears` whether its guest obeys the power button.
fn after(step: Step, mut sight: Sight, intent: &mut Intent, wants_ip: bool, hears: bool) -> Sight {
    let free = if wants_ip { PublicIp::Wanted } else { PublicIp::Free };
    match step {
        Step::MakeNetwork | Step::AwaitNetwork => sight.network = Network::Whole,
        Step::MakeDisk => sight.disk = Disk::Unrecorded,
        Step::RecordDisk => sight.disk = Disk::There,
        Step::TakeSnapshot | Step::RemoveSnapshot | Step::Restore | Step::GrowDisk => sight.work = Work::None,
        Step::DiscardTemplate | Step::MakeTemplate => sight.work = Work::None,
        Step::PlugNic => (sight.nic, sight.port, sight.names) = (true, true, true),
        Step::HoldPublicIp => sight.public_ip = PublicIp::Held,
        Step::RoutePublicIp => sight.public_ip = PublicIp::Routed,
        Step::Place => sight.placed = true,
        Step::PowerOn => (sight.power, sight.guest) = (Power::On, Guest::Booting),
        Step::AwaitGuest => {
            sight.guest = if sight.guest == Guest::Booting { Guest::Leased } else { Guest::Ready };
        }
        Step::HonourGuest => *intent = Intent::Off,
        Step::ShutDown => (*intent, sight.due) = (Intent::Off, Due::Nothing),
        Step::KeepSlot => {
            sight.due = Due::Nothing;
            sight.work = if sight.work == Work::None { Work::Take } else { sight.work };
        }
        Step::PressPowerButton | Step::AwaitHalt if hears => {
            sight.button = Button::Pressed;
            sight.power = if sight.power == Power::OnBefore { Power::HaltedBefore } else { Power::Halted };
        }
        Step::PressPowerButton => sight.button = Button::Pressed,
        Step::AwaitHalt => sight.button = Button::Overdue,
        Step::CutPower => (sight.power, sight.button) = (Power::Off, Button::Untouched),
        Step::UnroutePublicIp if sight.public_ip == PublicIp::Stray && !sight.claimed => {
            sight.public_ip = free
        }
        Step::UnroutePublicIp => sight.public_ip = PublicIp::Held,
        Step::DropPublicIp => sight.public_ip = free,
        Step::Displace => sight.placed = false,
        Step::UnplugNic => (sight.nic, sight.port) = (false, false),
        Step::RemoveNetwork => {
            (sight.network, sight.nic, sight.port) = (Network::Absent, false, false);
        }
        Step::DeleteDisk => sight.disk = Disk::NotMade,
        Step::Move => {
            (sight.moving, sight.own_network, sight.names) = (false, false, false);
            (sight.nic, sight.port) = (false, false);
        }
        Step::Settle | Step::Forget | Step::Tell(_) => {}
    }
    sight
}

/// Whether nothing of a machine is where it is looked for.
fn is_away(sight: &Sight) -> bool {
    let network = sight.own_network && sight.network != Network::Absent;
    let led_to = matches!(sight.public_ip, PublicIp::Routed | PublicIp::Stray);
    sight.power == Power::Off && !sight.nic && !sight.port && !network && !led_to
}

/// What is there of a machine that is off, its disk left aside: a claimed address is kept, and leads nowhere.
fn nothing_runs(sight: &Sight) -> bool {
    is_away(sight) && !sight.placed && (sight.public_ip != PublicIp::Held || sight.claimed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn the_steps_end_where_they_should(mut intent in intents(), first in sights(), wants_ip: bool, hears: bool) {
        let mut sight = first;
        for _ in 0..STEPS_MAX {
            let step = next(intent, &sight);
            match step {
                Step::DeleteDisk => prop_assert!(matches!(intent, Intent::Blank | Intent::Gone)),
                Step::MakeDisk => prop_assert_eq!(sight.disk, Disk::NotMade),
                Step::PowerOn => prop_assert!(sight.disk == Disk::There && sight.nic && sight.placed && intent == Intent::On),
                Step::Restore | Step::GrowDisk => {
                    prop_assert!(sight.disk == Disk::There && sight.power == Power::Off);
                }
                Step::TakeSnapshot | Step::RemoveSnapshot => prop_assert_eq!(sight.disk, Disk::There),
                Step::MakeTemplate => {
                    prop_assert!(sight.disk == Disk::There && nothing_runs(&sight) && intent == Intent::Off);
                }
                Step::RemoveNetwork => prop_assert!(sight.own_network && sight.power == Power::Off),
                Step::UnplugNic => prop_assert_eq!(sight.power, Power::Off),
                Step::Displace => prop_assert!(sight.power == Power::Off && (intent == Intent::Gone || !sight.moving)),
                Step::DropPublicIp => {
                    prop_assert!(sight.power == Power::Off && !sight.claimed && (intent == Intent::Gone || !sight.moving));
                }
                Step::ShutDown => {
                    prop_assert!(intent == Intent::On && sight.power == Power::On && sight.due == Due::Shutdown);
                }
                Step::KeepSlot => prop_assert!(sight.due == Due::Snapshot && intent != Intent::Gone),
                Step::Move => prop_assert!(sight.moving && is_away(&sight) && intent != Intent::Gone),
                Step::Settle => {
                    prop_assert!(sight.due != Due::Snapshot, "a slot is kept first");
                    prop_assert!(intent != Intent::On || sight.due == Due::Nothing);
                    prop_assert!(!sight.moving, "what is to move is never settled before");
                    match intent {
                        Intent::On => {
                            prop_assert!(sight.power == Power::On && sight.nic && sight.disk == Disk::There);
                            prop_assert!(matches!(sight.public_ip, PublicIp::Free | PublicIp::Routed));
                        }
                        Intent::Off => {
                            prop_assert!(nothing_runs(&sight) && sight.disk == Disk::There);
                            prop_assert_eq!(sight.work, Work::None);
                        }
                        Intent::Blank => prop_assert!(nothing_runs(&sight) && matches!(sight.disk, Disk::NotMade | Disk::Lost)),
                        Intent::Gone => prop_assert!(false, "what is to go is never settled"),
                    }
                    return Ok(());
                }
                Step::Forget => {
                    prop_assert!(intent == Intent::Gone && nothing_runs(&sight) && sight.work != Work::Discard);
                    prop_assert!(matches!(sight.disk, Disk::NotMade | Disk::Lost));
                    return Ok(());
                }
                Step::Tell(Trouble::DiskLost) => {
                    prop_assert!(sight.disk == Disk::Lost && matches!(intent, Intent::On | Intent::Off));
                    return Ok(());
                }
                Step::Tell(Trouble::NeverReady) => {
                    prop_assert!(sight.guest == Guest::Overdue && intent == Intent::On);
                    return Ok(());
                }
                _ => {}
            }
            sight = after(step, sight, &mut intent, wants_ip, hears);
        }
        prop_assert!(false, "{intent:?} from {first:?} has no end; last seen {sight:?}");
    }

    /// A guest that has its port is not switched off for want of the rest of its place.
    #[test]
    fn what_can_be_mended_under_a_guest_is(first in sights()) {
        let sight = Sight { port: true, power: Power::On, moving: false, work: Work::None, ..first };
        let step = next(Intent::On, &sight);
        prop_assert!(!is_interrupted(Intent::On, step, &sight), "{:?}", step);
    }

    #[test]
    fn what_is_shown_as_ready_is_on(intent in intents(), sight in sights()) {
        let state = shown(intent, None, &sight);
        if matches!(state, MachineState::Ready | MachineState::Serviceready) {
            prop_assert!(intent == Intent::On && sight.power == Power::On);
        }
        prop_assert_eq!(state == MachineState::Off, intent != Intent::On && sight.power == Power::Off);
    }
}
