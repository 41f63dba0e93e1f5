//! What is taken away behind the server's back: found at the next look, of which there is one every 30 seconds
//! with the settings that a host has by default, mended or told, once. Some tests have their host look more
//! often, and prove the same. How long is waited for something allows for a host that is slow.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::drives::Drive;
use super::guest::Guest;
use super::host::{run, wait};
use super::kill::boot_of;
use super::world::{ORDER, SMALL, Wishes, World, text};

/// How long until drift is found at the most, and a time in which everything is looked at once.
const FOUND: Duration = Duration::from_secs(105);
const ROUND: Duration = Duration::from_secs(35);
/// A host that looks more often, and the same times of it.
const OFTEN: &str = "[limits]\ndrift_s = 4\npause_s_max = 4\n";
const FOUND_SOON: Duration = Duration::from_secs(30);
const ROUND_SOON: Duration = Duration::from_secs(6);
/// How long until the end of a virtual machine is noticed: before the next look, as a rule.
const NOTICED: Duration = Duration::from_secs(15);

/// A file that is taken away, and where it is meanwhile.
struct Taken {
    from: PathBuf,
    to: PathBuf,
}

impl Taken {
    fn take(from: PathBuf) -> Self {
        let to = from.with_extension("elsewhere");
        fs::rename(&from, &to).unwrap();
        Self { from, to }
    }

    /// Puts it back, where nothing has taken its place.
    fn put_back(self) {
        assert!(!self.from.exists(), "{} was made anew", self.from.display());
        fs::rename(self.to, self.from).unwrap();
    }
}

impl World {
    /// A machine's events, the oldest first: what, how it ended, and why.
    fn told(&self, machine: &str) -> Vec<(String, String, String)> {
        let page = self.get(&format!("/v1/machine-events?machineId={machine}&order=asc&limit=120"));
        let events = page["items"].as_array().unwrap().iter();
        let words = |event: &Value| {
            let why = event["error"].as_str().unwrap_or_default().to_owned();
            (text(&event["name"]), text(&event["state"]), why)
        };
        events.map(words).collect()
    }

    /// The same, in short and without the machine's creation.
    fn told_since(&self, machine: &str) -> Vec<String> {
        let told = self.told(machine);
        told.into_iter().skip(1).map(|(name, state, _)| format!("{name} {state}")).collect()
    }

    /// Waits until a machine has had these events since it was made.
    fn tells(&self, machine: &str, wanted: &[&str], limit: Duration) {
        let began = Instant::now();
        wait(&format!("{wanted:?} of {machine}"), limit + Duration::from_secs(1), || {
            let told = self.told_since(machine);
            assert!(began.elapsed() < limit || told == wanted, "{machine}: {:?}", self.told(machine));
            (told == wanted).then_some(())
        });
    }

    /// Waits until a machine is what it is to be.
    fn becomes(&self, machine: &str, state: &str) {
        wait(&format!("{machine} is {state}"), ORDER, || {
            (self.machine(machine)["state"] == state).then_some(())
        });
    }

    fn disk(&self, machine: &str) -> PathBuf {
        self.installation().state.join("machines").join(machine).join("disk.qcow2")
    }

    fn namespace(&self, network: &str) -> String {
        format!("deckle-{}-{network}", self.tag())
    }

    /// The process of a machine's virtual machine.
    fn qemu(&self, machine: &str) -> i32 {
        let disk = self.disk(machine).display().to_string();
        let of_it = |(_, line): &(i32, String)| line.starts_with("qemu-system") && line.contains(&disk);
        self.installation().processes().into_iter().find(of_it).map(|(pid, _)| pid).unwrap()
    }

    /// Some ready machines in a network.
    fn ready<const N: usize>(&self, network: &str, names: [&str; N]) -> [String; N] {
        let orders = names.map(|name| self.create(name, json!({"networkId": network})));
        orders.map(|ordered| {
            self.done(&ordered);
            ordered.machine
        })
    }
}

