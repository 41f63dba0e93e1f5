//! An installation with a fresh tag, and an outside that the host routes to.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deckle_engine::linux::Settings;
use deckle_engine::linux::losses::Losses;
use deckle_engine::linux::net::Net;
use deckle_engine::linux::paths::{Paths, Tag};
use deckle_engine::seen::HostThing;
use deckle_engine::specs::{HostNetwork, Mac, NetworkSpec, NicSpec, PublicIpSpec};
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;

/// The host's address on the way to the outside.
pub const HOST_OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The only address outside.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// How long an answer may take that is to come.
pub const SOON: Duration = Duration::from_secs(5);
/// How long one waits for an answer that is not to come.
pub const NEVER: Duration = Duration::from_millis(400);

pub struct World {
    pub net: Net,
    pub paths: Paths,
    pub settings: Settings,
    /// Where the ends of the networks' servers are noticed.
    pub losses: Losses,
    pub outside: String,
    _state: TempDir,
    _alone: Option<Flock<File>>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One world at a time on this machine: outsides have the same addresses.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let file = File::options().create(true).append(true).open("/run/deckle-host-tests.lock").unwrap();
        let alone = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap();
        let mut world = Self::without_outside(change).await;
        world._alone = Some(alone);
        let (outside, link) = (world.outside.clone(), world.outside_link());
        ip(&format!("netns add {outside}"));
        ip(&format!("link add {link} type veth peer name eth0 netns {outside}"));
        ip(&format!("address add {HOST_OUTSIDE}/24 dev {link}"));
        ip(&format!("link set {link} up"));
        ip(&format!("-n {outside} address add {OUTSIDE}/24 dev eth0"));
        ip(&format!("-n {outside} link set lo up"));
        ip(&format!("-n {outside} link set eth0 up"));
        ip(&format!("-n {outside} route add default via {HOST_OUTSIDE}"));
        world
    }

    /// A second installation beside another's world.
    pub async fn without_outside(change: impl FnOnce(&mut Settings)) -> Self {
        let tag = fresh_tag();
        let state = tempfile::tempdir().unwrap();
        fs::set_permissions(state.path(), Permissions::from_mode(0o711)).unwrap();
        let mut settings = Settings { proxy_arp_on: None, ..Settings::default() };
        settings.state = state.path().to_owned();
        settings.name_servers = vec![OUTSIDE];
        let paths = Paths::new(tag.clone(), state.path().to_owned());
        let losses = Losses::default();
        let mut world = Self {
            net: Net::new(paths.clone(), settings.clone(), losses.clone()),
            paths,
            settings,
            losses,
            outside: format!("out-{tag}"),
            _state: state,
            _alone: None,
        };
        change(&mut world.settings);
        if world.settings.proxy_arp_on.is_some() {
            world.settings.proxy_arp_on = Some(world.outside_link());
        }
        world.restart().await;
        world
    }

    /// As after a new start of the server.
    pub async fn restart(&mut self) {
        self.losses = Losses::default();
        self.net = Net::new(self.paths.clone(), self.settings.clone(), self.losses.clone());
        self.net.start().await.unwrap();
    }

    pub fn outside_link(&self) -> String {
        self.outside.replace('-', "")
    }

    /// Makes the private network `n<name>` with that range.
    pub async fn network(&self, name: &str, cidr: &str) -> NetworkSpec {
        let network = HostNetwork::Private(format!("n{name}").parse().unwrap());
        let spec = NetworkSpec { network, cidr: cidr.parse().unwrap(), firewall: Vec::new() };
        self.net.ensure_network(&spec).await.unwrap();
        spec
    }

    pub async fn lead(&self, public_ip: Ipv4Addr, nic: &NicSpec) {
        let spec = PublicIpSpec {
            machine: nic.machine.clone(),
            network: nic.network.clone(),
            public_ip,
            ip: nic.ip,
        };
        self.net.ensure_public_ip(&spec).await.unwrap();
    }

    pub async fn things(&self) -> Vec<HostThing> {
        self.net.look_things().await.unwrap()
    }

    pub fn namespace(&self, network: &HostNetwork) -> String {
        self.paths.namespace(network)
    }

    /// The host's end of a network's uplink, and the /31's other address.
    pub fn uplink(&self, network: &HostNetwork) -> Ipv4Addr {
        let said = said("ip", &["-4", "-o", "address", "show", "dev", &self.paths.uplink(network)]);
        let address = said.split_whitespace().find_map(|word| word.strip_suffix("/31")).unwrap().to_owned();
        address.parse().unwrap()
    }
}

impl Drop for World {
    /// Removes all that the tag names, also after a failed test.
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "delete", &self.outside_link()]).output();
        let _ = Command::new("ip").args(["netns", "delete", &self.outside]).output();
        let net = Net::new(self.paths.clone(), self.settings.clone(), Losses::default());
        let sweep = async move {
            for thing in net.look_things().await.unwrap_or_default() {
                if let Some(network) = network_of(&thing.of) {
                    let _ = net.remove_network(&network).await;
                }
            }
            let _ = net.remove_host_rules().await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = thread::spawn(move || runtime.block_on(sweep)).join();
    }
}

/// A machine's place in a network: the last of its addresses tells it from others.
pub fn nic(spec: &NetworkSpec, name: &str, last: u8) -> NicSpec {
    let [a, b, c, _] = spec.cidr.network().octets();
    let machine = format!("ps{name}");
    NicSpec {
        machine: machine.parse().unwrap(),
        network: spec.network.clone(),
        mac: Mac([0x52, 0x54, 0, b, c, last]),
        ip: Ipv4Addr::new(a, b, c, last),
        names: vec![machine, name.to_owned()],
    }
}

/// Runs `act` on a thread inside a namespace.
pub fn within<T: Send + 'static>(namespace: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    start_within(namespace, act).join().unwrap()
}

pub fn start_within<T: Send + 'static>(
    namespace: &str,
    act: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        act()
    })
}

/// Whether a TCP connection from a namespace comes about.
pub fn reaches(namespace: &str, to: Ipv4Addr, port: u16, limit: Duration) -> bool {
    let to = SocketAddr::from(SocketAddrV4::new(to, port));
    within(namespace, move || TcpStream::connect_timeout(&to, limit).is_ok())
}

/// A port that no other part of a test listens on.
pub fn fresh_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Listens in a namespace; the answer is the address that the first caller comes from.
pub fn listen(namespace: &str, port: u16) -> JoinHandle<Option<Ipv4Addr>> {
    let listener = within(namespace, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let end = SystemTime::now() + SOON;
        while SystemTime::now() < end {
            if let Ok((_, SocketAddr::V4(caller))) = listener.accept() {
                return Some(*caller.ip());
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    })
}

/// A socket in a namespace that waits for datagrams at a port.
pub fn receiver(namespace: &str, port: u16) -> UdpSocket {
    let socket = within(namespace, move || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

pub fn ip(words: &str) {
    done("ip", &words.split_whitespace().collect::<Vec<_>>());
}

pub fn done(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn network_of(id: &str) -> Option<HostNetwork> {
    let private = id.parse().map(HostNetwork::Private);
    private.or_else(|_| id.parse().map(HostNetwork::Own)).ok()
}

/// A tag that no other test of this process has.
fn fresh_tag() -> Tag {
    static FIRST: LazyLock<u64> =
        LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64);
    static MADE: AtomicU64 = AtomicU64::new(0);
    Tag::mint(*FIRST + MADE.fetch_add(1, Ordering::Relaxed))
}
