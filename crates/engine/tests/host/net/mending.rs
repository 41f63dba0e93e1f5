//! What is broken is seen, and made whole again.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

use deckle_api::Timestamp;
use deckle_engine::linux::net::PlaceSeen;
use deckle_engine::seen::{HostThing, Loss, NetworkSeen};
use deckle_engine::specs::{NetworkSpec, NicSpec};

use super::guest::Guest;
use super::world::{OUTSIDE, SOON, World, done, ip, nic, within};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// What a look says of the network, the machine's place in it and its public address.
async fn look(world: &World, spec: &NetworkSpec, nic: &NicSpec) -> (NetworkSeen, bool, Option<Ipv4Addr>) {
    let network = world.net.look_network(spec).await.unwrap();
    let plugged = world.net.look_nic(&nic.machine, &nic.network).await.unwrap();
    (network, plugged, world.net.look_public_ip(&nic.machine, &nic.network).await.unwrap())
}

async fn mend(world: &World, spec: &NetworkSpec, nic: &NicSpec) {
    world.net.ensure_network(spec).await.unwrap();
    world.net.ensure_nic(nic).await.unwrap();
    world.lead(PUBLIC, nic).await;
}

fn lease_server(things: &[HostThing]) -> i32 {
    let process = things.iter().find(|thing| thing.kind == "process").expect("no lease server");
    process.name.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn kill_lease_server(world: &World) {
    let id = lease_server(&world.things().await);
    done("kill", &["-9", &id.to_string()]);
    while world.things().await.iter().any(|thing| thing.kind == "process") {}
}

async fn break_and_mend(damages: &[(&str, bool, bool)]) {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let nic = nic(&spec, "a", 2);
    mend(&world, &spec, &nic).await;
    let (namespace, uplink) = (world.namespace(&spec.network), world.paths.uplink(&spec.network));
    let inside = |words: &[&str]| {
        let net = format!("--net=/run/netns/{namespace}");
        done("nsenter", &[&[net.as_str()], words].concat());
    };
    for &(damage, plugged, led) in damages {
        assert_eq!(
            look(&world, &spec, &nic).await,
            (NetworkSeen::Whole, true, Some(PUBLIC)),
            "before: {damage}"
        );
        match damage {
            "lease server killed" => kill_lease_server(&world).await,
            "bridge deleted" => inside(&["ip", "link", "delete", "br0"]),
            "tap deleted" => inside(&["ip", "link", "delete", "psa"]),
            "rules flushed" => inside(&["nft", "flush", "ruleset"]),
            "a rule added" => inside(&["nft", "add", "rule", "ip", "deckle", "forward", "accept"]),
            "host rules deleted" => done("nft", &["delete", "table", "inet", &world.paths.rules()]),
            "uplink deleted" => ip(&format!("link delete {uplink}")),
            "uplink off" => ip(&format!("link set {uplink} down")),
            "default route deleted" => inside(&["ip", "route", "delete", "default"]),
            "public route deleted" => ip(&format!("route delete {PUBLIC}")),
            "namespace deleted" => ip(&format!("netns delete {namespace}")),
            "namespace name left" => {
                ip(&format!("netns delete {namespace}"));
                File::create(format!("/run/netns/{namespace}")).unwrap();
            }
            _ => unreachable!("{damage}"),
        }
        let network = if damage == "tap deleted" { NetworkSeen::Whole } else { NetworkSeen::Broken };
        assert_eq!(look(&world, &spec, &nic).await, (network, plugged, led.then_some(PUBLIC)), "{damage}");
        mend(&world, &spec, &nic).await;
        assert_eq!(
            look(&world, &spec, &nic).await,
            (NetworkSeen::Whole, true, Some(PUBLIC)),
            "after: {damage}"
        );
    }
    let guest = Guest::ready(&world, &spec, nic).await;
    assert!(guest.pings(OUTSIDE));
    assert!(guest.resolves("psa", spec.gateway()));
}

#[tokio::test]
async fn a_lease_server_that_ends_is_noticed_and_comes_back_with_its_leases() {
    let mut world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let quiet = world.network("b", "10.64.16.0/24").await;
    let guest = Guest::boot(&world, nic(&spec, "a", 3)).await;
    let since = Timestamp::of_system_clock();
    guest.take_lease(world.paths.state()).expect("no lease");
    let file = world.paths.network(&spec.network).join("leases");
    let leases = || fs::read_to_string(&file).unwrap();
    let before = leases();
    for round in ["that this server started", "that another one started"] {
        let things = world.things().await;
        let here: Vec<_> = things.into_iter().filter(|thing| thing.of == spec.network.to_string()).collect();
        let began = Instant::now();
        done("kill", &["-9", &lease_server(&here).to_string()]);
        let lost = tokio::time::timeout(SOON, world.losses.next()).await;
        assert_eq!(lost.expect("nothing was noticed"), Loss::Server(spec.network.clone()), "one {round}");
        assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Broken);
        world.net.ensure_network(&spec).await.unwrap();
        assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole);
        assert!(began.elapsed() < SOON, "{round}: back after {:?}", began.elapsed());
        assert_eq!(leases(), before);
        let leased = world.net.leased(&guest.nic.machine, &spec.network, since).await.unwrap();
        assert!(leased.is_some_and(|at| at >= since), "{round}");
        assert!(guest.resolves("psa", spec.gateway()));
        world.restart().await;
        for spec in [&spec, &quiet] {
            assert_eq!(world.net.look_network(spec).await.unwrap(), NetworkSeen::Whole);
        }
    }
    guest.take_lease(world.paths.state()).expect("no lease from the new one");
}