#[test]
fn guests_that_go_and_what_machines_lose_are_mended_or_told_once() {
    let world = World::new();
    let network = world.network("lab");
    let [sleeper, victim, torn, diskless] = world.ready(&network, ["sleeper", "victim", "torn", "diskless"]);
    let idle = world.create("idle", json!({"startOnCreate": false}));
    world.done(&idle);
    let (idle, steady) = (idle.machine, world.guest(&diskless));
    let boot = boot_of(&steady);
    let first = world.qemu(&victim);

    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    wait("the end is noticed", NOTICED, || (!world.told_since(&victim).is_empty()).then_some(()));
    world.guest(&sleeper).run("(sleep 1; sudo poweroff) >/dev/null 2>&1 &");
    run("ip", &["-n", &world.namespace(&network), "link", "delete", &torn]);
    let disks = [&diskless, &idle].map(|machine| Taken::take(world.disk(machine)));

    for (machine, word) in [(&diskless, "restart"), (&idle, "start")] {
        world.tells(machine, &[&format!("{word} error")], FOUND);
        let (_, _, why) = world.told(machine).pop().unwrap();
        assert!(why.contains("its disk was made and is missing from its host"), "{why}");
    }
    wait("the lost port is found", FOUND, || (!world.told_since(&torn).is_empty()).then_some(()));
    wait("the guest has gone down", ORDER, || world.console(&sleeper).contains("deckle: down").then_some(()));
    wait("that is found", FOUND, || (!world.told_since(&sleeper).is_empty()).then_some(()));
    world.tells(&sleeper, &["stop done"], ORDER);
    for machine in [&victim, &torn] {
        world.tells(machine, &["restart done"], ORDER);
        world.becomes(machine, "ready");
        assert!(world.guest(machine).lets_in());
    }
    world.becomes(&sleeper, "off");
    assert_ne!(world.qemu(&victim), first);

    // Another round of looks tells nothing again, and makes nothing.
    std::thread::sleep(ROUND);
    assert_eq!(world.told_since(&sleeper), ["stop done"]);
    assert_eq!(world.told_since(&victim), ["restart done"]);
    assert_eq!(world.told_since(&torn), ["restart done"]);
    assert_eq!(world.told_since(&diskless), ["restart error"]);
    assert_eq!(world.told_since(&idle), ["start error"]);
    assert_eq!(world.machines()[&idle], "off");
    assert_eq!(boot_of(&steady), boot, "a guest whose disk was moved ran on");
    steady.run("echo kept > state; sync");
    disks.into_iter().for_each(Taken::put_back);

    let again = world.order("restart", &diskless);
    world.done(&again);
    assert_eq!(world.guest(&diskless).run("cat state"), "kept");
    world.done(&world.order("start", &idle));
    world.end();
}

#[test]
fn a_disk_or_a_template_that_is_missing_is_never_replaced() {
    let world = World::with(Wishes { linux: OFTEN, ..Wishes::default() });
    let on = world.create("on", json!({}));
    world.done(&on);
    let machine = on.machine;
    world.guest(&machine).run("echo kept > state; sync");

    let disk = Taken::take(world.disk(&machine));
    kill(Pid::from_raw(world.qemu(&machine)), Signal::SIGKILL).unwrap();
    wait("it is told", FOUND_SOON, || {
        let told = world.told_since(&machine);
        (told.last().is_some_and(|last| last == "restart error")).then_some(())
    });
    let told = world.told_since(&machine);
    disk.put_back();
    // It was on, and nobody has switched it off.
    world.becomes(&machine, "ready");
    assert_eq!(world.guest(&machine).run("cat state"), "kept");
    assert_eq!(world.told_since(&machine), told, "{:?}", world.told(&machine));

    let image = Taken::take(world.installation().state.join("templates").join(format!("{SMALL}.qcow2")));
    let refused = world.ended(&world.create("late", json!({})), ORDER);
    let why = text(&refused["error"]);
    assert_eq!(refused["state"], "error");
    assert!(why.contains(&format!("the image of template {SMALL} is not here")), "{why}");
    world.done(&world.order("restart", &machine));
    image.put_back();
    world.done(&world.create("later", json!({"startOnCreate": false})));

    let below = Taken::take(world.disk(&machine).with_file_name("template.qcow2"));
    world.done(&world.order("stop", &machine));
    let started = world.ended(&world.order("start", &machine), ORDER);
    let why = text(&started["error"]);
    assert!(why.contains("the image that its disk began as"), "{why}");
    below.put_back();
    world.done(&world.order("start", &machine));
    assert_eq!(world.guest(&machine).run("cat state"), "kept");
    world.end();
}

