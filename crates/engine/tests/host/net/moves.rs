//! A public address that changes hands while it is asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use deckle_engine::linux::Settings;

use super::guest::Guest;
use super::world::{NEVER, OUTSIDE, SOON, World, fresh_port, listen, nic, reaches, within};

/// How long a move may take, as a client sees it.
const MOVED: Duration = Duration::from_secs(2);
/// How often the client asks.
const EVERY: Duration = Duration::from_millis(100);

/// Answers every connection with the machine's name, and then each byte with itself.
struct Server {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn of(guest: &Guest, port: u16) -> Self {
        let listener = within(&guest.namespace, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        let listener = listener.unwrap();
        listener.set_nonblocking(true).unwrap();
        let (name, ended) = (guest.nic.machine.to_string(), Arc::new(AtomicBool::new(false)));
        let end = ended.clone();
        let serve = move || {
            while !end.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((caller, _)) => {
                        let name = name.clone();
                        thread::spawn(move || answer(caller, &name));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        };
        Self { ended, thread: Some(thread::spawn(serve)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn answer(mut caller: TcpStream, name: &str) {
    let mut byte = [0];
    caller.set_nonblocking(false).unwrap();
    let mut going = caller.write_all(name.as_bytes()).is_ok();
    while going {
        going = matches!(caller.read(&mut byte), Ok(1)) && caller.write_all(&byte).is_ok();
    }
}

fn call(outside: &str, to: Ipv4Addr, port: u16, limit: Duration) -> Option<(String, TcpStream)> {
    let to = SocketAddr::from(SocketAddrV4::new(to, port));
    let mut stream = within(outside, move || TcpStream::connect_timeout(&to, limit)).ok()?;
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut name = [0; 3];
    stream.read_exact(&mut name).ok()?;
    Some((String::from_utf8_lossy(&name).into_owned(), stream))
}

/// A client outside that asks over a new connection each time, and keeps who answered when.
fn keep_asking(
    outside: String,
    to: Ipv4Addr,
    port: u16,
    end: Arc<AtomicBool>,
) -> JoinHandle<Vec<(Instant, Option<String>)>> {
    thread::spawn(move || {
        let mut heard = Vec::new();
        while !end.load(Ordering::Relaxed) {
            let began = Instant::now();
            heard.push((began, call(&outside, to, port, EVERY).map(|(name, _)| name)));
            thread::sleep(EVERY.saturating_sub(began.elapsed()));
        }
        heard
    })
}

/// The address that a guest's request arrives from.
fn seen_outside(world: &World, guest: &Guest) -> Option<Ipv4Addr> {
    let port = fresh_port();
    let caller = listen(&world.outside, port);
    reaches(&guest.namespace, OUTSIDE, port, SOON);
    caller.join().unwrap()
}

async fn move_it(world: &World, public: Ipv4Addr, from: &Guest, to: &Guest) {
    let port = fresh_port();
    let _servers = [Server::of(from, port), Server::of(to, port)];
    let (name, mut kept) = call(&world.outside, public, port, SOON).expect("the first one answers");
    assert_eq!(name, from.nic.machine.as_str());
    // A connection of the guest's own goes out by the address too, until that leads to another.
    let listener = within(&world.outside, move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let mut own =
        within(&from.namespace, move || TcpStream::connect_timeout(&(OUTSIDE, port).into(), SOON).unwrap());
    let (mut theirs, caller) = listener.accept().unwrap();
    assert_eq!(caller.ip(), public);

    let end = Arc::new(AtomicBool::new(false));
    let asking = keep_asking(world.outside.clone(), public, port, end.clone());
    tokio::time::sleep(3 * EVERY).await;
    let asked = Instant::now();
    world.lead(public, &to.nic).await;
    let done = Instant::now();
    tokio::time::sleep(MOVED).await;
    end.store(true, Ordering::Relaxed);
    let heard = asking.join().unwrap();

    let who = |wanted: &Guest| {
        let name = wanted.nic.machine.to_string();
        heard.iter().filter(move |(_, said)| said.as_deref() == Some(&name)).map(|(when, _)| *when)
    };
    let first_of_new = who(to).min().expect("the new one never answered");
    assert!(first_of_new - asked < MOVED, "after {:?}", first_of_new - asked);
    assert!(
        who(from).max().expect("the old one never answered") < done,
        "the old one answered after the move"
    );
    assert!(heard.iter().filter(|(when, _)| *when > done).all(|(_, said)| said.is_some()), "{heard:?}");

    kept.set_read_timeout(Some(NEVER)).unwrap();
    let _ = kept.write_all(b"?");
    assert!(!matches!(kept.read(&mut [0]), Ok(1)), "an old connection is still answered");
    own.set_read_timeout(Some(NEVER)).unwrap();
    let _ = theirs.write_all(b"?");
    assert!(!matches!(own.read(&mut [0]), Ok(1)), "an old connection still goes out by the address");
    assert_eq!(seen_outside(world, to), Some(public));
    assert_ne!(seen_outside(world, from), Some(public));
}

async fn moves(public: Ipv4Addr, change: impl FnOnce(&mut Settings)) {
    let world = World::with(change).await;
    let here = world.network("a", "10.64.8.0/24").await;
    let there = world.network("b", "10.64.16.0/24").await;
    let first = Guest::ready(&world, &here, nic(&here, "a", 3)).await;
    let near = Guest::ready(&world, &here, nic(&here, "b", 4)).await;
    let far = Guest::ready(&world, &there, nic(&there, "c", 3)).await;
    world.lead(public, &first.nic).await;
    for (from, to) in [(&first, &near), (&near, &far), (&far, &first)] {
        move_it(&world, public, from, to).await;
        // What takes the address from the one that had it comes late, or twice.
        world.net.remove_public_ip(&from.nic.machine, &from.nic.network).await.unwrap();
        let led = world.net.look_public_ip(&to.nic.machine, &to.nic.network).await.unwrap();
        assert_eq!(led, Some(public));
        assert_eq!(seen_outside(&world, to), Some(public));
    }
    world.net.remove_public_ip(&first.nic.machine, &here.network).await.unwrap();
    assert!(!world.things().await.iter().any(|thing| thing.kind == "route"));
}

#[tokio::test]
async fn a_routed_address_moves_while_it_is_asked() {
    // Ranges that overlap, lie in each other or touch are as good as one.
    moves(Ipv4Addr::new(203, 0, 113, 7), |settings| {
        let pools =
            ["203.0.113.0/25", "203.0.113.0/28", "203.0.113.0/24", "198.18.0.0/25", "198.18.0.128/25"];
        settings.public_pools = pools.map(|pool| pool.parse().unwrap()).to_vec();
    })
    .await;
}

#[tokio::test]
async fn an_address_on_the_link_moves_while_it_is_asked() {
    // No other test's address: a host has one table of routes.
    moves(Ipv4Addr::new(198, 51, 100, 160), |settings| {
        settings.proxy_arp_on = Some(String::new());
        settings.public_pools = vec!["198.51.100.128/25".parse().unwrap()];
    })
    .await;
}

#[tokio::test]
async fn addresses_that_cross_are_led_as_was_asked_last() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let first = Guest::ready(&world, &spec, nic(&spec, "a", 3)).await;
    let second = Guest::ready(&world, &spec, nic(&spec, "b", 4)).await;
    let (one, two) = (Ipv4Addr::new(203, 0, 113, 7), Ipv4Addr::new(203, 0, 113, 8));
    for round in 0..5 {
        let (one, two) = if round % 2 == 0 { (one, two) } else { (two, one) };
        tokio::join!(world.lead(one, &first.nic), world.lead(two, &second.nic));
        let (machine, network) = (&first.nic.machine, &spec.network);
        let (led, taken) =
            tokio::join!(world.lead(one, &second.nic), world.net.remove_public_ip(machine, network));
        let () = led;
        taken.unwrap();
        let look = |nic| world.net.look_public_ip(nic, &spec.network);
        assert_eq!(look(&second.nic.machine).await.unwrap(), Some(one), "round {round}");
        assert_eq!(look(&first.nic.machine).await.unwrap(), None, "round {round}");
        assert_eq!(seen_outside(&world, &second), Some(one));
    }
}