#[tokio::test]
async fn what_is_broken_inside_is_seen_and_mended() {
    break_and_mend(&[
        ("lease server killed", true, true),
        ("bridge deleted", false, true),
        ("tap deleted", false, true),
        ("rules flushed", false, false),
        ("a rule added", true, true),
        ("default route deleted", true, true),
    ])
    .await;
}

/// A guest keeps its port while the rest of its place is made again, and only then.
#[tokio::test]
async fn a_port_without_its_pass_is_told_from_one_that_is_gone() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let nic = nic(&spec, "a", 2);
    mend(&world, &spec, &nic).await;
    let namespace = world.namespace(&spec.network);
    let look = || world.net.look_place(&nic.machine, &spec.network);
    assert_eq!(look().await.unwrap(), PlaceSeen { port: true, nic: true });
    for damage in ["nft flush ruleset", "ip link delete br0"] {
        let words = ["netns", "exec", &namespace].into_iter().chain(damage.split(' '));
        done("ip", &words.collect::<Vec<_>>());
        assert_eq!(look().await.unwrap(), PlaceSeen { port: true, nic: false }, "{damage}");
        mend(&world, &spec, &nic).await;
        assert_eq!(look().await.unwrap(), PlaceSeen { port: true, nic: true }, "{damage}");
    }
    ip(&format!("-n {namespace} link delete {}", world.paths.tap(&nic.machine)));
    assert_eq!(look().await.unwrap(), PlaceSeen { port: false, nic: false });
}

#[tokio::test]
async fn what_is_broken_on_the_host_is_seen_and_mended() {
    break_and_mend(&[
        ("host rules deleted", true, true),
        ("uplink deleted", true, true),
        ("uplink off", true, true),
        ("public route deleted", true, true),
        ("namespace deleted", false, false),
        ("namespace name left", false, false),
    ])
    .await;
}

#[tokio::test]
async fn removing_leaves_nothing() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let nic = nic(&spec, "a", 2);
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole);
    let bare = world.things().await;
    let process = |things: &[HostThing]| lease_server(things);
    mend(&world, &spec, &nic).await;
    mend(&world, &spec, &nic).await;
    assert_eq!(process(&bare), process(&world.things().await), "the lease server was started again");
    let kinds: Vec<_> =
        world.things().await.into_iter().filter(|thing| thing.of == "psa").map(|thing| thing.kind).collect();
    assert_eq!(kinds, ["file", "file", "link", "route", "rule", "rule", "rule"]);

    for _ in 0..2 {
        world.net.remove_nic(&nic.machine, &spec.network).await.unwrap();
        assert_eq!(world.things().await, bare);
    }
    mend(&world, &spec, &nic).await;
    for _ in 0..2 {
        world.net.remove_network(&spec.network).await.unwrap();
        assert_eq!(world.things().await, []);
        assert_eq!(look(&world, &spec, &nic).await, (NetworkSeen::Absent, false, None));
    }
}

#[tokio::test]
async fn removing_finishes_what_was_left_half_made() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    ip(&format!("netns delete {}", world.namespace(&spec.network)));
    fs::write(world.paths.network(&spec.network).join("pid"), "1\n").unwrap();
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Broken);
    world.net.remove_network(&spec.network).await.unwrap();
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Absent);
    assert_eq!(world.things().await, []);
}

