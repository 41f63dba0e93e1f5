//! The pair of devices between the host and a network, and the /31 that it has.
//!
//! Which pairs are taken is seen on the host's own links, of whatever installation; the choice and the
//! laying of it are made by one at a time, in this process and among all on the host.
//!
//! **Invariant**: the host's end has the even address of a /31, the namespace's end the odd one.

use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::{Instant, sleep};

use super::ip::{self, Link};
use super::network_rules::UPLINK;
use super::place::Place;
use super::{Net, files};
use crate::error::{Error, Result};
use crate::specs::HostNetwork;

/// What those who choose addresses on this host hold, whichever installation they work for.
const CHOOSING: &str = "/run/deckle-uplinks.lock";
/// How long one who chooses waits for the others.
const CHOOSING_MAX: Duration = Duration::from_secs(20);

/// An uplink's two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub host: Ipv4Addr,
    pub inner: Ipv4Addr,
}

impl Pair {
    /// The pair that a host's end has, if it is of `range`.
    pub(super) fn of(link: &Link, range: Ipv4Net) -> Option<Self> {
        let address =
            link.addresses().into_iter().find(|at| at.prefix_len() == 31 && range.contains(&at.addr()))?;
        (address.addr() == address.network()).then(|| Self::from_first(address.addr()))
    }

    fn from_first(host: Ipv4Addr) -> Self {
        Self { host, inner: Ipv4Addr::from(u32::from(host) + 1) }
    }
}

/// Makes a network's uplink, or mends it.
pub(super) async fn ensure(net: &Net, network: &HostNetwork, mtu: u32) -> Result<()> {
    let (place, name) = (net.place(network), net.paths.uplink(network));
    let _here = net.choosing.lock().await;
    let _elsewhere = choosing_alone(Path::new(CHOOSING), CHOOSING_MAX).await?;
    let mut hosts = ip::links(&Place::Host).await?;
    if !is_pair(ip::named(&hosts, &name), ip::named(&ip::links(&place).await?, UPLINK)) {
        remake(&place, &name, &hosts).await?;
        hosts = ip::links(&Place::Host).await?;
    }
    let held = ip::named(&hosts, &name).and_then(|link| Pair::of(link, net.settings.uplinks));
    let pair = held.map_or_else(|| choose(net.settings.uplinks, &hosts), Ok)?;
    switch_on(&place, &name, pair, mtu).await
}

/// Whether a network's uplink is whole.
pub(super) async fn is_whole(net: &Net, network: &HostNetwork, inside: &[Link]) -> Result<bool> {
    let hosts = ip::links(&Place::Host).await?;
    let (host, inner) = (ip::named(&hosts, &net.paths.uplink(network)), ip::named(inside, UPLINK));
    let (Some(host), Some(inner)) = (host, inner) else { return Ok(false) };
    let Some(pair) = Pair::of(host, net.settings.uplinks) else { return Ok(false) };
    let routes = ip::routes(&net.place(network), &["default"]).await?;
    Ok(is_pair(Some(host), Some(inner))
        && host.is_up()
        && inner.is_up()
        && inner.addresses().iter().any(|at| at.addr() == pair.inner)
        && routes.iter().any(|route| route.gateway == Some(pair.host) && route.dev == UPLINK))
}

/// Removes the host's end of a network's uplink, and with it the other end and every route by it.
pub(super) async fn remove(name: &str) -> Result<()> {
    if !is_there(name).await? {
        return Ok(());
    }
    let act = format!("remove the uplink {name}");
    match ip::batch(&Place::Host, &act, &[format!("link delete {name}")]).await {
        // Its other end may just have gone with a namespace, and this one with it.
        Err(_) if !is_there(name).await? => Ok(()),
        removed => removed,
    }
}

async fn is_there(name: &str) -> Result<bool> {
    Ok(ip::named(&ip::links(&Place::Host).await?, name).is_some())
}

/// Removes the lock under which uplinks' addresses are chosen: for the last installation of a host.
pub(super) fn remove_lock() -> Result<()> {
    files::remove(Path::new(CHOOSING)).map(|_| ())
}

/// The first /31 of `range` in which no address is taken.
pub(super) fn lowest_free(range: Ipv4Net, taken: impl IntoIterator<Item = Ipv4Addr>) -> Option<Pair> {
    let taken: HashSet<u32> = taken.into_iter().map(|ip| u32::from(ip) >> 1).collect();
    let first = |range: &Ipv4Net| u32::from(range.network());
    let free = range.subnets(31).ok()?.find(|pair| !taken.contains(&(first(pair) >> 1)))?;
    Some(Pair::from_first(free.network()))
}

