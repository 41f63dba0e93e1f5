//! The server killed at any moment while machines move, addresses are led elsewhere and drives change: what
//! was ordered comes about, and what is on a drive stays.
//!
//! Rounds and seed are those of [`kill`](super::kill).

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::drives::Drive;
use super::guest::Guest;
use super::host::wait;
use super::kill::{KILLED_MS_MAX, Random, boot_of, setting};
use super::world::{ORDER, World, text};

/// One thing that is asked for until the answer says that it was heard.
struct Asked {
    method: &'static str,
    path: String,
    body: Value,
    /// Makes a POST that is sent twice one.
    key: String,
}

/// What there is to be, after a round.
struct Wanted {
    network: String,
    leads_to: Option<String>,
    size: u64,
}

/// What is ordered about.
struct Subjects {
    networks: [String; 2],
    mover: String,
    /// The two that the address goes between. They keep running throughout.
    holders: [String; 2],
    ip: Ipv4Addr,
    drive: Drive,
    /// One that nobody has mounted, beside the other.
    spare: Drive,
    mounted: Guest,
}

#[test]
fn a_server_killed_at_any_moment_leaves_networks_addresses_and_drives_as_ordered() {
    let rounds = setting("DECKLE_KILL_ROUNDS").unwrap_or(10).div_ceil(2);
    let seed = setting("DECKLE_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{rounds} rounds, DECKLE_KILL_SEED={seed}");
    let mut random = Random(seed);
    let mut world = World::new();
    let subjects = subjects(&world);
    let boot = boot_of(&subjects.mounted);
    subjects.mounted.run("echo kept > /mnt/data/kept; sync");
    let mut wanted = Wanted { network: subjects.networks[0].clone(), leads_to: None, size: 1 };
    for round in 0..rounds {
        let asked = subjects.ask(&mut random, &mut wanted, round);
        for one in &asked {
            println!("round {round}: {} {} {}", one.method, one.path, one.body);
        }
        give(&mut world, &mut random, asked);
        subjects.are_as(&world, &wanted);
        assert_eq!(boot_of(&subjects.mounted), boot, "the guest with the drive was disturbed");
    }
    subjects.mounted.run("sudo umount /mnt/data");
    world.end();
}

fn subjects(world: &World) -> Subjects {
    let networks = ["near", "far"].map(|name| world.network(name));
    let place = json!({"networkId": networks[0]});
    let orders = ["mover", "first", "second"].map(|name| world.create(name, place.clone()));
    orders.iter().for_each(|ordered| world.done(ordered));
    let [mover, first, second] = orders.map(|ordered| ordered.machine);
    let [drive, spare] = [0; 2].map(|_| Drive::make(world, &networks[0]));
    let steady = world.create("steady", place);
    world.done(&steady);
    let mounted = world.guest(&steady.machine);
    mounted.run(&drive.mount("/mnt/data"));
    for holder in [&first, &second] {
        let guest = world.guest(holder);
        guest.run(&format!(
            "mkdir -p /tmp/www; echo {holder} > /tmp/www/index.html; httpd -p 8080 -h /tmp/www"
        ));
    }
    let ip = text(&world.post("/v1/public-ips", &json!({"region": "ny2"}))["ip"]).parse().unwrap();
    Subjects { networks, mover, holders: [first, second], ip, drive, spare, mounted }
}

impl Subjects {
    /// An order for each, and what is then wanted.
    fn ask(&self, random: &mut Random, wanted: &mut Wanted, round: u64) -> Vec<Asked> {
        let asked = |method, path: String, body| Asked {
            method,
            body,
            key: format!("networks-{round}-{path}"),
            path,
        };
        let other = self.networks.iter().find(|network| **network != wanted.network).unwrap().clone();
        wanted.network.clone_from(&other);
        let moved = asked("PUT", format!("/v1/machines/{}", self.mover), json!({"networkId": other}));
        wanted.leads_to = match random.below(3) {
            0 => None,
            nth => Some(self.holders[nth as usize - 1].clone()),
        };
        let led = asked("PUT", format!("/v1/public-ips/{}", self.ip), json!({"machineId": wanted.leads_to}));
        let drive = format!("/v1/shared-drives/{}", self.drive.id);
        let changed = if random.coin() && wanted.size < 4 {
            wanted.size += 1;
            asked("POST", format!("{drive}/resize"), json!({"size": wanted.size}))
        } else {
            asked("PUT", drive, json!({"name": format!("data {round}")}))
        };
        let drive = format!("/v1/shared-drives/{}", self.spare.id);
        let rotated = asked("POST", format!("{drive}/rotate-password"), json!({}));
        vec![moved, led, changed, rotated]
    }

    fn are_as(&self, world: &World, wanted: &Wanted) {
        wait("no event is open", ORDER, || {
            let events = world.get("/v1/machine-events?limit=120");
            let open = |event: &Value| ["new", "in progress"].contains(&event["state"].as_str().unwrap());
            (!events["items"].as_array().unwrap().iter().any(open)).then_some(())
        });
        let mover = world.machine(&self.mover);
        assert_eq!((&mover["networkId"], &mover["state"]), (&json!(wanted.network), &json!("ready")));
        wait(&format!("{} leads to {:?}", self.ip, wanted.leads_to), ORDER, || {
            let said = world.outside.get(SocketAddr::new(self.ip.into(), 8080), "/");
            let said = said.ok().map(|(_, said)| said.trim().to_owned());
            (said == wanted.leads_to).then_some(())
        });
        self.drive.ready(world);
        self.spare.ready(world);
        let path = format!("/v1/shared-drives/{}", self.drive.id);
        assert_eq!(world.get(&path)["size"], json!(wanted.size << 30));
        assert_eq!(self.mounted.run("cat /mnt/data/kept"), "kept");
        world.assert_no_leak();
    }
}

/// Asks for everything while the server is killed once, and asks again for what it has not answered.
fn give(world: &mut World, random: &mut Random, mut left: Vec<Asked>) {
    let moment = random.below(KILLED_MS_MAX);
    let server = world.server.pid();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(moment));
            let _ = kill(server, Signal::SIGKILL);
        });
        left.retain(|asked| !heard(world, asked));
    });
    world.kill();
    world.restart();
    left.retain(|asked| !heard(world, asked));
    assert!(left.is_empty(), "a server that lives has not answered");
}

/// Whether a question was answered: a server that is killed does not.
fn heard(world: &World, asked: &Asked) -> bool {
    let once = (asked.method == "POST").then_some(asked.key.as_str());
    let Ok((status, answer)) = world.ask(asked.method, &asked.path, &asked.body, once) else { return false };
    assert_eq!(status, 200, "{} {}: {answer}", asked.method, asked.path);
    true
}
