//! Desktops as the API tells of them, with a real VNC client and a real guest.

#[path = "../../../engine/tests/host/vm/viewer.rs"]
mod viewer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::host::{addresses, wait};
use super::world::{ORDER, World, image, text};
use viewer::watch;

/// The template whose machines have a desktop.
const DESK: &str = "tdesk";

/// Where the API says that a desktop is, and with which password.
fn told(world: &World, machine: &str) -> (SocketAddr, String) {
    read(&world.get(&format!("/v1/machines/{machine}/desktop")))
}

/// The same, of an answer.
fn read(answer: &Value) -> (SocketAddr, String) {
    let vnc = &answer["vnc"];
    let hostname: IpAddr = text(&vnc["hostname"]).parse().unwrap();
    let port = u16::try_from(vnc["port"].as_u64().unwrap()).unwrap();
    (SocketAddr::new(hostname, port), text(&vnc["password"]))
}

/// Waits until a viewer sees more than one colour: what the firmware has written is light on dark.
fn sees_text(desktop: SocketAddr, password: &str) {
    wait("a frame with text", ORDER, || watch(desktop, password).ok().filter(|colours| *colours > 1));
}

fn is_refused(desktop: SocketAddr, password: &str) {
    let said = watch(desktop, password).unwrap_err();
    assert!(said.contains("login failed"), "{said}");
}

/// Whether something listens there.
fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}

/// Every address of this host but the one that desktops listen on.
fn others() -> Vec<IpAddr> {
    let mut others: Vec<IpAddr> = vec![Ipv4Addr::new(127, 0, 0, 2).into()];
    others.extend(addresses().iter().map(|address| address.parse::<IpAddr>().unwrap()));
    others.retain(|address| *address != IpAddr::from(Ipv4Addr::LOCALHOST));
    others
}

#[test]
fn the_password_that_the_api_tells_opens_the_desktop_of_this_power_on() {
    let world = World::new();
    let small = image("DECKLE_SMALL_GUEST", "images/small/build.sh").display().to_string();
    world.deckle(&["admin", "template", "import", &small, "--name", DESK, "--id", DESK, "--desktop"]);
    let made = world.create("easel", json!({"templateId": DESK, "publicIpType": "none"}));
    world.done(&made);
    let machine = made.machine;
    assert_eq!(world.machine(&machine)["agentType"], "LinuxDesktop");

    let (desktop, first) = told(&world, &machine);
    sees_text(desktop, &first);
    for wrong in ["wrong-pw", &first[..7], "EMPTY"] {
        is_refused(desktop, wrong);
    }
    assert!(desktop.ip() == IpAddr::from(Ipv4Addr::LOCALHOST) && answers(desktop), "{desktop}");
    let others = others();
    assert!(others.len() > 1, "{others:?}");
    for other in others {
        assert!(!answers(SocketAddr::new(other, desktop.port())), "it listens on {other}");
    }
    let url = format!("http://{}", world.server.api);
    let shown = world.deckle(&["--url", &url, "machine", "desktop", &machine]);
    assert!(
        shown.contains(&first) && shown.contains(&format!("vncviewer 127.0.0.1::{}", desktop.port())),
        "{shown}"
    );

    world.done(&world.order("stop", &machine));
    let path = format!("/v1/machines/{machine}/desktop");
    let (status, refused) = world.ask("GET", &path, &Value::Null, None).unwrap();
    assert_eq!((status, &refused["code"]), (412, &json!("PRECONDITION_FAILED")), "{refused}");
    assert!(!answers(desktop), "it listens without a machine");
    world.done(&world.order("start", &machine));
    let (desktop, second) = told(&world, &machine);
    assert_ne!(first, second);
    is_refused(desktop, &first);
    sees_text(desktop, &second);

    world.done(&world.order("restart", &machine));
    let (desktop, third) = told(&world, &machine);
    is_refused(desktop, &second);
    sees_text(desktop, &third);
    world.end();
}

/// What a server tells after its end is what the machine runs with, and a QEMU that was killed comes back with
/// another password.
#[test]
fn a_desktop_outlives_its_server_and_not_its_qemu() {
    let mut world = World::new();
    let small = image("DECKLE_SMALL_GUEST", "images/small/build.sh").display().to_string();
    world.deckle(&["admin", "template", "import", &small, "--name", DESK, "--id", DESK, "--desktop"]);
    let made = world.create("easel", json!({"templateId": DESK, "publicIpType": "none"}));
    world.done(&made);
    let before = told(&world, &made.machine);
    world.kill();
    world.restart();
    assert_eq!(told(&world, &made.machine), before);
    sees_text(before.0, &before.1);

    let qemu = world.installation().processes().into_iter().find(|(_, line)| line.contains("qemu-system"));
    let (pid, _) = qemu.expect("QEMU runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let path = format!("/v1/machines/{}/desktop", made.machine);
    let after = wait("another password", ORDER, || {
        let (status, answer) = world.ask("GET", &path, &Value::Null, None).unwrap();
        let after = (status == 200).then(|| read(&answer))?;
        (after.1 != before.1).then_some(after)
    });
    is_refused(after.0, &before.1);
    sees_text(after.0, &after.1);
    world.end();
}
