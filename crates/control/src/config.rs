//! The settings of a server: a TOML file, every value with a default, every limit with a name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use deckle_api::regions::Region;
use deckle_engine::emulator::PretendedGpus;
use deckle_engine::linux::Settings as Linux;
use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer, Serialize};

use crate::names;

/// All that an operator may set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The codes of the regions, each served by this host.
    pub regions: Vec<String>,
    /// The range that private networks take their /21s from.
    pub private_pool: Ipv4Net,
    /// The ranges that machines' public addresses come from.
    pub public_pools: Vec<Ipv4Net>,
    /// The ranges of the regions that have public addresses of their own, by the region's code: such a region
    /// takes none of `public_pools`.
    pub region_pools: BTreeMap<String, Vec<Ipv4Net>>,
    /// A file with machine types instead of the built-in catalogue.
    pub machine_types: Option<PathBuf>,
    /// Where Prometheus finds `/metrics`; nowhere when it is left out or empty.
    #[serde(deserialize_with = "address_or_empty")]
    pub metrics: Option<SocketAddr>,
    /// The certificate that the API's listener shows; without one it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Times and counts at which things end.
    pub limits: Limits,
    /// What the Linux engine may be told.
    pub linux: deckle_engine::linux::Settings,
    /// What the emulator may be told.
    pub emulator: Pretended,
}

/// What a pretended host has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pretended {
    /// Its GPUs. Left out: every wish for some is granted.
    pub gpus: Option<Vec<PretendedGpus>>,
}

impl Default for Config {
    fn default() -> Self {
        let linux = deckle_engine::linux::Settings::default();
        Self {
            regions: Region::DEFAULT.map(str::to_owned).to_vec(),
            private_pool: linux.private_pool,
            public_pools: linux.public_pools.clone(),
            region_pools: BTreeMap::new(),
            machine_types: None,
            metrics: None,
            tls: None,
            limits: Limits::default(),
            linux,
            emulator: Pretended::default(),
        }
    }
}

impl Config {
    /// Reads a file's text. What it says wrongly is told with its line.
    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The ranges that a region's public addresses come from.
    pub fn public_pools_of(&self, region: &str) -> &[Ipv4Net] {
        self.region_pools.get(region).unwrap_or(&self.public_pools)
    }

    /// The ranges of every region's public addresses.
    pub fn all_public_pools(&self) -> Vec<Ipv4Net> {
        self.public_pools.iter().chain(self.region_pools.values().flatten()).copied().collect()
    }

    /// How many /21s the pool of private networks has.
    pub fn network_slots(&self) -> u64 {
        1u64 << u32::from(21u8.saturating_sub(self.private_pool.prefix_len()))
    }