/// Whether the page of a machine is answered at an address, from outside.
fn answers(world: &World, ip: &str, name: &str) -> bool {
    let server = SocketAddr::new(ip.parse().unwrap(), 8080);
    world.outside.get(server, "/").is_ok_and(|(_, said)| said.trim() == name)
}

fn serve(guest: &Guest, name: &str) {
    guest.run(&format!("mkdir -p /tmp/www; echo {name} > /tmp/www/index.html; httpd -p 8080 -h /tmp/www"));
}

#[test]
fn a_network_that_loses_its_rules_or_all_of_it_is_whole_again() {
    let world = World::with(Wishes { linux: OFTEN, ..Wishes::default() });
    let network = world.network("lab");
    let drive = Drive::make(&world, &network);
    let [machine] = world.ready(&network, ["web"]);
    let guest = world.guest(&machine);
    let ip = guest.address.clone();
    serve(&guest, "web");
    guest.run(&drive.mount("/mnt/data"));
    guest.run("echo kept > /mnt/data/kept; sync");
    let boot = boot_of(&guest);
    assert!(answers(&world, &ip, "web"));

    // The rules go, the guest stays.
    let namespace = world.namespace(&network);
    run("ip", &["netns", "exec", &namespace, "nft", "flush", "ruleset"]);
    run("nft", &["delete", "table", "inet", &format!("deckle_{}", world.tag())]);
    assert!(!answers(&world, &ip, "web"), "nothing leads to it any more");
    wait("its rules are back", FOUND_SOON, || answers(&world, &ip, "web").then_some(()));
    assert_eq!(boot_of(&guest), boot, "a guest was disturbed for its rules' sake");
    assert_eq!(guest.run("cat /mnt/data/kept"), "kept");
    assert_eq!(world.told_since(&machine), Vec::<String>::new());

    // The whole namespace goes.
    run("ip", &["netns", "delete", &namespace]);
    wait("it is found", FOUND_SOON, || (!world.told_since(&machine).is_empty()).then_some(()));
    world.tells(&machine, &["restart done"], ORDER);
    world.becomes(&machine, "ready");
    drive.ready(&world);
    assert_eq!(world.machine(&machine)["publicIp"], ip, "its address was held meanwhile");
    serve(&guest, "web");
    assert!(answers(&world, &ip, "web"));
    assert_ne!(boot_of(&guest), boot);
    guest.run(&drive.mount("/mnt/data"));
    assert_eq!(guest.run("cat /mnt/data/kept"), "kept");
    guest.run("sudo umount /mnt/data");

    // The drive's image goes, and is put back.
    let image = Taken::take(world.installation().state.join("drives").join(&drive.id).join("image.ext4"));
    let detail = format!("/v1/shared-drives/{}/detail", drive.id);
    let trouble =
        wait("it is told", FOUND_SOON, || world.get(&detail)["lastError"].as_str().map(str::to_owned));
    assert!(trouble.contains("its image was made and is missing from its host"), "{trouble}");
    let told = world.get(&detail);
    assert!(told["since"].is_string() && told["dtLastError"].is_string(), "{told}");
    std::thread::sleep(ROUND_SOON);
    let later = world.get(&detail);
    assert_eq!(
        (&later["since"], &later["lastError"]),
        (&told["since"], &told["lastError"]),
        "it is told once"
    );
    image.put_back();
    wait("it is shared again", FOUND_SOON, || (world.get(&detail)["isReady"] == true).then_some(()));
    guest.run(&drive.mount("/mnt/data"));
    assert_eq!(guest.run("cat /mnt/data/kept"), "kept");
    guest.run("sudo umount /mnt/data");
    assert_eq!(world.told_since(&machine), ["restart done"]);
    world.end();
}
