//! A network's dnsmasq: addresses by hardware address, names of machines, and the way to other names.
//!
//! It makes itself a daemon, outlives the server, and is found again by its process id file and its command
//! line. Which machines it serves stands in [`Cards`]; a signal has it read them again.
//!
//! **Invariant**: a process counts as a network's lease server only if its command line names the network's
//! own configuration, and is signalled only then.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deckle_api::ids::MachineId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use super::cards::Cards;
use super::leases::{self, LEASE};
use super::network_rules::BRIDGE;
use super::place::Place;
use super::{files, leases::Lease};
use crate::error::{Error, Result};
use crate::linux::folder::unless_absent;
use crate::linux::process::{Process, command_line, pids};
use crate::specs::{NetworkSpec, NicSpec};

/// The user that Debian's package makes for it.
const USER: &str = "dnsmasq";
/// How long it may take to end when it is asked to.
const ENDED: Duration = Duration::from_secs(2);

/// A network's lease server and its files.
#[derive(Debug, Clone)]
pub(super) struct LeaseServer {
    pub folder: PathBuf,
    pub place: Place,
}

impl LeaseServer {
    /// The text of its configuration.
    pub(super) fn conf(&self, spec: &NetworkSpec, mtu: u32, name_servers: &[Ipv4Addr]) -> String {
        let (gateway, range) = (spec.gateway(), spec.cidr.trunc());
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut lines = vec![
            format!("interface={BRIDGE}"),
            "except-interface=lo".to_owned(),
            format!("user={}", self.user()),
            format!("pid-file={}", file("pid")),
            "no-hosts".to_owned(),
            "no-resolv".to_owned(),
            "bogus-priv".to_owned(),
            "domain-needed".to_owned(),
            format!("addn-hosts={}", file("names")),
            "dhcp-authoritative".to_owned(),
            // A guest tells that name itself: it could be a neighbour's.
            "dhcp-ignore-clid".to_owned(),
            "no-ping".to_owned(),
            "quiet-dhcp".to_owned(),
            format!("dhcp-range={},static,{},{}", range.network(), range.netmask(), LEASE.as_secs()),
            "dhcp-ignore=tag:!known".to_owned(),
            format!("dhcp-hostsfile={}", file("cards")),
            format!("dhcp-leasefile={}", file("leases")),
            format!("dhcp-option=option:router,{gateway}"),
            format!("dhcp-option=option:dns-server,{gateway}"),
        ];
        if mtu < 1500 {
            lines.push(format!("dhcp-option=option:mtu,{mtu}"));
        }
        lines.extend(name_servers.iter().map(|server| format!("server={server}")));
        lines.join("\n") + "\n"
    }

    /// Makes it run with this configuration. The file is changed while none runs, so that one that runs has
    /// read what stands there, wherever a crash came.
    pub(super) async fn ensure(&self, conf: &str) -> Result<()> {
        files::ensure_folder(&self.folder)?;
        self.cards().ensure_folders()?;
        if self.is_whole(conf)? {
            return Ok(());
        }
        self.stop().await?;
        files::ensure(&self.conf_file(), conf)?;
        let act = format!("start the lease server of {}", self.folder.display());
        self.place.run("dnsmasq").arg(self.mark()).done(act).await?;
        Ok(())
    }

    /// Whether it runs with this configuration.
    pub(super) fn is_whole(&self, conf: &str) -> Result<bool> {
        let text = self.looked(unless_absent(fs::read_to_string(self.conf_file())))?;
        Ok(text.is_some_and(|text| text == conf) && self.running()?.is_some())
    }

