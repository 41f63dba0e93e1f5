//! A guest: a namespace whose card is joined to a machine's port, frame by frame, as QEMU would.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use deckle_engine::specs::{NetworkSpec, NicSpec};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::world::{SOON, World, done, ip, within};

/// The header of virtio before each frame: nothing of it is used.
const HEADER: [u8; 10] = [0; 10];

pub struct Guest {
    pub namespace: String,
    pub nic: NicSpec,
    /// The frames that came to it, in order.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    port: File,
    ended: Arc<AtomicBool>,
    pump: Option<JoinHandle<()>>,
}

impl Guest {
    /// A machine that is plugged in and on, without an address as yet.
    pub async fn boot(world: &World, nic: NicSpec) -> Self {
        world.net.ensure_nic(&nic).await.unwrap();
        let port = File::from(world.net.open_tap(&nic.machine, &nic.network).await.unwrap());
        let namespace = format!("{}-{}", world.outside, nic.machine);
        ip(&format!("netns add {namespace}"));
        let card = within(&namespace, || card(c"eth0"));
        ip(&format!("-n {namespace} link set eth0 address {} up", nic.mac));
        ip(&format!("-n {namespace} link set lo up"));
        let (heard, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let pump = {
            let (port, heard, ended) = (port.try_clone().unwrap(), heard.clone(), ended.clone());
            thread::spawn(move || pump(port, card, &heard, &ended))
        };
        Self { namespace, nic, heard, port, ended, pump: Some(pump) }
    }

    /// A machine that has its address.
    pub async fn ready(world: &World, spec: &NetworkSpec, nic: NicSpec) -> Self {
        let guest = Self::boot(world, nic).await;
        let namespace = &guest.namespace;
        ip(&format!("-n {namespace} address add {}/{} dev eth0", guest.nic.ip, spec.cidr.prefix_len()));
        ip(&format!("-n {namespace} route add default via {}", spec.gateway()));
        guest
    }

    /// Asks for an address and takes it: what was offered, as `address router name-server mtu`.
    pub fn take_lease(&self, folder: &Path) -> Option<String> {
        self.take_lease_of(folder, 3600)
    }

    /// The same, for so many seconds.
    pub fn take_lease_of(&self, folder: &Path, seconds: u32) -> Option<String> {
        let (script, answer) = (folder.join("udhcpc"), folder.join("offered"));
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\n\
             ip address replace $ip/$mask dev $interface\nip route replace default via $router\n\
             echo $ip $router $dns $mtu > {}\n",
            answer.display()
        );
        let _ = fs::remove_file(&answer);
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let args = ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "4", "-T", "1", "-O", "mtu", "-x"];
        let mut command = self.command("busybox");
        command.args(args).arg(format!("0x33:{seconds:08x}")).arg("-s").arg(&script).output().unwrap();
        fs::read_to_string(answer).ok().map(|text| text.trim().to_owned())
    }

    /// What a name resolves to here, by the gateway.
    pub fn resolves(&self, name: &str, gateway: Ipv4Addr) -> bool {
        let wanted = self.command("busybox").args(["nslookup", name, &gateway.to_string()]).output().unwrap();
        wanted.status.success()
    }

    /// The whole of what the name server says of a name.
    pub fn looks_up(&self, name: &str, gateway: Ipv4Addr) -> String {
        let output = self.command("busybox").args(["nslookup", name, &gateway.to_string()]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether an echo comes back.
    pub fn pings(&self, to: Ipv4Addr) -> bool {
        let to = to.to_string();
        self.command("busybox").args(["ping", "-c", "1", "-W", "1", &to]).output().unwrap().status.success()
    }

    /// Sends a frame that its own kernel never would.
    pub fn send(&self, frame: &[u8]) {
        (&self.port).write_all(&[&HEADER, frame].concat()).unwrap();
    }

    /// Waits for a frame that holds `mark`, and answers with all that came before it.
    pub fn heard_until(&self, mark: &[u8]) -> Vec<Vec<u8>> {
        let start = Instant::now();
        while start.elapsed() < SOON {
            let heard = self.heard.lock().unwrap();
            if let Some(at) = heard.iter().position(|frame| holds(frame, mark)) {
                return heard[..at].to_vec();
            }
            drop(heard);
            thread::yield_now();
        }
        panic!("{} never heard of {:?}", self.nic.machine, String::from_utf8_lossy(mark));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg(program);
        command
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.pump.take().map(JoinHandle::join);
        done("ip", &["netns", "delete", &self.namespace]);
    }
}

pub fn holds(frame: &[u8], mark: &[u8]) -> bool {
    frame.windows(mark.len()).any(|window| window == mark)
}

/// Carries frames both ways, with their headers, until it is told to end.
fn pump(mut port: File, mut card: File, heard: &Mutex<Vec<Vec<u8>>>, ended: &AtomicBool) {
    let mut frame = vec![0; 70_000];
    while !ended.load(Ordering::Relaxed) {
        let mut fds =
            [PollFd::new(port.as_fd(), PollFlags::POLLIN), PollFd::new(card.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::from(20u8));
        let [from_port, from_card] = fds.map(|fd| fd.any() == Some(true));
        if from_port && let Ok(length) = port.read(&mut frame) {
            heard.lock().unwrap().push(frame[HEADER.len()..length].to_vec());
            let _ = card.write_all(&frame[..length]);
        }
        if from_card && let Ok(length) = card.read(&mut frame) {
            let _ = port.write_all(&frame[..length]);
        }
    }
}

#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(
    tun_set_iff,
    nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()),
    Request
);

/// A network card in the namespace of this thread.
fn card(name: &std::ffi::CStr) -> File {
    let tun = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    let flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags, rest: [0; 22] };
    request.name[..name.count_bytes()].copy_from_slice(name.to_bytes());
    // Needed: making a card in a guest is an ioctl.
    // SAFETY: the descriptor is open, and the request has the layout of the kernel's.
    unsafe { tun_set_iff(tun.as_raw_fd(), &request) }.unwrap();
    tun
}