    /// The labels of the settings that contradict each other, for the start of a server.
    pub fn contradictions(&self) -> BTreeMap<&'static str, String> {
        let mut wrong = BTreeMap::new();
        if self.regions.is_empty() {
            wrong.insert("regions", "name at least one region".to_owned());
        }
        if self.private_pool.prefix_len() > 21 {
            wrong.insert("private_pool", format!("{} has no room for a /21", self.private_pool));
        }
        let Limits { requests_s, requests_burst, prune_rows, .. } = self.limits;
        if prune_rows == 0 {
            let cure = "expected at least 1; 0 days are what keeps rows for ever";
            wrong.insert("limits.prune_rows", cure.to_owned());
        }
        if requests_s.is_some_and(|rate| rate > Limits::REQUESTS_S_MAX) {
            let most = Limits::REQUESTS_S_MAX;
            wrong.insert("limits.requests_s", format!("expected at most {most}, or 0 for any number"));
        }
        if requests_burst == 0 {
            let cure = "expected at least 1; requests_s = 0 is what switches the limit off";
            wrong.insert("limits.requests_burst", cure.to_owned());
        }
        if let Some(unknown) = self.region_pools.keys().find(|code| !self.regions.contains(code)) {
            let known = self.regions.join(", ");
            wrong.insert("region_pools", format!("there is no region `{unknown}`; there are {known}"));
        }
        if let Some((one, other)) = self.overlap() {
            wrong.insert("public_pools", format!("{one} and {other} overlap; no two ranges may"));
        }
        if let Some((setting, told)) = self.wrong_desktops() {
            wrong.insert(setting, told);
        }
        wrong
    }

    /// What is wrong with where desktops listen, or with what clients are told of it.
    fn wrong_desktops(&self) -> Option<(&'static str, String)> {
        let linux = &self.linux;
        let first_max = u16::MAX - Linux::DESKTOP_PORTS + 1;
        if !(1..=first_max).contains(&linux.desktop_first_port) {
            let told = format!("expected 1 to {first_max}: the {} ports from it on", Linux::DESKTOP_PORTS);
            return Some(("linux.desktop_first_port", told));
        }
        let hostname = linux.desktop_hostname.as_deref()?;
        let (address, named) = (linux.desktop_address, hostname.parse::<IpAddr>().ok());
        let told = match named {
            Some(named) if named.is_unspecified() => format!("nobody can connect to {named}; name this host"),
            Some(named) if !address.is_unspecified() && named.is_loopback() != address.is_loopback() => {
                format!("desktops listen on {address}, and {named} does not lead there; change one of them")
            }
            None if !names::is_host_name(hostname) => {
                "expected a host name or an address, such as desk.example.com".to_owned()
            }
            _ => return None,
        };
        Some(("linux.desktop_hostname", told))
    }

    /// Two ranges that have an address in common, one of them of public addresses.
    fn overlap(&self) -> Option<(Ipv4Net, Ipv4Net)> {
        let mut others = vec![self.private_pool, self.linux.uplinks];
        for range in self.all_public_pools() {
            let shares = |other: &&Ipv4Net| other.contains(&range) || range.contains(*other);
            if let Some(other) = others.iter().find(shares) {
                return Some((range, *other));
            }
            others.push(range);
        }
        None
    }
}

fn address_or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_| serde::de::Error::custom("expected an address and a port, such as 127.0.0.1:8485");
    text.parse().map(Some).map_err(wrong)
}

/// A certificate and its key, in PEM. Both are read at the start and at each SIGHUP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The file with the certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// The file with its private key.
    pub key: PathBuf,
}

/// Times and counts at which things end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long a guest has to shut down before its power is cut, in seconds.
    pub clean_stop_s: i64,
    /// How long a passing error may pass before its event ends in `error`, in seconds.
    pub failing_s: i64,
    /// How long a guest has from power-on until it is ready, in seconds.
    pub ready_s: i64,
    /// How long a guest that never opens its agent's port is waited for after its lease, in seconds.
    pub agent_s: i64,
    /// The longest pause between two tries, in seconds.
    pub pause_s_max: i64,
    /// How often a settled object is looked at, in seconds.
    pub drift_s: i64,
    /// How long a visit waits before it looks again at something that takes its time, in milliseconds.
    pub look_again_ms: i64,
    /// How many objects are visited at the same time.
    pub visits: usize,
    /// How many of those may copy a whole disk: fewer than all, so that others are visited meanwhile.
    pub copies: usize,
    /// How long a request may take, in seconds.
    pub request_s: u64,
    /// How long an operator's request may take, in seconds: an image is converted within one.
    pub operator_s: u64,
    /// How many of an operator's exports and imports are under way at the same time.
    pub transfers: usize,
    /// How long the answer to an idempotency key is kept, in seconds.
    pub idempotency_s: i64,
    /// For how many days events are kept after their end; 0 is for ever.
    pub events_days: u16,
    /// For how many days runs of startup scripts are kept; 0 is for ever.
    pub runs_days: u16,
    /// For how many days rows of what is deleted are kept, from which operators can tell what was; 0 is for ever.
    pub deleted_days: u16,
    /// How many old rows are deleted in one transaction: others who write wait meanwhile.
    pub prune_rows: u32,
    /// How many requests a key may make in a second; 0 is any number. Left out: 500, and any number on the
    /// emulator.
    pub requests_s: Option<u32>,
    /// How many requests a key may make at once when it has rested.
    pub requests_burst: u32,
    /// The largest virtual size of a template, in GiB.
    pub template_gib: u64,
    /// The largest disk, in GB.
    pub disk_gb: u64,
    /// The largest shared drive, in GB.
    pub drive_gb: u64,
    /// How many firewall rules a network may have, and a machine.
    pub firewall_rules: u64,
    /// How many snapshots a machine may have that were asked for; those that are taken by themselves do not count.
    pub snapshots: u64,
    /// How long usage records are kept after their end, in days, and the longest window that usage is asked for;
    /// 0 is for ever, and any window.
    pub usage_days: u16,
    /// How many usage records one answer may be made of.
    pub usage_records: u64,
}