    /// Ends every process that carries this network's configuration.
    pub(super) async fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        if let Ok(ended) = tokio::time::timeout(ENDED, self.ended()).await {
            return ended;
        }
        self.signal(Signal::SIGKILL)?;
        let act = || format!("end the lease server of {}", self.folder.display());
        tokio::time::timeout(ENDED, self.ended()).await.map_err(|late| Error::passing(act(), late))?
    }

    /// Ends it and removes its files.
    pub(super) async fn remove(&self) -> Result<()> {
        self.stop().await?;
        files::remove(&self.folder).map(|_| ())
    }

    /// Gives a machine its names and its address.
    pub(super) fn plug(&self, spec: &NicSpec) -> Result<()> {
        let running = self.running()?;
        if self.cards().ensure(spec)? {
            read_again(running);
        }
        Ok(())
    }

    /// Takes a machine's names and its address.
    pub(super) fn unplug(&self, machine: &MachineId) -> Result<()> {
        let running = self.running()?;
        if self.cards().remove(machine)? {
            read_again(running);
        }
        Ok(())
    }

    /// The files of the network's machines.
    pub(super) fn cards(&self) -> Cards {
        Cards { cards: self.folder.join("cards"), names: self.folder.join("names") }
    }

    /// The leases that it has given.
    pub(super) fn leases(&self) -> Result<Vec<Lease>> {
        leases::look(&self.lease_file())
    }

    /// Frees a leased address.
    pub(super) async fn free(&self, lease: &Lease, gateway: Ipv4Addr) -> Result<()> {
        if self.running()?.is_some() {
            leases::give_back(&self.place, &self.lease_file(), lease, gateway).await
        } else {
            leases::strike(&self.lease_file(), lease)
        }
    }

    /// The process that serves the network, if it is alive.
    pub(super) fn process(&self) -> Result<Option<Process>> {
        let process = self.running()?.map(Process::of_pid).transpose();
        self.looked(process).map(Option::flatten)
    }

    /// The process, if it is alive, in its place and really this network's.
    fn running(&self) -> Result<Option<u32>> {
        let text = self.looked(unless_absent(fs::read_to_string(self.folder.join("pid"))))?;
        let Some(id) = text.and_then(|text| text.trim().parse().ok()) else { return Ok(None) };
        let ours = self.looked(is_marked(id, &self.mark()))? && self.place.holds(id);
        Ok(ours.then_some(id))
    }

    /// Every process that carries this network's configuration, wherever it is.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for id in self.looked(pids())? {
            if self.looked(is_marked(id, &self.mark()))? {
                found.push(id);
            }
        }
        Ok(found)
    }

    fn mark(&self) -> String {
        format!("--conf-file={}", self.conf_file().display())
    }

    fn conf_file(&self) -> PathBuf {
        self.folder.join("dnsmasq.conf")
    }

    fn lease_file(&self) -> PathBuf {
        self.folder.join("leases")
    }

    /// It stays root only where its own user could not read its files.
    fn user(&self) -> &'static str {
        let known = matches!(User::from_name(USER), Ok(Some(_)));
        let reached = self.folder.parent().is_some_and(files::is_open_to_all);
        if known && reached { USER } else { "root" }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        for id in self.processes()? {
            // It may have ended since, which is what is wanted.
            let _ = kill(pid_of(id), signal);
        }
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        while !self.processes()?.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    fn looked<T>(&self, seen: io::Result<T>) -> Result<T> {
        let act = || format!("look for the lease server of {}", self.folder.display());
        seen.map_err(|error| Error::passing(act(), error))
    }
}

/// The lease servers of all networks whose folders lie in `networks`: process and network.
pub(super) fn started_in(networks: &Path) -> Result<Vec<(u32, String)>> {
    let begin = format!("--conf-file={}/", networks.display());
    let network = |line: String| {
        let word = line.split('\0').find_map(|word| word.strip_prefix(&begin))?;
        word.split('/').next().map(str::to_owned)
    };
    let named = |id| command_line(id).map(|line| network(line).map(|network| (id, network))).transpose();
    let found = pids().and_then(|ids| ids.into_iter().filter_map(named).collect());
    found.map_err(|error| Error::passing("look for lease servers", error))
}

/// Has every lease server whose network's folder lies in `networks` read its machines' files again: a crash
/// may have come between a file and its signal.
pub(super) fn wake_all(networks: &Path) -> Result<()> {
    for (id, _) in started_in(networks)? {
        read_again(Some(id));
    }
    Ok(())
}

/// Has a lease server read its machines' files again.
fn read_again(running: Option<u32>) {
    if let Some(id) = running {
        // It may have ended since: then it reads everything when it starts.
        let _ = kill(pid_of(id), Signal::SIGHUP);
    }
}

fn is_marked(process: u32, mark: &str) -> io::Result<bool> {
    Ok(command_line(process)?.split('\0').any(|word| word == mark))
}

fn pid_of(process: u32) -> Pid {
    Pid::from_raw(process.cast_signed())
}

#[cfg(test)]
mod tests {
    use deckle_api::ids::PrivateNetworkId;

    use super::*;
    use crate::specs::HostNetwork;

    fn network() -> HostNetwork {
        HostNetwork::Private("na".parse::<PrivateNetworkId>().unwrap())
    }

    fn server(folder: PathBuf) -> LeaseServer {
        LeaseServer { folder, place: Place::Inside("deckle-abc-na".to_owned()) }
    }

    #[test]
    fn the_whole_configuration() {
        let spec =
            NetworkSpec { network: network(), cidr: "10.64.8.0/24".parse().unwrap(), firewall: Vec::new() };
        let conf = server(PathBuf::from("/no-such-state/networks/na")).conf(
            &spec,
            1400,
            &[Ipv4Addr::new(9, 9, 9, 9)],
        );
        let wanted = "interface=br0\nexcept-interface=lo\nuser=root\n\
            pid-file=/no-such-state/networks/na/pid\nno-hosts\nno-resolv\nbogus-priv\ndomain-needed\n\
            addn-hosts=/no-such-state/networks/na/names\ndhcp-authoritative\ndhcp-ignore-clid\nno-ping\nquiet-dhcp\n\
            dhcp-range=10.64.8.0,static,255.255.255.0,3600\ndhcp-ignore=tag:!known\n\
            dhcp-hostsfile=/no-such-state/networks/na/cards\ndhcp-leasefile=/no-such-state/networks/na/leases\n\
            dhcp-option=option:router,10.64.8.1\ndhcp-option=option:dns-server,10.64.8.1\n\
            dhcp-option=option:mtu,1400\nserver=9.9.9.9\n";
        assert_eq!(conf, wanted);
    }
}
