//! What a reboot of the host leaves: files.

use serde_json::json;

use super::world::World;

#[test]
fn what_was_on_comes_back_and_what_was_off_stays_off() {
    let mut world = World::new();
    let network = world.network("lab");
    let on = [world.create("neighbour", json!({"networkId": network})), world.create("hermit", json!({}))];
    let off = world.create("idle", json!({"startOnCreate": false, "networkId": network}));
    for ordered in on.iter().chain([&off]) {
        world.done(ordered);
    }
    let boot = |world: &World, machine: &str| {
        world.guest(machine).run("cat state; cat /proc/sys/kernel/random/boot_id")
    };
    let before = on.each_ref().map(|ordered| {
        world.guest(&ordered.machine).run("echo kept > state; sync");
        boot(&world, &ordered.machine)
    });

    world.kill();
    assert!(!world.installation().leftovers().is_empty());
    world.installation().wipe();
    world.restart();

    for (ordered, before) in on.iter().zip(before) {
        super::host::wait("it is back", super::world::ORDER, || {
            // The row says what the last look saw: the guest itself says that it is back.
            let ready = world.machine(&ordered.machine)["state"] == "ready";
            (ready && world.guest(&ordered.machine).lets_in()).then_some(())
        });
        let after = boot(&world, &ordered.machine);
        assert!(after.starts_with("kept\n") && after != before, "{before} {after}");
    }
    assert_eq!(world.machines()[&off.machine], "off");
    world.assert_no_leak();
    world.end();
}
