//! An installation that leaves its host leaves it as it was.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use deckle_api::firewall_rules::{FirewallDirection, FirewallProtocol};
use deckle_engine::Engine;
use deckle_engine::linux::{AccelerationWish, Linux, Settings};
use deckle_engine::specs::{FirewallRule, HostNetwork, NetworkSpec, PublicIpSpec};
use tempfile::TempDir;

use super::hosts::{difference, everything, on_a_bare_host};
use super::world::{SOON, done, ip, nic, said};

/// How long it may take where no guest has to be waited for.
const LIMIT: Duration = Duration::from_secs(30);

fn settings(folder: &TempDir, last: u8) -> Settings {
    fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
    Settings {
        state: folder.path().join("state"),
        public_pools: vec![format!("198.51.{last}.128/25").parse().unwrap()],
        proxy_arp_on: Some("lan".to_owned()),
        name_servers: vec![Ipv4Addr::new(198, 51, last, 2)],
        acceleration: AccelerationWish::Tcg,
        ..Settings::default()
    }
}

/// An installation with all that networks can have.
async fn install(settings: &Settings) {
    let linux = Linux::open(settings.clone()).await.unwrap();
    let own = HostNetwork::Own("psown".parse().unwrap());
    for (network, cidr) in [
        (HostNetwork::Private("na".parse().unwrap()), "10.64.8.0/24"),
        (HostNetwork::Private("nb".parse().unwrap()), "10.64.16.0/24"),
        (own, "172.31.255.252/30"),
    ] {
        let cidr = cidr.parse().unwrap();
        let rule = FirewallRule {
            machines: cidr,
            direction: FirewallDirection::Inbound,
            protocol: FirewallProtocol::Tcp,
            ports: Some((22, 22)),
            peers: "0.0.0.0/0".parse().unwrap(),
        };
        linux.ensure_network(&NetworkSpec { network, cidr, firewall: vec![rule] }).await.unwrap();
    }
    let spec = NetworkSpec {
        network: HostNetwork::Private("na".parse().unwrap()),
        cidr: "10.64.8.0/24".parse().unwrap(),
        firewall: Vec::new(),
    };
    let nic = nic(&spec, "a", 3);
    linux.ensure_nic(&nic).await.unwrap();
    let public_ip = Ipv4Addr::from(u32::from(settings.public_pools[0].network()) + 2);
    let spec = PublicIpSpec { machine: nic.machine, network: nic.network, public_ip, ip: nic.ip };
    linux.ensure_public_ip(&spec).await.unwrap();
    // As a drive that is shared.
    let drive = settings.state.join("drives/my drive");
    fs::create_dir_all(&drive).unwrap();
    done("mount", &["-t", "tmpfs", "tmpfs", &drive.display().to_string()]);
}

fn lan() {
    ip("link add lan type veth peer name far");
    ip("address add 198.51.100.1/24 dev lan");
    ip("link set lan up");
    ip("link set far up");
    let end = Instant::now() + SOON;
    while said("ip", &["-o", "link", "show"]).contains("LOWERLAYERDOWN") {
        assert!(Instant::now() < end, "the link does not come up");
    }
}

fn forwards() -> String {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim().to_owned()
}

fn no_lease_server(state: &Path) -> bool {
    let mark = state.display().to_string();
    deckle_engine::linux::process::Process::all(None, &mark).unwrap().is_empty()
}

#[test]
fn a_host_is_as_it_was_after_an_uninstall() {
    on_a_bare_host(|| async {
        lan();
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder, 100);
        let before = everything();
        install(&settings).await;
        let during = difference(&before, &everything());
        for kind in ["namespace", "rules", "link", "address", "route", "proxy", "mount", "run", "setting"] {
            assert!(
                during.iter().any(|line| line.starts_with(&format!("+ {kind}: "))),
                "no {kind}: {during:#?}"
            );
        }
        let things = Linux::uninstallable(settings.clone()).await.unwrap();
        let kinds = |kind: &str| things.iter().filter(|thing| thing.kind == kind).count();
        assert_eq!([kinds("namespace"), kinds("process"), kinds("file")], [3, 3, 0]);
        assert_eq!(difference(&before, &everything()), during, "a look changes nothing");

        fs::write(settings.state.join("deckle.db"), "rows").unwrap();
        for _ in 0..2 {
            let began = Instant::now();
            Linux::uninstall(settings.clone()).await.unwrap();
            assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
            assert_eq!(difference(&before, &everything()), Vec::<String>::new());
            assert!(no_lease_server(&settings.state));
        }
        assert_eq!(
            fs::read_to_string(settings.state.join("deckle.db")).unwrap(),
            "rows",
            "what is users' stays"
        );

        install(&settings).await;
        assert_eq!(forwards(), "1", "it can come back");
        Linux::uninstall(settings).await.unwrap();
        assert_eq!(difference(&before, &everything()), Vec::<String>::new());
    });
}