impl Limits {
    /// How many requests a key may make in a second where nothing is said.
    pub const REQUESTS_S: u32 = 500;
    /// The most requests a second that can be told apart from no limit.
    const REQUESTS_S_MAX: u32 = 1_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clean_stop_s: 120,
            failing_s: 600,
            ready_s: 600,
            agent_s: 60,
            pause_s_max: 30,
            drift_s: 30,
            look_again_ms: 250,
            visits: 8,
            copies: 2,
            request_s: 60,
            operator_s: 4 * 3600,
            transfers: 2,
            idempotency_s: 24 * 3600,
            events_days: 90,
            runs_days: 90,
            deleted_days: 30,
            prune_rows: 500,
            requests_s: None,
            requests_burst: 1_000,
            template_gib: 500,
            disk_gb: 16_000,
            drive_gb: 16_000,
            firewall_rules: 100,
            snapshots: 100,
            usage_days: 400,
            usage_records: 200_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_named() {
        assert_eq!(Config::read("").unwrap(), Config::default());
        assert!(Config::read("privat_pool = '10.0.0.0/8'").unwrap_err().to_string().contains("privat_pool"));
        assert_eq!(Config::read("metrics = ''").unwrap(), Config::default());
        assert!(Config::read("metrics = '127.0.0.1:8485'").unwrap().metrics.is_some());
        assert!(Config::read("metrics = '8485'").unwrap_err().to_string().contains("metrics"));
        assert_eq!(Config::read("[limits]\nready_s = 5").unwrap().limits.ready_s, 5);
    }

    #[test]
    fn rates_that_make_no_sense_are_named() {
        let wrong = |text: &str| Config::read(text).unwrap().contradictions().into_keys().collect::<Vec<_>>();
        assert_eq!(wrong("[limits]\nrequests_s = 0"), [""; 0]);
        assert_eq!(wrong("[limits]\nrequests_burst = 0"), ["limits.requests_burst"]);
        assert_eq!(wrong("[limits]\nrequests_s = 2000000"), ["limits.requests_s"]);
        assert!(Config::read("[limits]\nrequests_s = -1").is_err());
    }

