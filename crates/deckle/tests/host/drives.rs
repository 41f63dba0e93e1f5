//! Shared drives, mounted by real guests.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::guest::Guest;
use super::host::wait;
use super::world::{ORDER, World, text};

/// How long a guest may take to fill a drive, in seconds: it signs each packet, under TCG.
const SLOW_S: u32 = 400;
/// How long a server of a network may be away after it was killed.
const BACK: Duration = Duration::from_secs(5);

/// A drive, as its users know it.
pub struct Drive {
    pub id: String,
    share: String,
    username: String,
    password: String,
}

impl Drive {
    fn of(answer: &Value) -> Self {
        Self {
            id: text(&answer["id"]),
            share: text(&answer["mountPoint"]).replace('\\', "/"),
            username: text(&answer["username"]),
            password: text(&answer["password"]),
        }
    }

    /// Makes a drive of 1 GB, and waits until its host has it.
    pub fn make(world: &World, network: &str) -> Self {
        let wanted = json!({"name": "data", "size": 1, "region": "ny2", "networkId": network});
        let drive = Self::of(&world.post("/v1/shared-drives", &wanted));
        drive.ready(world);
        drive
    }

    pub fn ready(&self, world: &World) {
        let path = format!("/v1/shared-drives/{}/detail", self.id);
        wait("the drive is ready", ORDER, || {
            let detail = world.get(&path);
            assert_eq!(detail["lastError"], Value::Null, "{detail}");
            (detail["isReady"] == true).then_some(())
        });
    }

    /// What mounts it, as the guide says.
    pub fn mount(&self, at: &str) -> String {
        let Self { share, username, password, .. } = self;
        let server = share.trim_start_matches('/').split('/').next().unwrap();
        format!(
            "sudo modprobe -a cifs nls_utf8 || true; sudo mkdir -p {at} && sudo mount -t cifs {share} {at} \
             -o ip={server},vers=3.1.1,hard,username={username},password={password},uid=1000,gid=1000"
        )
    }
}

/// The processes that share a network's drives.
fn servers(world: &World, network: &str) -> Vec<i32> {
    let inside = super::host::run("ip", &["netns", "pids", &format!("deckle-{}-{network}", world.tag())]);
    let inside = inside.lines().filter_map(|line| line.trim().parse().ok());
    let is_smbd = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim().starts_with("smbd")
    };
    inside.filter(is_smbd).collect()
}

fn guests(world: &World, network: &str) -> [Guest; 2] {
    let orders = ["one", "two"].map(|name| world.create(name, json!({"networkId": network})));
    orders.map(|ordered| {
        world.done(&ordered);
        world.guest(&ordered.machine)
    })
}

#[test]
fn a_drive_is_shared_fills_up_grows_and_outlives_its_server() {
    let world = World::new();
    let network = world.network("lab");
    let drive = Drive::make(&world, &network);
    let [one, two] = guests(&world, &network);
    for guest in [&one, &two] {
        guest.run(&drive.mount("/mnt/data"));
    }

    one.run("echo hello > /mnt/data/greeting; sync");
    assert_eq!(two.run("cat /mnt/data/greeting"), "hello");
    a_full_drive_loses_nothing(&one, &two);
    a_drive_grows_while_it_is_mounted(&world, &drive, &one, &two);
    a_copy_outlives_its_server(&world, &network, &one, &two);
    another_network_sees_nothing(&world, &drive, &one);

    for guest in [&one, &two] {
        guest.run("sudo umount /mnt/data");
    }
    world.end();
}

fn a_full_drive_loses_nothing(one: &Guest, two: &Guest) {
    let full = one.run_within(SLOW_S, "dd if=/dev/zero of=/mnt/data/filler bs=1M count=1100 2>&1; true");
    assert!(full.contains("No space left on device"), "{full}");
    assert_eq!(two.run("cat /mnt/data/greeting"), "hello");
    let [all, used, free] = space(two);
    assert!((900..=1024).contains(&all), "a drive of 1 GB shows {all} MiB");
    assert!(free <= 8 && used + 8 >= all - 60, "a full drive shows {used} of {all} MiB used, {free} free");
    one.run("rm /mnt/data/filler; sync");
}

/// The size, what is used and what is free of the mounted drive, in MiB.
fn space(guest: &Guest) -> [u64; 3] {
    let line = guest.run("df -m /mnt/data | tail -n 1");
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    [0; 3].map(|_| numbers.next().unwrap_or_else(|| panic!("not three numbers: {line}")))
}

fn a_drive_grows_while_it_is_mounted(world: &World, drive: &Drive, one: &Guest, two: &Guest) {
    world.post(&format!("/v1/shared-drives/{}/resize", drive.id), &json!({"size": 2}));
    drive.ready(world);
    for guest in [one, two] {
        let [all, ..] = space(guest);
        assert!((1850..=2048).contains(&all), "a drive of 2 GB shows {all} MiB");
        assert_eq!(guest.run("cat /mnt/data/greeting"), "hello");
    }
    one.run("echo more > /mnt/data/more; sync");
    assert_eq!(two.run("cat /mnt/data/more"), "more");
}

fn a_copy_outlives_its_server(world: &World, network: &str, one: &Guest, two: &Guest) {
    one.run_within(SLOW_S, "dd if=/dev/urandom of=$HOME/big bs=1M count=100 2>/dev/null");
    let wanted = one.run("md5sum < $HOME/big");
    let copy = {
        let one = one.clone();
        thread::spawn(move || one.run_within(SLOW_S, "cp $HOME/big /mnt/data/big && sync && echo copied"))
    };
    wait("the copy is under way", ORDER, || {
        let bytes: u64 = two.run("set -- $(ls -l /mnt/data/big 2>/dev/null); echo ${5:-0}").parse().unwrap();
        (bytes > 0).then_some(())
    });
    let killed = servers(world, network);
    assert!(!killed.is_empty(), "nothing shares the drives of {network}");
    assert!(!copy.is_finished(), "the copy was over before the server was killed");
    for pid in &killed {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
    }
    wait("what shares the drives is back", BACK, || {
        servers(world, network).iter().any(|pid| !killed.contains(pid)).then_some(())
    });
    assert_eq!(copy.join().unwrap(), "copied");
    assert_eq!(two.run("md5sum < /mnt/data/big"), wanted);
}

fn another_network_sees_nothing(world: &World, drive: &Drive, neighbour: &Guest) {
    let far = world.network("far");
    let ordered = world.create("stranger", json!({"networkId": far}));
    world.done(&ordered);
    let stranger = world.guest(&ordered.machine);
    let server = drive.share.trim_start_matches('/').split('/').next().unwrap().to_owned();
    let ask = format!("timeout 8 nc -w 4 {server} 445 < /dev/null && echo reached; true");
    assert_eq!((neighbour.run(&ask).as_str(), stranger.run(&ask).as_str()), ("reached", ""));
}
