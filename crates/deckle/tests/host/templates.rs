//! A template of a real guest's disk: machines from it have its files, and go their own ways.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::host::wait;
use super::world::{ORDER, Ordered, World, text};

/// How long a copy may take to begin.
const BEGINS: Duration = Duration::from_secs(60);
/// How long between two looks whether it has.
const PAUSE: Duration = Duration::from_millis(5);
/// How many copies may be made before the server that makes them is killed.
const TRIES: usize = 5;

/// Where a template's image lies.
fn image(world: &World, id: &str) -> PathBuf {
    world.installation().state.join("templates").join(format!("{id}.qcow2"))
}

/// Orders a template of a machine, and kills the server while the copy is made. One that was made too fast for
/// that is deleted, and another one ordered.
fn made_by_a_killed_server(world: &mut World, machine: &str) -> String {
    for _ in 0..TRIES {
        let ordered = world.post("/v1/custom-templates", &json!({"name": "golden", "machineId": machine}));
        let id = text(&ordered["data"]["id"]);
        let copy = world.installation().state.join("templates").join(format!("import-{id}"));
        let began = Instant::now();
        while !copy.exists() && !image(world, &id).exists() {
            assert!(began.elapsed() < BEGINS, "the copy does not begin");
            sleep(PAUSE);
        }
        world.kill();
        let too_late = image(world, &id).exists();
        world.restart();
        world.done(&Ordered { machine: machine.to_owned(), event: text(&ordered["event"]["id"]) });
        assert!(!copy.exists(), "what the killed server left is cleared away");
        if !too_late {
            return id;
        }
        world.delete(&format!("/v1/custom-templates/{id}"));
        wait("the image is gone", ORDER, || (!image(world, &id).exists()).then_some(()));
    }
    panic!("each of {TRIES} templates was made before the server was killed");
}

#[test]
fn machines_of_a_template_have_its_files_and_go_their_own_ways() {
    let mut world = World::new();
    let parent = world.create("parent", json!({}));
    world.done(&parent);
    world.guest(&parent.machine).run("echo golden > state; sudo sh -c 'echo root > /root/mark'; sync");
    world.done(&world.order("stop", &parent.machine));
    let id = made_by_a_killed_server(&mut world, &parent.machine);
    let file = File::open(image(&world, &id)).unwrap();

    let children = ["one", "two"].map(|name| world.create(name, json!({"templateId": id})));
    children.iter().for_each(|child| world.done(child));
    world.done(&world.remove(&parent.machine));
    world.delete(&format!("/v1/custom-templates/{id}"));
    wait("the image is gone", ORDER, || (!image(&world, &id).exists()).then_some(()));

    let read = "cat state; sudo cat /root/mark; hostname";
    for child in &children {
        let guest = world.guest(&child.machine);
        assert_eq!(guest.run(read), format!("golden\nroot\n{}", child.machine));
        guest.run(&format!("echo {} > state; sync", child.machine));
    }
    let restarts = children.each_ref().map(|child| world.order("restart", &child.machine));
    for (child, restart) in children.iter().zip(&restarts) {
        world.done(restart);
        let id = &child.machine;
        assert_eq!(world.guest(id).run(read), format!("{id}\nroot\n{id}"));
    }

    let [one, two] = children;
    assert_eq!(file.metadata().unwrap().nlink(), 2, "each disk holds on to what it began as");
    world.done(&world.remove(&one.machine));
    assert_eq!(file.metadata().unwrap().nlink(), 1);
    world.assert_no_leak();
    world.done(&world.remove(&two.machine));
    assert_eq!(file.metadata().unwrap().nlink(), 0, "the image is gone with the last of its disks");
    let left = fs::read_dir(world.installation().state.join("templates")).unwrap();
    assert_eq!(left.count(), 1, "the template of the operating system");
    world.end();
}
