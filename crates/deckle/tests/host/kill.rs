//! The server killed at any moment: what was ordered comes about, and nothing else.
//!
//! `DECKLE_KILL_ROUNDS` says how often orders are given (10), `DECKLE_KILL_SEED` which ones, and when the
//! server is killed: the seed is printed, and a failed run is tried again with it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::guest::Guest;
use super::world::{ORDER, Ordered, World, text, wanted};

/// How many machines are ordered about at the same time.
const MACHINES: usize = 3;
/// The latest moment at which the server is killed after orders began, in milliseconds.
pub const KILLED_MS_MAX: u64 = 4000;

/// A machine's place in the test: what was ordered of it.
#[derive(Debug, Clone, Default)]
struct Place {
    machine: Option<String>,
    on: bool,
}

/// An order to give until it is taken.
#[derive(Debug, Clone)]
enum Order {
    Create { key: String, wanted: Value },
    Start(String),
    Stop(String),
    Delete(String),
}

/// A generator of numbers (SplitMix64) with a known seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

#[test]
fn a_server_killed_at_any_moment_ends_every_event_and_loses_nothing() {
    let rounds = setting("DECKLE_KILL_ROUNDS").unwrap_or(10);
    let seed = setting("DECKLE_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{rounds} rounds, DECKLE_KILL_SEED={seed}");
    let mut random = Random(seed);
    let mut world = World::new();
    let network = world.network("lab");
    let steady = world.create("steady", json!({"networkId": network}));
    world.done(&steady);
    let guest = world.guest(&steady.machine);
    let boot = boot_of(&guest);
    let mut places = vec![Place::default(); MACHINES];
    for round in 0..rounds {
        let orders: Vec<_> = places
            .iter()
            .map(|place| order(&mut random, place, &network, &format!("{seed}-{round}")))
            .collect();
        println!("round {round}: {}", told(&orders));
        give(&mut world, &mut random, &orders, &mut places);
        all_is_as_ordered(&world, &places, &steady);
        assert_eq!(boot_of(&guest), boot, "the steady guest was disturbed");
    }
    world.end();
}

#[test]
fn what_a_killed_unplugging_left_goes_with_the_machine() {
    let world = World::new();
    let network = world.network("lab");
    let idle = world.create("idle", json!({"networkId": network, "startOnCreate": false}));
    world.done(&idle);
    let cards = world.installation().state.join("networks").join(&network).join("cards");
    super::host::wait("the network is there", ORDER, || cards.exists().then_some(()));
    std::fs::write(cards.join(&idle.machine), "02:00:00:00:00:01,10.64.0.9\n").unwrap();
    world.done(&world.remove(&idle.machine));
    world.assert_no_leak();
    world.end();
}

fn told(orders: &[Order]) -> String {
    let words = orders.iter().map(|order| match order {
        Order::Create { wanted, .. } => format!("create {wanted}"),
        Order::Start(machine) => format!("start {machine}"),
        Order::Stop(machine) => format!("stop {machine}"),
        Order::Delete(machine) => format!("delete {machine}"),
    });
    words.collect::<Vec<_>>().join("; ")
}

pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// What is the same for as long as nobody touches a guest.
pub fn boot_of(guest: &Guest) -> String {
    guest.run("cat /proc/sys/kernel/random/boot_id; test $(cut -d. -f1 /proc/uptime) -gt 0")
}

fn order(random: &mut Random, place: &Place, network: &str, round: &str) -> Order {
    let Some(machine) = place.machine.clone() else {
        let (alone, public, start) = (random.coin(), random.coin(), random.below(4) != 0);
        let public_ip_type = if public { "dynamic" } else { "none" };
        let mut more = json!({"publicIpType": public_ip_type, "startOnCreate": start});
        if !alone {
            more["networkId"] = json!(network);
        }
        let key = format!("{round}-{:x}", random.next());
        return Order::Create { key, wanted: wanted("busy", more) };
    };
    match (place.on, random.coin()) {
        (_, true) => Order::Delete(machine),
        (true, false) => Order::Stop(machine),
        (false, false) => Order::Start(machine),
    }
}

/// Gives all orders while the server is killed once or twice, in their midst or in the midst of their work.
fn give(world: &mut World, random: &mut Random, orders: &[Order], places: &mut [Place]) {
    let mut left: Vec<_> = orders.iter().zip(places).collect();
    for _ in 0..=random.below(2) {
        // Early moments are as likely as late ones are many.
        let moment = random.below(KILLED_MS_MAX) * random.below(KILLED_MS_MAX) / KILLED_MS_MAX;
        let server = world.server.pid();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(moment));
                let _ = kill(server, Signal::SIGKILL);
            });
            left.retain_mut(|(order, place)| !take(world, order, place));
        });
        world.kill();
        world.restart();
    }
    left.retain_mut(|(order, place)| !take(world, order, place));
    assert!(left.is_empty(), "not taken by a server that lives: {left:?}");
}

/// Gives an order, and tells whether it was taken: a server that is killed does not say so.
fn take(world: &World, order: &Order, place: &mut Place) -> bool {
    let (method, path, body, once) = match order {
        Order::Create { key, wanted } => ("POST", "/v1/machines".to_owned(), wanted, Some(key.as_str())),
        Order::Start(machine) => ("PATCH", format!("/v1/machines/{machine}/start"), &Value::Null, None),
        Order::Stop(machine) => ("PATCH", format!("/v1/machines/{machine}/stop"), &Value::Null, None),
        Order::Delete(machine) => ("DELETE", format!("/v1/machines/{machine}"), &Value::Null, None),
    };
    let Ok((status, answer)) = world.ask(method, &path, body, once) else { return false };
    match (order, status) {
        (Order::Create { wanted, .. }, 200) => {
            place.machine = Some(Ordered::of(&answer).machine);
            place.on = wanted["startOnCreate"] == true;
        }
        (Order::Start(_), 200) => place.on = true,
        (Order::Stop(_), 200) => place.on = false,
        // An order whose answer was lost may have come about by now.
        (Order::Delete(_), 200 | 404) => *place = Place::default(),
        _ => panic!("{order:?}: {status} {answer}"),
    }
    true
}

/// Every machine is there and is as ordered, every event has ended well, and the host has nothing else.
fn all_is_as_ordered(world: &World, places: &[Place], steady: &Ordered) {
    let state = |on: bool| if on { "ready" } else { "off" }.to_owned();
    let ordered = places.iter().filter_map(|place| Some((place.machine.clone()?, state(place.on))));
    let mut wanted: BTreeMap<_, _> = ordered.collect();
    wanted.insert(steady.machine.clone(), state(true));
    // A machine is shown as off while its event still tidies up after it.
    let is_open = |event: &Value| ["new", "in progress"].contains(&event["state"].as_str().unwrap());
    let began = Instant::now();
    let events = loop {
        let (seen, events) = (world.machines(), events(world));
        if seen == wanted && !events.iter().any(is_open) {
            break events;
        }
        assert!(began.elapsed() < ORDER, "{seen:?} is not {wanted:?}: {:#}", Value::Array(events));
        thread::sleep(Duration::from_millis(200));
    };
    for event in &events {
        assert!(["done", "cancelled"].contains(&text(&event["state"]).as_str()), "{event}");
    }
    world.assert_no_leak();
}

fn events(world: &World) -> Vec<Value> {
    world.get("/v1/machine-events?limit=120&order=desc")["items"].as_array().unwrap().clone()
}
