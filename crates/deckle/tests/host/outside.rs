//! A place of a world's own on this machine: ranges that no other world has, and an outside that the host
//! routes to. No packet for a world's addresses ever leaves this machine.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, setns};

use super::host::{run, try_run};
use super::http::Question;

/// How many worlds may be at the same time on this machine.
const PLACES: u8 = 16;
/// The port that the outside's server listens on.
const PORT: u16 = 8000;

/// Ranges, and the namespace outside.
pub struct Outside {
    nth: u8,
    /// Whoever holds it has the place.
    _held: Flock<File>,
}

impl Outside {
    /// Takes a free place and lays the way outside.
    pub fn open() -> Self {
        let free = |nth| {
            let path = format!("/run/deckle-world-{nth}.lock");
            let file = File::options().create(true).append(true).open(path).unwrap();
            Some((nth, Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?))
        };
        let (nth, held) = (0..PLACES).find_map(free).expect("too many worlds on this machine");
        let outside = Self { nth, _held: held };
        outside.remove();
        outside.lay();
        outside.serve();
        outside
    }

    /// What a world's server is configured with.
    pub fn config(&self) -> String {
        let Self { nth, .. } = self;
        let (pool, server) = (self.pool(), self.address());
        let first_uid = 3_100_000 + u32::from(*nth) * 1000;
        format!(
            "public_pools = [\"{pool}\"]\n[linux]\nuplinks = \"100.97.{nth}.0/24\"\nfirst_uid = {first_uid}\n\
             acceleration = \"tcg\"\nname_servers = [\"{server}\"]\n"
        )
    }

    /// The address outside.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, 10 + 4 * self.nth)
    }

    /// The host's address on the way there.
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, 9 + 4 * self.nth)
    }

    /// A page outside that says who asks for it.
    pub fn page(&self) -> String {
        format!("{}:{PORT}", self.address())
    }

    /// Asks a server for a page, from outside.
    pub fn get(&self, server: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
        let path = path.to_owned();
        self.within(move || Question::get(&path).ask(server))
    }

    fn within<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        let file = File::open(format!("/run/netns/{}", self.namespace())).unwrap();
        let inside = thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        });
        inside.join().unwrap()
    }

    /// Machines' public addresses that lead nowhere stay here too.
    fn lay(&self) {
        let (namespace, link, pool) = (self.namespace(), self.link(), self.pool());
        let ip = |words: String| drop(run("ip", &words.split(' ').collect::<Vec<_>>()));
        ip(format!("route add unreachable {pool}"));
        ip(format!("netns add {namespace}"));
        ip(format!("link add {link} type veth peer name eth0 netns {namespace}"));
        ip(format!("address add {}/30 dev {link}", self.host()));
        ip(format!("link set {link} up"));
        ip(format!("-n {namespace} address add {}/30 dev eth0", self.address()));
        ip(format!("-n {namespace} link set lo up"));
        ip(format!("-n {namespace} link set eth0 up"));
        ip(format!("-n {namespace} route add default via {}", self.host()));
    }

    /// Answers everybody with the address that they come from, until the process ends.
    fn serve(&self) {
        let address = (self.address(), PORT);
        let listener = self.within(move || TcpListener::bind(address).unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(caller) = stream.peer_addr() else { continue };
                let mut asked = BufReader::new(&stream).lines().map_while(Result::ok);
                if asked.any(|line| line.is_empty()) {
                    let _ = write!(&stream, "HTTP/1.0 200 OK\r\n\r\n{}\n", caller.ip());
                }
            }
        });
    }

    fn remove(&self) {
        try_run("ip", &["link", "delete", &self.link()]);
        try_run("ip", &["netns", "delete", &self.namespace()]);
        try_run("ip", &["route", "delete", "unreachable", &self.pool()]);
    }

    fn namespace(&self) -> String {
        format!("world-{}", self.nth)
    }

    fn link(&self) -> String {
        format!("world{}", self.nth)
    }

    /// Of the range for measurements between networks: nobody's, and not the default pool.
    fn pool(&self) -> String {
        format!("198.18.{}.0/28", self.nth)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.remove();
    }
}
