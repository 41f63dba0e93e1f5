//! Upgrades as guests see them.

use serde_json::json;

use super::world::{Ordered, World, text};

#[test]
fn a_guest_sees_its_larger_disk_and_its_other_type_and_keeps_its_files() {
    let world = World::new();
    let created = world.create("web", json!({"machineType": "C2", "diskSize": 2}));
    world.done(&created);
    let machine = &created.machine;
    let guest = world.guest(machine);
    let sees = |guest: &super::guest::Guest| guest.run("nproc; cat /sys/block/vda/size");
    assert_eq!(sees(&guest), format!("1\n{}", (2u64 << 30) / 512));
    guest.run("echo kept > /home/paperspace/kept; sync");

    let path = format!("/v1/machines/{machine}");
    let larger = json!({"machineType": "C3", "diskSize": 5});
    let (status, refused) = world.ask("PUT", &path, &larger, None).unwrap();
    assert_eq!((status, text(&refused["code"])), (412, "PRECONDITION_FAILED".to_owned()), "{refused}");
    world.done(&world.order("stop", machine));
    let upgraded = world.put(&path, &larger);
    assert_eq!(upgraded["event"]["name"], "vm-upgrade");
    world.done(&Ordered::of(&upgraded));
    world.done(&world.order("start", machine));
    let guest = world.guest(machine);
    assert_eq!(sees(&guest), format!("2\n{}", (5u64 << 30) / 512));
    assert_eq!(guest.run("cat /home/paperspace/kept"), "kept");
    world.end();
}