fn choose(range: Ipv4Net, hosts: &[Link]) -> Result<Pair> {
    let taken = hosts.iter().flat_map(Link::addresses).map(|at| at.addr());
    let full = || Error::lasting(format!("choose an uplink's addresses of {range}"), "all are taken");
    lowest_free(range, taken).ok_or_else(full)
}

fn is_pair(host: Option<&Link>, inner: Option<&Link>) -> bool {
    matches!((host, inner), (Some(host), Some(inner)) if host.peer == Some(inner.index) && inner.peer == Some(host.index))
}

/// Ends that do not belong together are left by a namespace that was deleted by force.
async fn remake(place: &Place, name: &str, hosts: &[Link]) -> Result<()> {
    let Place::Inside(namespace) = place else { return Ok(()) };
    let act = format!("make the uplink {name}");
    if ip::named(hosts, name).is_some() {
        ip::batch(&Place::Host, &act, &[format!("link delete {name}")]).await?;
    }
    if ip::named(&ip::links(place).await?, UPLINK).is_some() {
        ip::batch(place, &act, &[format!("link delete {UPLINK}")]).await?;
    }
    let line = format!("link add {name} type veth peer name {UPLINK} netns {namespace}");
    ip::batch(&Place::Host, &act, &[line]).await
}

async fn switch_on(place: &Place, name: &str, pair: Pair, mtu: u32) -> Result<()> {
    let act = format!("switch on the uplink {name}");
    let Pair { host, inner } = pair;
    let host_end = [format!("address replace {host}/31 dev {name}"), format!("link set {name} mtu {mtu} up")];
    ip::batch(&Place::Host, &act, &host_end).await?;
    let inside = ip::links(place).await?;
    let held = ip::named(&inside, UPLINK).map(Link::addresses).unwrap_or_default();
    // An address that is taken away, be it for a moment, takes the connections along that go out by it.
    let others = held.iter().filter(|at| at.addr() != inner || at.prefix_len() != 31);
    let mut lines: Vec<_> = others.map(|at| format!("address delete {at} dev {UPLINK}")).collect();
    lines.push(format!("address replace {inner}/31 dev {UPLINK}"));
    lines.push(format!("link set {UPLINK} mtu {mtu} up"));
    lines.push(format!("route replace default via {host}"));
    ip::batch(place, &act, &lines).await
}

async fn choosing_alone(file: &Path, limit: Duration) -> Result<Flock<File>> {
    let act = || format!("wait for other choices of uplinks, with {}", file.display());
    let opened = File::options().create(true).append(true).mode(0o600).open(file);
    // Who can open a file can hold its lock: an older one may be open to all.
    let closed = opened.and_then(|lock| {
        lock.set_permissions(Permissions::from_mode(0o600))?;
        Ok(lock)
    });
    let mut lock = closed.map_err(|error| Error::passing(act(), error))?;
    let end = Instant::now() + limit;
    loop {
        lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((lock, Errno::EWOULDBLOCK)) if Instant::now() < end => lock,
            Err((_, error)) => return Err(Error::passing(act(), error)),
        };
        sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(100, 96, 0, 0), 30)
    }

    #[tokio::test]
    async fn a_lock_is_root_s_alone_and_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock");
        File::create(&file).unwrap();
        let held = choosing_alone(&file, Duration::ZERO).await.unwrap();
        assert_eq!(held.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let waited = choosing_alone(&file, Duration::from_millis(50)).await;
        assert!(waited.is_err_and(|error| !error.is_final()));
        drop(held);
        assert!(choosing_alone(&file, Duration::ZERO).await.is_ok());
    }

    #[test]
    fn the_lowest_free_pair_is_taken() {
        let free = |taken: &[[u8; 4]]| lowest_free(range(), taken.iter().map(|&ip| Ipv4Addr::from(ip)));
        assert_eq!(free(&[]).map(|pair| pair.host), Some(Ipv4Addr::new(100, 96, 0, 0)));
        assert_eq!(free(&[[100, 96, 0, 1]]).map(|pair| pair.inner), Some(Ipv4Addr::new(100, 96, 0, 3)));
        assert_eq!(free(&[[100, 96, 0, 2]]).map(|pair| pair.host), Some(Ipv4Addr::new(100, 96, 0, 0)));
        assert_eq!(free(&[[100, 96, 0, 0], [100, 96, 0, 3]]), None);
    }
}
