//! The server killed at any moment while snapshots of a machine's disk are taken, gone back to and removed, on
//! and off: each comes about, and the disk holds what it should.
//!
//! `DECKLE_KILL_ROUNDS` and `DECKLE_KILL_SEED` are those of the other such tests; a round here is a boot, so
//! there is one for four of theirs.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

use super::host::wait;
use super::kill::{KILLED_MS_MAX, Random, boot_of, setting};
use super::snapshots::Disk;
use super::world::{ORDER, World, text};

/// The latest moment at which the server is killed after an order that needs no boot, in milliseconds.
const SHORT_MS_MAX: u64 = 800;

/// A snapshot, and what the guest's file holds in it.
#[derive(Debug, Clone)]
struct Kept {
    id: String,
    holds: String,
}

/// The machine, and what is known of it.
struct Subject {
    machine: String,
    kept: Vec<Kept>,
    /// What the guest's file holds now.
    holds: String,
}

#[test]
fn a_server_killed_at_any_moment_takes_removes_and_goes_back_to_snapshots_as_ordered() {
    let rounds = setting("DECKLE_KILL_ROUNDS").unwrap_or(10).div_ceil(4);
    let seed = setting("DECKLE_KILL_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{rounds} rounds, DECKLE_KILL_SEED={seed}");
    let mut random = Random(seed);
    let mut world = World::new();
    let ordered = world.create("box", json!({}));
    world.done(&ordered);
    let mut subject = Subject { machine: ordered.machine, kept: Vec::new(), holds: String::new() };
    for round in 0..rounds {
        println!("round {round}");
        subject.write(&world, &format!("on {round}"));
        let boot = boot_of(&world.guest(&subject.machine));
        subject.take(&mut world, &mut random, &format!("on {round}"));
        subject.remove_one(&mut world, &mut random);
        assert_eq!(boot_of(&world.guest(&subject.machine)), boot, "the guest was disturbed");
        subject.write(&world, "discarded");
        subject.restore_one(&mut world, &mut random, KILLED_MS_MAX);
        subject.holds_what_it_should(&world);
    }
    world.done(&world.order("stop", &subject.machine));
    for round in 0..rounds {
        subject.take(&mut world, &mut random, &format!("off {round}"));
        subject.restore_one(&mut world, &mut random, SHORT_MS_MAX);
        subject.remove_one(&mut world, &mut random);
        assert_eq!(text(&world.machine(&subject.machine)["state"]), "off");
        Disk { world: &world, machine: &subject.machine }.check();
    }
    world.done(&world.order("start", &subject.machine));
    subject.holds_what_it_should(&world);
    world.end();
}

impl Subject {
    fn write(&mut self, world: &World, words: &str) {
        world.guest(&self.machine).run(&format!("echo {words} > ~/state"));
        words.clone_into(&mut self.holds);
    }

    fn holds_what_it_should(&self, world: &World) {
        assert_eq!(world.guest(&self.machine).run("cat ~/state"), self.holds, "{:?}", self.kept);
    }

    fn take(&mut self, world: &mut World, random: &mut Random, name: &str) {
        let wanted = json!({"name": name, "machineId": self.machine});
        let answer = give(world, random, SHORT_MS_MAX, "POST", "/v1/snapshots", &wanted);
        self.kept.push(Kept { id: text(&answer["data"]["id"]), holds: self.holds.clone() });
        self.shows_what_is_kept(world);
    }

    fn remove_one(&mut self, world: &mut World, random: &mut Random) {
        let gone = self.kept.remove(random.below(self.kept.len() as u64) as usize);
        give(world, random, SHORT_MS_MAX, "DELETE", &format!("/v1/snapshots/{}", gone.id), &Value::Null);
        self.shows_what_is_kept(world);
        // There is always one to go back to.
        if self.kept.is_empty() {
            self.take(world, random, "again");
        }
    }

    fn restore_one(&mut self, world: &mut World, random: &mut Random, ms_max: u64) {
        let kept = self.kept[random.below(self.kept.len() as u64) as usize].clone();
        let path = format!("/v1/snapshots/{}/restore", kept.id);
        give(world, random, ms_max, "POST", &path, &json!({}));
        self.holds = kept.holds;
        self.shows_what_is_kept(world);
    }

    fn shows_what_is_kept(&self, world: &World) {
        let kept: Vec<_> = self.kept.iter().map(|kept| kept.id.clone()).collect();
        assert_eq!(Disk { world, machine: &self.machine }.shown(), kept);
        world.assert_no_leak();
    }
}

/// Gives an order while the server is killed, gives it again if it was not answered, and waits for its end. The
/// answer; null where a deletion was over before it was heard of.
fn give(
    world: &mut World,
    random: &mut Random,
    ms_max: u64,
    method: &str,
    path: &str,
    body: &Value,
) -> Value {
    let (moment, key) = (random.below(ms_max), format!("snapshots-{:x}", random.next()));
    let once = (method == "POST").then_some(key.as_str());
    let server = world.server.pid();
    let first = thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(moment));
            let _ = kill(server, Signal::SIGKILL);
        });
        world.ask(method, path, body, once)
    });
    world.kill();
    world.restart();
    let (status, answer) = match first {
        Ok(answered) => answered,
        Err(_) => world.ask(method, path, body, once).unwrap(),
    };
    println!("  {method} {path}, killed after {moment} ms: {status}");
    if (method, status) != ("DELETE", 404) {
        assert_eq!(status, 200, "{method} {path}: {answer}");
        let id = text(&answer["event"]["id"]);
        let ended = wait(&format!("{method} {path} ends"), ORDER, || {
            let event = world.get(&format!("/v1/machine-events/{id}"));
            (!["new", "in progress"].contains(&event["state"].as_str().unwrap())).then_some(event)
        });
        assert_eq!(ended["state"], "done", "{ended}");
        return answer;
    }
    Value::Null
}
