//! Machines in their networks, from the first boot to the last trace.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::guest::Guest;
use super::host::addresses;
use super::world::{Wishes, World, text};

const SCRIPT: &str = "#!/bin/sh\necho \"it ran as $(id -un)\" | tee /root/ran\n";

/// A machine that is ready, and its guest.
struct Box {
    id: String,
    name: &'static str,
    private: String,
    public: String,
    guest: Guest,
}

/// The page that a machine serves, at an address of its own or at its name.
fn page(host: &str) -> String {
    format!("{host}:8080/")
}

fn boxes(world: &World, wanted: &[(&'static str, Value)]) -> Vec<Box> {
    let orders: Vec<_> =
        wanted.iter().map(|(name, more)| (*name, world.create(name, more.clone()))).collect();
    orders
        .into_iter()
        .map(|(name, ordered)| {
            world.done(&ordered);
            let machine = world.machine(&ordered.machine);
            assert_eq!(machine["state"], "ready");
            let guest = world.guest(&ordered.machine);
            let serve =
                format!("mkdir -p /tmp/www; echo {name} > /tmp/www/index.html; httpd -p 8080 -h /tmp/www");
            guest.run(&serve);
            Box {
                id: ordered.machine,
                name,
                private: text(&machine["privateIp"]),
                public: text(&machine["publicIp"]),
                guest,
            }
        })
        .collect()
}

#[test]
fn machines_reach_their_neighbours_and_the_outside_and_nobody_else() {
    let world = World::with(Wishes { listens_everywhere: true, ..Wishes::default() });
    let (near, far) = (world.network("near"), world.network("far"));
    let script = world.script(SCRIPT, false);
    let boxes = boxes(
        &world,
        &[
            ("alpha", json!({"networkId": near, "startupScriptId": script})),
            ("beta", json!({"networkId": near})),
            ("gamma", json!({"networkId": far})),
            ("delta", json!({})),
        ],
    );
    let [alpha, beta, gamma, delta] = &boxes[..] else { panic!("four were ordered") };

    neighbours_reach_each_other(alpha, beta);
    public_addresses_lead_in_and_out(&world, &boxes);
    for stranger in [gamma, delta] {
        strangers_reach_nothing(&world, stranger, &boxes);
    }
    the_script_has_run(&world, alpha);
    a_stop_is_clean_and_a_start_keeps_the_disk(&world, alpha);
    nothing_of_a_deleted_machine_is_left(&world, [alpha, delta]);
    world.end();
}

fn neighbours_reach_each_other(alpha: &Box, beta: &Box) {
    for (from, to) in [(alpha, beta), (beta, alpha)] {
        for host in [&to.private, to.name, &to.id] {
            assert_eq!(from.guest.pings(&[host.to_owned()]), [host.to_owned()], "{}", from.name);
            assert_eq!(from.guest.run(&format!("timeout 20 wget -qO- http://{}", page(host))), to.name);
        }
        assert_eq!(from.guest.run("cat /sys/class/net/eth0/mtu"), mtu_of_host(), "{}", from.name);
    }
}

fn public_addresses_lead_in_and_out(world: &World, boxes: &[Box]) {
    for Box { name, public, guest, .. } in boxes {
        let seen = guest.run(&format!("timeout 20 wget -qO- http://{}/", world.outside.page()));
        assert_eq!(seen, *public, "{name} is seen outside as another");
        let answer = world.outside.get(SocketAddr::new(public.parse().unwrap(), 8080), "/").unwrap();
        assert_eq!(answer, (200, format!("{name}\n")));
    }
}

/// A stranger reaches no machine by its private address, and the API at no address of the host, which does
/// answer others there.
fn strangers_reach_nothing(world: &World, stranger: &Box, boxes: &[Box]) {
    let port = world.server.api.port();
    let health = "/v1/health";
    let from_outside = world.outside.get(SocketAddr::new(world.outside.host().into(), port), health);
    assert_eq!(from_outside.unwrap().0, 200, "the API answers at the host's address");

    let privates = boxes.iter().filter(|other| other.id != stranger.id).map(|other| other.private.clone());
    let privates: Vec<_> = privates.filter(|address| *address != stranger.private).collect();
    let gateways = privates.iter().map(|address| address.rsplit_once('.').unwrap().0.to_owned() + ".1");
    let hosts: Vec<_> = addresses().into_iter().chain(gateways).collect();
    let mut pages: Vec<_> = privates.iter().map(|address| page(address)).collect();
    pages.extend(hosts.iter().map(|address| format!("{address}:{port}{health}")));
    assert_eq!(stranger.guest.reaches(&pages), Vec::<String>::new(), "{}", stranger.name);

    let loopback = |address: &String| address.starts_with("127.");
    let hosts: Vec<_> = privates.into_iter().chain(hosts).filter(|address| !loopback(address)).collect();
    assert_eq!(stranger.guest.pings(&hosts), Vec::<String>::new(), "{}", stranger.name);
    let outside = world.outside.page() + "/";
    assert_eq!(
        stranger.guest.reaches(std::slice::from_ref(&outside)),
        [outside],
        "{} does reach others",
        stranger.name
    );
}

fn the_script_has_run(world: &World, alpha: &Box) {
    assert_eq!(alpha.guest.run("sudo cat /root/ran"), "it ran as root");
    let console = world.console(&alpha.id);
    assert!(console.contains("startup-script: it ran as root"), "{console}");
}

fn a_stop_is_clean_and_a_start_keeps_the_disk(world: &World, alpha: &Box) {
    const BOOT: &str = "cat /proc/sys/kernel/random/boot_id";
    let before = alpha.guest.run(&format!("echo kept > state; sudo rm /root/ran; {BOOT}"));
    world.done(&world.order("stop", &alpha.id));
    let stopped = world.machine(&alpha.id);
    assert_eq!((&stopped["state"], &stopped["publicIp"]), (&json!("off"), &Value::Null));
    let console = world.console(&alpha.id);
    for line in ["deckle: power button pressed", "deckle: down"] {
        assert!(console.contains(line), "{line}: {console}");
    }
    let events = world.get(&format!("/v1/machine-events?machineId={}", alpha.id));
    assert!(!events.to_string().contains("vm-shutdown-force"), "{events}");

    world.done(&world.order("start", &alpha.id));
    let guest = world.guest(&alpha.id);
    assert_eq!(guest.run("cat state; sudo cat /root/ran"), "kept\nit ran as root");
    assert_ne!(guest.run(BOOT), before);
}

fn nothing_of_a_deleted_machine_is_left(world: &World, gone: [&Box; 2]) {
    let orders = gone.map(|machine| world.remove(&machine.id));
    orders.iter().for_each(|ordered| world.done(ordered));
    world.assert_no_leak();
    let left = world.installation().leftovers().join("\n");
    for machine in gone {
        assert!(!left.contains(&machine.id), "{}: {left}", machine.id);
        assert!(!world.machines().contains_key(&machine.id));
    }
}

/// The largest packet that the host's way out takes, if that is less than an Ethernet's.
fn mtu_of_host() -> String {
    let routes = super::host::run("ip", &["-4", "route", "show", "default"]);
    let device = routes.split_whitespace().skip_while(|word| *word != "dev").nth(1);
    let mtu = device.map(|device| std::fs::read_to_string(format!("/sys/class/net/{device}/mtu")).unwrap());
    mtu.map_or(1500, |mtu| mtu.trim().parse::<u32>().unwrap().min(1500)).to_string()
}
