//! A machine's life, as it is typed.

#[test]
fn a_machine_is_made_switched_and_deleted() {
    let (mut world, _server) = super::world("served_machine");
    let [id] = world.make("machine create --name first --template t0nspur5 --disk-size 100", ["ps"]);
    world.run(&format!("machine get {id}"));
    world.run(&format!("machine get {id} -o json"));
    world.run(&format!("machine stop {id}"));
    world.run(&format!("machine restart {id}"));
    world.run(&format!("machine stop {id}"));
    world.run("machine list");
    world.make(&format!("machine start {id} -o json"), ["ev"]);
    world.run(&format!("machine restart {id}"));
    world.run("machine list -o json");
    world.run(&format!("machine delete {id} --yes"));
    world.run(&format!("machine get {id}"));
    world.run(&format!("machine start {id}"));
    world.run("machine list");
}

#[test]
fn what_goes_on_can_be_waited_for_later() {
    let (mut world, _server) = super::world("served_events");
    let [id, event] = world.make("machine create --name first --template t0nspur5 --no-wait", ["ps", "ev"]);
    world.run(&format!("machine-event wait {event}"));
    world.run(&format!("machine-event get {event} -o json"));
    let [stop] = world.make(&format!("machine stop {id} --no-wait"), ["ev"]);
    world.run(&format!("machine-event wait {stop} -o json"));
    world.run(&format!("machine-event list --machine-id {id}"));
    world.run(&format!("machine-event list --machine-id {id} --limit 1 --all -o json"));
    world.run("machine-event get ev0");
    world.run(&format!("machine-event detail {event} -o json"));
    world.run("machine-event detail ev0");
    world.run(&format!("machine detail {id}"));
    world.run("machine-event get ps0");
}

#[test]
fn what_cannot_be_made_is_refused_and_changes_nothing() {
    let (mut world, _server) = super::world("served_refusals");
    for flags in [
        "--name x --template Nothing",
        "--name x --template tnothing --machine-type C4 --disk-size 50",
        "--name x --template t0nspur5 --machine-type A100 --region ca1",
        "--name x --template t0nspur5 --machine-type C99",
        "--name x --template t0nspur5 --region mars",
        "--name x --template t0nspur5 --disk-size 1",
        "--name x --template t0nspur5 --disk-size 1.5",
        "--name x --template t0nspur5 --disk-size 1e30",
        "--name x --template t0nspur5 --network-id n0",
        "--name x --template t0nspur5 --startup-script-id sc0",
        "--name x --template t0nspur5 --network-id ps0",
        "--name  --template t0nspur5",
    ] {
        world.run(&format!("machine create {flags}"));
    }
    world.run("machine list");
    world.run("machine list --limit 0");
    world.run("machine list --after nonsense");
    world.run("machine-event list");
}

#[test]
fn a_machine_that_is_off_gets_another_type_and_a_larger_disk() {
    let (mut world, _server) = super::world("served_upgrades");
    let [id] = world.make("machine create --name first --template t0nspur5", ["ps"]);
    world.run(&format!("machine update {id} --machine-type C5"));
    world.run(&format!("machine stop {id}"));
    world.run(&format!("machine update {id} --machine-type C5 --disk-size 20"));
    world.run(&format!("machine update {id} --machine-type C5 --disk-size 20 --name second"));
    world.run(&format!("machine update {id} --machine-type A100"));
    world.run(&format!("machine update {id} --disk-size 10"));
}

#[test]
fn a_list_is_walked_page_by_page() {
    let (mut world, _server) = super::world("served_pages");
    for name in ["a", "b", "c"] {
        world.make(&format!("machine create --name {name} --template t04azgph"), ["ps"]);
    }
    world.run("machine list --order-by name --order asc");
    world.run("machine list --order-by name --order asc --limit 1 --all");
    world.run("machine list --name B");
    world.run("machine list --region ca1");
}

#[test]
fn a_console_says_what_was_booted() {
    let (world, _server) = super::world("served_console");
    let create = "machine create --name first --template t0nspur5 -o json";
    let made: serde_json::Value =
        serde_json::from_slice(&world.command(create).output().unwrap().stdout).unwrap();
    let id = made["data"]["id"].as_str().unwrap();
    let said = |line: String| String::from_utf8(world.command(&line).output().unwrap().stdout).unwrap();
    let whole = said(format!("machine console {id}"));
    assert!(whole.contains("boot 1 of") && whole.ends_with("login:\r\n"), "{whole}");
    assert_eq!(said(format!("machine console {id} --bytes 8")), "login:\r\n");
    let page: serde_json::Value =
        serde_json::from_str(&said(format!("machine console {id} -o json"))).unwrap();
    assert_eq!(page["text"], whole.as_str());
    assert_eq!(page["next"], whole.len());
}
