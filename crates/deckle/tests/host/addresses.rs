//! Public addresses that move between real guests, and machines that move between networks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::guest::Guest;
use super::host::wait;
use super::world::{ORDER, Ordered, World, text};

/// How long after its assignment an address may lead to nobody.
const MOVED: Duration = Duration::from_secs(2);
/// How often a client outside asks.
const ASK_EVERY: Duration = Duration::from_millis(50);

fn serve(guest: &Guest, name: &str) {
    guest.run(&format!("mkdir -p /tmp/www; echo {name} > /tmp/www/index.html; httpd -p 8080 -h /tmp/www"));
}

/// What a client outside is answered at an address, moment by moment, until it is told to stop. It tells when
/// `name` has answered.
fn asked_all_the_time(
    world: &World,
    ip: Ipv4Addr,
    (until, answered, name): (&AtomicBool, &AtomicBool, &str),
) -> Vec<(Instant, String)> {
    let mut answers = Vec::new();
    while !until.load(Ordering::SeqCst) {
        if let Ok((200, said)) = world.outside.get(SocketAddr::new(ip.into(), 8080), "/") {
            answered.fetch_or(said.trim() == name, Ordering::SeqCst);
            answers.push((Instant::now(), said.trim().to_owned()));
        }
        thread::sleep(ASK_EVERY);
    }
    answers
}

/// Leads an address to a machine while a client outside keeps asking, and sees that nobody but the one and
/// then the other answers. How long it took.
fn moved_while_asked(world: &World, ip: Ipv4Addr, machine: &str, [name, before]: [&str; 2]) -> Duration {
    let (stop, answered) = (AtomicBool::new(false), AtomicBool::new(false));
    let (moved, answers) = thread::scope(|scope| {
        let asking = scope.spawn(|| asked_all_the_time(world, ip, (&stop, &answered, name)));
        thread::sleep(Duration::from_secs(1));
        let moved = Instant::now();
        world.put(&format!("/v1/public-ips/{ip}"), &json!({"machineId": machine}));
        while !answered.load(Ordering::SeqCst) && moved.elapsed() < ORDER {
            thread::sleep(ASK_EVERY);
        }
        thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::SeqCst);
        (moved, asking.join().unwrap())
    });
    let first_new = answers.iter().position(|(_, said)| said == name).expect("the new one never answers");
    assert!(answers[first_new..].iter().all(|(_, said)| said == name), "{before} answers after {name}");
    answers[first_new].0 - moved
}

#[test]
fn an_address_moves_between_guests_while_a_client_keeps_asking() {
    let world = World::new();
    let network = world.network("lab");
    let [one, two] = [json!({"networkId": network}), json!({})].map(|place| world.create("web", place));
    let [first, second] = [&one, &two].map(|ordered| {
        world.done(ordered);
        world.guest(&ordered.machine)
    });
    serve(&first, "one");
    serve(&second, "two");
    let ip: Ipv4Addr = text(&world.post("/v1/public-ips", &json!({"region": "ny2"}))["ip"]).parse().unwrap();
    let path = format!("/v1/public-ips/{ip}");
    let assign = |machine: Value| world.put(&path, &json!({"machineId": machine}));

    assign(json!(one.machine));
    wait("the address leads to the first", ORDER, || {
        let answer = world.outside.get(SocketAddr::new(ip.into(), 8080), "/");
        answer.is_ok_and(|(_, said)| said.trim() == "one").then_some(())
    });
    let guest = Guest { address: ip.to_string(), ..first.clone() };
    let seen = guest.run(&format!("timeout 20 wget -qO- http://{}/", world.outside.page()));
    assert_eq!(seen, ip.to_string(), "the guest is seen outside as another");
    let boot = guest.run("cat /proc/sys/kernel/random/boot_id");

    let mut took = moved_while_asked(&world, ip, &two.machine, ["two", "one"]);
    if took >= MOVED {
        println!("it took {took:?}: this host is busy, so once more");
        moved_while_asked(&world, ip, &one.machine, ["one", "two"]);
        took = moved_while_asked(&world, ip, &two.machine, ["two", "one"]);
    }
    assert!(took < MOVED, "it took {took:?}");

    let taken = world.machine(&one.machine);
    assert_eq!((&taken["publicIp"], &taken["publicIpType"]), (&Value::Null, &json!("none")));
    let guest = Guest { address: ip.to_string(), ..second.clone() };
    assert_ne!(guest.run("cat /proc/sys/kernel/random/boot_id"), boot, "it is the other guest");
    assign(Value::Null);
    wait("the address leads nowhere", MOVED * 5, || {
        world.outside.get(SocketAddr::new(ip.into(), 8080), "/").is_err().then_some(())
    });
    world.delete(&path);
    world.end();
}

#[test]
fn a_running_machine_moves_to_another_network_and_keeps_its_disk() {
    let world = World::new();
    let (near, far) = (world.network("near"), world.network("far"));
    let neighbour = world.create("neighbour", json!({"networkId": far}));
    let alone = world.create("mover", json!({}));
    for ordered in [&neighbour, &alone] {
        world.done(ordered);
    }
    let id = alone.machine;
    world.guest(&id).run("echo kept > state; sync");
    for network in [&near, &far] {
        let before = world.machine(&id);
        let ordered = Ordered::of(&world.put(&format!("/v1/machines/{id}"), &json!({"networkId": network})));
        world.done(&ordered);
        let after = world.machine(&id);
        assert_eq!((&after["state"], &after["networkId"]), (&json!("ready"), &json!(network)));
        assert_eq!(after["publicIp"], before["publicIp"], "a dynamic address lives while the machine is on");
        assert_ne!(after["privateIp"], before["privateIp"]);
        assert_eq!(world.guest(&id).run("cat state"), "kept");
        world.assert_no_leak();
    }
    let there = world.guest(&neighbour.machine);
    for name in [text(&world.machine(&id)["privateIp"]), "mover".to_owned()] {
        assert_eq!(there.pings(std::slice::from_ref(&name)), [name]);
    }
    world.end();
}