#[test]
fn what_installations_share_goes_with_the_last() {
    on_a_bare_host(|| async {
        lan();
        ip("address add 198.51.101.1/24 dev lan");
        let before = everything();
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, two] = [settings(&folders[0], 100), settings(&folders[1], 101)];
        install(&one).await;
        let with_one = everything();
        install(&two).await;
        Linux::uninstall(two).await.unwrap();
        assert_eq!(difference(&with_one, &everything()), Vec::<String>::new());
        assert_eq!(forwards(), "1");
        Linux::uninstall(one).await.unwrap();
        assert_eq!(difference(&before, &everything()), Vec::<String>::new());
    });
}

#[test]
fn a_host_that_forwarded_before_goes_on() {
    on_a_bare_host(|| async {
        lan();
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder, 100);
        let before = everything();
        install(&settings).await;
        Linux::uninstall(settings).await.unwrap();
        assert_eq!(difference(&before, &everything()), Vec::<String>::new());
        assert_eq!(forwards(), "1");
    });
}

const BRIDGES: &str = "/proc/sys/net/bridge";
const MARK: &str = "/run/deckle-br-netfilter";

/// What filters the host's own bridges: of packets, of IPv6's, of ARP.
fn filters() -> [String; 3] {
    ["iptables", "ip6tables", "arptables"].map(|of| {
        let seen = fs::read_to_string(format!("{BRIDGES}/bridge-nf-call-{of}"));
        seen.map_or_else(|_| "none".to_owned(), |text| text.trim().to_owned())
    })
}

fn set_filters(value: &str) {
    for of in ["iptables", "ip6tables", "arptables"] {
        fs::write(format!("{BRIDGES}/bridge-nf-call-{of}"), value).unwrap();
    }
}

/// A kernel that has the filter of bridges as a module. All namespaces have the same settings.
fn modular_kernel() {
    const MODPROBE: &str = "#!/bin/sh\n\
        if [ \"$1\" = -r ]; then exec rm /proc/sys/net/bridge/bridge-nf-call-iptables \\\n\
        /proc/sys/net/bridge/bridge-nf-call-ip6tables /proc/sys/net/bridge/bridge-nf-call-arptables; fi\n\
        [ -e /run/deckle-br-netfilter ] || exit 1\n\
        for of in iptables ip6tables arptables; do echo 1 > /proc/sys/net/bridge/bridge-nf-call-$of; done\n";
    done("mount", &["-t", "tmpfs", "tmpfs", "/proc/sys/net"]);
    fs::create_dir_all(BRIDGES).unwrap();
    fs::create_dir_all("/proc/sys/net/ipv4").unwrap();
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    done("mount", &["-t", "tmpfs", "tmpfs", "/usr/local/sbin"]);
    fs::write("/usr/local/sbin/modprobe", MODPROBE).unwrap();
    fs::set_permissions("/usr/local/sbin/modprobe", Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_module_that_was_loaded_for_rules_goes_with_the_last() {
    on_a_bare_host(|| async {
        lan();
        modular_kernel();
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder, 100);
        for (wanted, left) in [("0", "none"), ("1", "1")] {
            install(&settings).await;
            assert_eq!(filters()[1..], ["0", "0"], "the host's own bridges go on as before");
            assert!(Path::new(MARK).exists());
            set_filters(wanted);
            Linux::uninstall(settings.clone()).await.unwrap();
            assert_eq!(filters(), [left; 3], "where another wants {wanted}");
            assert!(!Path::new(MARK).exists());
        }
        done("umount", &["/proc/sys/net"]);
        done("umount", &["/usr/local/sbin"]);
    });
}

#[test]
fn a_kill_after_the_module_was_loaded_leaves_no_bridge_filtered() {
    on_a_bare_host(|| async {
        lan();
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder, 100);
        fs::write(MARK, "br_netfilter is being loaded\n").unwrap();
        set_filters("1");
        install(&settings).await;
        assert_eq!(filters(), ["0"; 3]);
        set_filters("1");
        install(&settings).await;
        assert_eq!(filters(), ["1"; 3], "who sets it later has it");
        Linux::uninstall(settings).await.unwrap();
        assert!(!Path::new(MARK).exists());
        set_filters("0");
    });
}