    #[test]
    fn desktops_that_nobody_could_reach_are_named() {
        let wrong = |text: &str| Config::read(&format!("[linux]\n{text}")).unwrap().contradictions();
        for fine in [
            "desktop_address = '0.0.0.0'",
            "desktop_address = '0.0.0.0'\ndesktop_hostname = 'desk.example.com'",
            "desktop_address = '10.0.0.5'\ndesktop_hostname = '198.51.100.7'",
            "desktop_address = '::'\ndesktop_hostname = '2001:db8::1'",
            "desktop_hostname = 'localhost'",
            "desktop_first_port = 64536",
        ] {
            assert_eq!(wrong(fine), BTreeMap::new(), "{fine}");
        }
        for (text, setting, told) in [
            ("desktop_first_port = 64537", "linux.desktop_first_port", "expected 1 to 64536"),
            ("desktop_first_port = 0", "linux.desktop_first_port", "expected 1 to 64536"),
            ("desktop_hostname = '0.0.0.0'", "linux.desktop_hostname", "nobody can connect to 0.0.0.0"),
            ("desktop_hostname = ''", "linux.desktop_hostname", "expected a host name"),
            ("desktop_hostname = 'a b'", "linux.desktop_hostname", "expected a host name"),
            ("desktop_hostname = 'host:5900'", "linux.desktop_hostname", "expected a host name"),
            ("desktop_hostname = '10.0.0.5'", "linux.desktop_hostname", "desktops listen on 127.0.0.1, and"),
            (
                "desktop_address = '10.0.0.5'\ndesktop_hostname = '127.0.0.1'",
                "linux.desktop_hostname",
                "desktops listen on 10.0.0.5, and 127.0.0.1",
            ),
        ] {
            let wrong = wrong(text);
            assert!(wrong.get(setting).is_some_and(|found| found.starts_with(told)), "{text}: {wrong:?}");
        }
        assert!(Config::read("[linux]\ndesktop_address = 'here'").is_err());
    }

    #[test]
    fn times_to_keep_rows_that_make_no_sense_are_named() {
        let days = Config::read("[limits]\nevents_days = 0\nruns_days = 7\ndeleted_days = 65535").unwrap();
        let limits = &days.limits;
        assert_eq!((limits.events_days, limits.runs_days, limits.deleted_days), (0, 7, u16::MAX));
        assert_eq!(days.contradictions(), BTreeMap::new());
        for wrong in ["events_days = -1", "runs_days = 1.5", "deleted_days = 65536", "prune_rows = -1"] {
            let told = Config::read(&format!("[limits]\n{wrong}")).unwrap_err().to_string();
            assert!(told.contains(wrong), "{told}");
        }
        let none = Config::read("[limits]\nprune_rows = 0").unwrap().contradictions();
        assert_eq!(none.into_keys().collect::<Vec<_>>(), ["limits.prune_rows"]);
    }

    #[test]
    fn the_default_pool_has_2048_networks() {
        assert_eq!(Config::default().network_slots(), 2048);
    }

    #[test]
    fn a_region_has_the_pools_of_all_unless_it_has_its_own() {
        let text = "public_pools = ['198.51.100.0/25']\n[region_pools]\nams1 = ['198.51.100.128/25']";
        let config = Config::read(text).unwrap();
        let of = |region| config.public_pools_of(region).iter().map(Ipv4Net::to_string).collect::<Vec<_>>();
        assert_eq!(
            (of("ny2"), of("ams1")),
            (vec!["198.51.100.0/25".into()], vec!["198.51.100.128/25".into()])
        );
        assert_eq!(config.all_public_pools().len(), 2);
        assert_eq!(config.contradictions(), BTreeMap::new());
        assert_eq!(Config::default().contradictions(), BTreeMap::new());
    }

    #[test]
    fn pools_that_contradict_each_other_are_named() {
        for (text, setting, told) in [
            (
                "[region_pools]\nmars = []",
                "region_pools",
                "there is no region `mars`; there are ny2, ca1, ams1",
            ),
            ("public_pools = ['10.70.0.0/24']", "public_pools", "10.70.0.0/24 and 10.64.0.0/10 overlap"),
            (
                "[region_pools]\nca1 = ['203.0.113.128/30']",
                "public_pools",
                "203.0.113.128/30 and 203.0.113.0/24",
            ),
            (
                "public_pools = ['198.51.100.0/24', '198.51.100.7/32']",
                "public_pools",
                "198.51.100.7/32 and 198",
            ),
            (
                "public_pools = ['100.64.0.0/10']\n[linux]\nuplinks = '100.96.0.0/16'",
                "public_pools",
                "100.64.0.0/10 and 100.96",
            ),
        ] {
            let wrong = Config::read(text).unwrap().contradictions();
            let found = wrong.get(setting).map(String::as_str).unwrap_or_default();
            assert!(found.starts_with(told), "{text}: {wrong:?}");
        }
    }
}
