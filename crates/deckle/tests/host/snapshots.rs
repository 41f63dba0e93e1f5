//! Snapshots of a real guest's disk: what a restore brings back, and what it discards.

use std::process::Command;

use serde_json::{Value, json};

use super::host::run;
use super::world::{Ordered, World, text};

/// A machine and its snapshots, as the API has them.
pub struct Disk<'a> {
    pub world: &'a World,
    pub machine: &'a str,
}

impl Disk<'_> {
    /// Takes a snapshot, and answers with its id.
    fn take(&self, name: &str) -> String {
        let wanted = json!({"name": name, "machineId": self.machine});
        let answer = self.world.post("/v1/snapshots", &wanted);
        self.done(&answer);
        text(&answer["data"]["id"])
    }

    fn restore(&self, snapshot: &str) {
        self.done(&self.world.post(&format!("/v1/snapshots/{snapshot}/restore"), &json!({})));
    }

    fn remove(&self, snapshot: &str) {
        self.done(&self.world.delete(&format!("/v1/snapshots/{snapshot}")));
    }

    /// Waits until what was ordered of a snapshot is done.
    fn done(&self, answer: &Value) {
        let event = text(&answer["event"]["id"]);
        self.world.done(&Ordered { machine: self.machine.to_owned(), event });
    }

    fn order(&self, act: &str) {
        self.world.done(&self.world.order(act, self.machine));
    }

    /// What the guest's home has of what was written.
    fn there(&self) -> String {
        let seen = self.world.guest(self.machine).run("cd; ls -d A B C D E F 2>/dev/null; true");
        seen.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn write(&self, letter: &str) {
        self.world.guest(self.machine).run(&format!("echo {letter} > ~/{letter}"));
    }

    /// The snapshots that the API shows, the oldest first.
    pub fn shown(&self) -> Vec<String> {
        let page = self.world.get(&format!("/v1/snapshots?machineId={}&order=asc&limit=120", self.machine));
        page["items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect()
    }

    /// Sees that the disk of a machine that is off has the snapshots that the API shows, no other ones, and is
    /// not corrupt.
    pub fn check(&self) {
        let disk = self.world.installation().state.join("machines").join(self.machine).join("disk.qcow2");
        let disk = disk.display().to_string();
        let output = Command::new("qemu-img").args(["check", "--output=json", &disk]).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        // What a killed call leaked is given back before the next one.
        let faults =
            ["corruptions", "check-errors"].map(|name| said.get(name).map_or(0, |n| n.as_u64().unwrap()));
        assert_eq!(faults, [0, 0], "{said}");
        let information: Value =
            serde_json::from_str(&run("qemu-img", &["info", "--output", "json", &disk])).unwrap();
        let on_disk = information["snapshots"].as_array().into_iter().flatten();
        let mut on_disk: Vec<_> = on_disk.map(|snapshot| text(&snapshot["name"])).collect();
        let mut shown = self.shown();
        on_disk.sort();
        shown.sort();
        assert_eq!(on_disk, shown);
    }
}

/// Nothing is written out by hand while it runs: its agent does that when its snapshot is taken.
#[test]
fn a_machine_goes_back_and_forth_between_its_snapshots_running_and_stopped() {
    let world = World::new();
    let ordered = world.create("box", json!({}));
    world.done(&ordered);
    let disk = Disk { world: &world, machine: &ordered.machine };

    disk.write("A");
    let first = disk.take("first");
    disk.write("B");
    let second = disk.take("second");
    disk.write("C");
    assert_eq!(disk.there(), "A B C", "a running guest runs on");
    disk.restore(&first);
    assert_eq!(disk.there(), "A");
    disk.restore(&second);
    assert_eq!(disk.there(), "A B");
    disk.remove(&first);
    disk.restore(&second);
    assert_eq!(disk.there(), "A B");
    assert_eq!(disk.shown(), [second.as_str()]);

    disk.write("D");
    disk.order("stop");
    let third = disk.take("third");
    disk.order("start");
    disk.write("E");
    disk.order("stop");
    let fourth = disk.take("fourth");
    disk.restore(&third);
    assert_eq!(text(&world.machine(disk.machine)["state"]), "off");
    disk.order("start");
    assert_eq!(disk.there(), "A B D");
    disk.order("stop");
    disk.restore(&fourth);
    disk.remove(&third);
    disk.restore(&fourth);
    disk.check();
    disk.order("start");
    assert_eq!(disk.there(), "A B D E");
    assert_eq!(disk.shown(), [second, fourth]);
    world.assert_no_leak();
    world.end();
}
