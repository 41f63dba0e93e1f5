//! Desktops, with a real VNC client.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use deckle_engine::seen::Power;
use deckle_engine::specs::{BootSpec, DesktopSpec};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::vm::place::{GIB, Place, eventually, guest_disk, tap};
use crate::vm::viewer::watch;

async fn start(place: &Place, boot: u64, password: &str) -> SocketAddr {
    let desktop = Some(DesktopSpec { password: password.to_owned() });
    let spec = BootSpec { desktop, ..place.boot_spec(boot, 64) };
    place.vms.power_on(&spec, tap()).await.unwrap();
    let seen = place.vms.look(&place.machine).await.unwrap();
    assert!(matches!(seen.power, Power::On { .. }), "{seen:?}");
    seen.desktop.expect("it has a desktop")
}

async fn machine() -> Place {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    place.take_in(&guest_disk(folder.path(), false)).await.unwrap();
    place.disks.ensure_disk(&place.disk_spec(GIB)).await.unwrap();
    place
}

#[tokio::test]
async fn the_password_of_this_boot_opens_a_desktop_and_no_other_does() {
    let mut place = machine().await;
    let desktop = start(&place, 1, "first-pw").await;
    place.hear("boot 1").await;
    // What the firmware has written is light on dark.
    eventually("a frame with text", async || watch(desktop, "first-pw").unwrap() > 1).await;
    for wrong in ["wrong-pw", "first-p", "EMPTY"] {
        let refused = watch(desktop, wrong).unwrap_err();
        assert!(refused.contains("login failed"), "{wrong}: {refused}");
    }
    // A server that has just been started finds the desktop where it was.
    place.restarted();
    assert_eq!(place.vms.look(&place.machine).await.unwrap().desktop, Some(desktop));

    place.vms.cut_power(&place.machine).await.unwrap();
    assert_eq!(place.vms.look(&place.machine).await.unwrap().desktop, None);
    assert!(TcpStream::connect(desktop).is_err(), "it listens without a machine");
    let again = start(&place, 2, "second-p").await;
    assert_eq!(again, desktop, "a machine keeps its port");
    place.hear("boot 2").await;
    assert!(watch(again, "first-pw").is_err(), "a password outlives its boot");
    watch(again, "second-p").unwrap();
}

#[tokio::test]
async fn a_password_is_nowhere_to_be_read_and_nobody_enters_without_one() {
    let place = machine().await;
    let desktop = start(&place, 1, "s3cret_x").await;
    let pid = place.pid();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("s3cret_x"), "{file}");
    }
    let folder = place.paths.machine(&place.machine);
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap();
        if file.file_type().unwrap().is_file() {
            let bytes = fs::read(file.path()).unwrap();
            assert!(!bytes.windows(8).any(|window| window == b"s3cret_x"), "{file:?}");
        }
    }
    assert!(desktop.ip().is_loopback(), "{desktop}");
    assert_eq!(offered(desktop), [1, 2], "one way in: by a password");
}

/// The number of ways in that a server offers, and what they are.
fn offered(desktop: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(desktop).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut version = [0; 12];
    stream.read_exact(&mut version).unwrap();
    stream.write_all(&version).unwrap();
    let mut ways = [0; 2];
    stream.read_exact(&mut ways).unwrap();
    ways.to_vec()
}

#[tokio::test]
async fn a_qemu_that_waits_for_its_password_since_a_crash_is_off_and_started_anew() {
    let place = machine().await;
    start(&place, 1, "first-pw").await;
    let line = fs::read(format!("/proc/{}/cmdline", place.pid())).unwrap();
    assert!(
        line.split(|byte| *byte == 0).any(|word| word == b"-S"),
        "a guest that runs before it is guarded"
    );
    place.hear("boot 1").await;
    place.vms.cut_power(&place.machine).await.unwrap();

    let waiting = halfway(&place);
    assert!(Path::new(&format!("/proc/{waiting}/exe")).exists());
    assert_eq!(place.vms.look(&place.machine).await.unwrap(), Default::default());
    let desktop = start(&place, 2, "second-p").await;
    place.hear("boot 2").await;
    assert_ne!(place.pid(), waiting);
    assert!(!Path::new(&format!("/proc/{waiting}/exe")).exists(), "two on one disk");
    watch(desktop, "second-p").unwrap();

    place.vms.cut_power(&place.machine).await.unwrap();
    halfway(&place);
    place.disks.remove_disk(&place.machine).await.unwrap();
}

/// A QEMU on the machine's disk as a server leaves it that was killed before it handed the password over.
fn halfway(place: &Place) -> u32 {
    let folder = place.paths.machine(&place.machine);
    let disk = serde_json::json!({ "driver": "qcow2", "node-name": "disk",
        "file": { "driver": "file", "filename": folder.join("disk.qcow2") }, "backing": null });
    // The folder is root's, so the socket is made before the user is another.
    let socket = UnixListener::bind(folder.join("qmp.sock")).unwrap();
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let number = socket.as_raw_fd();
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-nodefaults", "-display", "none", "-vnc", "none,password=on", "-S", "-m", "64"])
        .args(["-blockdev", &disk.to_string(), "-mon", "chardev=qmp,mode=control"])
        .args(["-chardev", &format!("socket,id=qmp,fd={number},server=on,wait=off")])
        .uid(3_000_001)
        .gid(3_000_001)
        .spawn()
        .unwrap();
    let pid = child.id();
    std::thread::spawn(move || child.wait());
    let mut greeting = [0; 6];
    UnixStream::connect(folder.join("qmp.sock")).unwrap().read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"{\"QMP\"");
    let note = r#"{"boot":9,"since":"2026-01-01T00:00:00.000Z","host_boot":"x","process":null}"#;
    fs::write(folder.join("run.json"), note).unwrap();
    pid
}