#[tokio::test]
async fn a_new_server_finds_everything_and_chooses_other_uplinks() {
    let mut world = World::new().await;
    let first = world.network("a", "10.64.8.0/24").await;
    let nic = nic(&first, "a", 2);
    mend(&world, &first, &nic).await;
    let before = world.things().await;
    world.restart().await;
    assert_eq!(look(&world, &first, &nic).await, (NetworkSeen::Whole, true, Some(PUBLIC)));
    assert_eq!(world.things().await, before);
    let second = world.network("b", "10.64.8.0/24").await;
    assert_ne!(world.uplink(&first.network), world.uplink(&second.network));
}

#[tokio::test]
async fn a_machine_s_files_without_their_signal_are_read_at_the_next_start() {
    let mut world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let names = world.paths.network(&spec.network).join("names");
    fs::write(names.join("psb"), "10.64.8.3 psb\n").unwrap();
    assert!(!guest.resolves("psb", spec.gateway()));
    world.restart().await;
    let end = Instant::now() + SOON;
    while !guest.resolves("psb", spec.gateway()) {
        assert!(Instant::now() < end, "the name is not known");
    }
}

#[tokio::test]
async fn a_lease_server_s_file_changes_only_while_none_runs() {
    let mut world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let file = world.paths.network(&spec.network).join("dnsmasq.conf");
    let (old, process) = (fs::read(&file).unwrap(), lease_server(&world.things().await));
    let watch = std::thread::spawn(move || {
        while fs::read(&file).unwrap() == old {}
        Path::new(&format!("/proc/{process}/exe")).exists()
    });
    world.settings.name_servers = vec![Ipv4Addr::new(9, 9, 9, 9)];
    world.restart().await;
    world.net.ensure_network(&spec).await.unwrap();
    assert!(!watch.join().unwrap(), "the old one ran on");
    assert_eq!(world.net.look_network(&spec).await.unwrap(), NetworkSeen::Whole);
}

#[tokio::test]
async fn a_mending_breaks_no_connection() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let guest = Guest::ready(&world, &spec, nic(&spec, "a", 2)).await;
    let listener = within(&world.outside, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 7100)).unwrap());
    let mut inner =
        within(&guest.namespace, || TcpStream::connect_timeout(&(OUTSIDE, 7100).into(), SOON).unwrap());
    let (mut outer, _) = listener.accept().unwrap();
    inner.set_read_timeout(Some(SOON)).unwrap();
    world.net.ensure_network(&spec).await.unwrap();
    outer.write_all(b"on").unwrap();
    let mut heard = [0; 2];
    inner.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"on");
}

#[tokio::test]
async fn many_networks_made_at_once_get_an_uplink_each() {
    let world = World::new().await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let [a, b, c, d, e, f] = names.map(|name| world.network(name, "10.64.8.0/24"));
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    let specs = [a, b, c, d, e, f];
    let mut uplinks: Vec<_> = specs.iter().map(|spec| world.uplink(&spec.network)).collect();
    uplinks.sort();
    uplinks.dedup();
    assert_eq!(uplinks.len(), names.len());
}

#[tokio::test]
async fn machines_plugged_and_unplugged_at_once_do_not_disturb_each_other() {
    let world = World::new().await;
    let spec = world.network("a", "10.64.8.0/24").await;
    let bare = world.things().await;
    let [a, b, c, d] = [2, 3, 4, 5].map(|last| nic(&spec, &format!("m{last}"), last));
    let plug = |nic| world.net.ensure_nic(nic);
    let plugged = tokio::join!(plug(&a), plug(&b), plug(&c), plug(&d));
    assert!(matches!(plugged, (Ok(()), Ok(()), Ok(()), Ok(()))), "{plugged:?}");
    for nic in [&a, &b, &c, &d] {
        assert!(world.net.look_nic(&nic.machine, &nic.network).await.unwrap(), "{}", nic.machine);
    }
    let unplug = |nic: &NicSpec| {
        let (machine, network, net) = (nic.machine.clone(), nic.network.clone(), &world.net);
        async move { net.remove_nic(&machine, &network).await }
    };
    let unplugged = tokio::join!(unplug(&a), unplug(&b), unplug(&c), unplug(&d));
    assert!(matches!(unplugged, (Ok(()), Ok(()), Ok(()), Ok(()))), "{unplugged:?}");
    assert_eq!(world.things().await, bare);
}
