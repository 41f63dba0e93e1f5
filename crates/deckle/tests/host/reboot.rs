//! What a reboot of the host leaves: files.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::drives::Drive;
use super::host::wait;
use super::world::{ORDER, World, text};

/// The addresses that lead to a machine: what is held must be the same afterwards.
fn address(world: &World, machine: &str) -> String {
    text(&world.machine(machine)["publicIp"])
}

#[test]
fn what_was_on_comes_back_and_what_was_off_stays_off() {
    let mut world = World::new();
    let network = world.network("lab");
    let drive = Drive::make(&world, &network);
    let on = [world.create("neighbour", json!({"networkId": network})), world.create("hermit", json!({}))];
    let off = world.create("idle", json!({"startOnCreate": false, "networkId": network}));
    for ordered in on.iter().chain([&off]) {
        world.done(ordered);
    }
    let [neighbour, hermit] = on.each_ref().map(|ordered| ordered.machine.as_str());
    let ip: Ipv4Addr = text(&world.post("/v1/public-ips", &json!({"region": "ny2"}))["ip"]).parse().unwrap();
    world.put(&format!("/v1/public-ips/{ip}"), &json!({"machineId": neighbour}));
    let boot = |world: &World, machine: &str| {
        world.guest(machine).run("cat state; cat /proc/sys/kernel/random/boot_id")
    };
    wait("the claimed address leads to it", ORDER, || {
        (address(&world, neighbour) == ip.to_string() && world.guest(neighbour).lets_in()).then_some(())
    });
    let before = [neighbour, hermit].map(|machine| {
        world.guest(machine).run("echo kept > state; sync");
        boot(&world, machine)
    });
    world.guest(neighbour).run(&drive.mount("/mnt/data"));
    world.guest(neighbour).run("echo shared > /mnt/data/kept; sync");
    let held = address(&world, hermit);

    world.kill();
    assert!(!world.installation().leftovers().is_empty());
    world.installation().wipe();
    let left = world.installation().leftovers();
    assert!(left.iter().all(|left| left.starts_with("file")), "{left:?}");
    world.restart();

    for (machine, before) in [neighbour, hermit].into_iter().zip(before) {
        wait("it is back", ORDER, || {
            // The row says what the last look saw: the guest itself says that it is back.
            let ready = world.machine(machine)["state"] == "ready";
            (ready && world.guest(machine).lets_in()).then_some(())
        });
        let after = boot(&world, machine);
        assert!(after.starts_with("kept\n") && after != before, "{before} {after}");
        let events = world.get(&format!("/v1/machine-events?machineId={machine}&order=asc"));
        let told = events["items"].as_array().unwrap().iter();
        let told: Vec<_> = told.map(|event| (event["name"].clone(), event["state"].clone())).collect();
        assert_eq!(told, [(json!("create"), json!("done")), (json!("restart"), json!("done"))]);
    }
    assert_eq!((address(&world, neighbour), address(&world, hermit)), (ip.to_string(), held));
    world.guest(neighbour).run("mkdir -p /tmp/www; echo it > /tmp/www/index.html; httpd -p 8080 -h /tmp/www");
    let (_, said) = world.outside.get(SocketAddr::new(ip.into(), 8080), "/").unwrap();
    assert_eq!(said.trim(), "it");
    drive.ready(&world);
    world.guest(neighbour).run(&drive.mount("/mnt/data"));
    assert_eq!(world.guest(neighbour).run("cat /mnt/data/kept"), "shared");
    world.guest(neighbour).run("sudo umount /mnt/data");
    assert_eq!(world.machines()[&off.machine], "off");
    world.assert_no_leak();
    world.put(&format!("/v1/public-ips/{ip}"), &json!({"machineId": Value::Null}));
    world.end();
}
