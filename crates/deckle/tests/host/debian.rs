//! A whole Debian 12 with cloud-init, from its template to its second boot: minutes without KVM.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, image, text};

/// How long a boot may take: some 50 s where the machine has nothing else to do.
const BOOT: Duration = Duration::from_secs(600);
const TEMPLATE: &str = "tdebian";
const SCRIPT: &str = "#!/bin/bash\necho \"it ran as $(id -un)\" | tee -a /root/ran\n";
const LOG: &str = "sudo cat /var/log/startup-script-output.log 2>/dev/null; true";

#[test]
fn a_debian_machine_is_its_users_and_stays_so() {
    let world = World::without_template(Default::default());
    let first_key = text(&world.get("/v1/ssh-keys")["items"][0]["id"]);
    world.import(&image("DECKLE_DEBIAN_TEMPLATE", "images/debian-12/build.sh"), TEMPLATE);
    let script = world.script(SCRIPT, true);
    let more = json!({"machineType": "C2", "templateId": TEMPLATE, "startupScriptId": script});
    let ordered = world.create("debian", more);
    world.done_within(&ordered, BOOT);

    let id = &ordered.machine;
    let machine = world.get("/v1/machines")["items"][0].clone();
    assert_eq!((&machine["id"], &machine["state"]), (&json!(id), &json!("ready")));
    assert!(text(&machine["os"]).contains("Debian GNU/Linux 12"), "{machine}");
    let guest = world.guest(id);
    super::host::wait("the script has run", BOOT, || guest.run(LOG).contains("exit status").then_some(()));
    assert_eq!(
        guest.run(&format!("id -un; hostname; sudo cat /root/ran; {LOG}")),
        format!("paperspace\n{id}\nit ran as root\nit ran as root\nexit status 0")
    );
    assert!(world.console(id).contains("startup-script: it ran as root"), "{}", world.console(id));
    let resolved = guest.run("getent hosts $(hostname) | cut -d' ' -f1");
    assert!(!resolved.is_empty(), "the guest knows its own name");
    guest.run("echo kept > state");
    stops_cleanly(&world, id);

    // Keys and scripts are those of the newest power-on.
    world.add_key("other");
    world.delete(&format!("/v1/ssh-keys/{first_key}"));
    world.done_within(&world.order("start", id), BOOT);
    let guest = world.guest_with(id, "other");
    assert_eq!(guest.run("cat state; sudo cat /root/ran"), "kept\nit ran as root", "once means once");
    assert!(!world.guest(id).lets_in(), "a key that was taken back still opens");
    stops_cleanly(&world, id);
    world.end();
}

/// The guest hears the power button; its power is not cut.
fn stops_cleanly(world: &World, id: &str) {
    world.done_within(&world.order("stop", id), BOOT);
    let events = world.get(&format!("/v1/machine-events?machineId={id}"));
    assert!(!events.to_string().contains("vm-shutdown-force"), "{events}");
    assert_eq!((&world.machine(id)["state"], &world.machine(id)["publicIp"]), (&json!("off"), &Value::Null));
}
