//! What `ip` says of links, addresses, routes and neighbours, and the changes that it is told.
//!
//! **Invariant**: it is asked for JSON and told batches; a batch names links, never indexes.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::place::Place;
use crate::error::{Error, Result};

/// A network device.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    #[serde(rename = "ifindex")]
    pub index: u32,
    #[serde(rename = "ifname")]
    pub name: String,
    pub flags: Vec<String>,
    pub mtu: u32,
    /// The index of the other end of a pair, in the other end's namespace.
    #[serde(rename = "link_index")]
    pub peer: Option<u32>,
    /// The bridge that it is a port of.
    pub master: Option<String>,
    addr_info: Vec<LinkAddress>,
    linkinfo: LinkDetails,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LinkDetails {
    info_data: BridgeDetails,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct BridgeDetails {
    no_linklocal_learn: u8,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct LinkAddress {
    local: String,
    prefixlen: u8,
}

impl Link {
    /// Whether it is switched on.
    pub(super) fn is_up(&self) -> bool {
        self.flags.iter().any(|flag| flag == "UP")
    }

    /// Whether it is a bridge that learns nothing from frames to link-local groups.
    pub(super) fn learns_guarded_only(&self) -> bool {
        self.linkinfo.info_data.no_linklocal_learn == 1
    }

    /// Its IPv4 addresses with their ranges.
    pub(super) fn addresses(&self) -> Vec<Ipv4Net> {
        let address = |info: &LinkAddress| Ipv4Net::new(info.local.parse().ok()?, info.prefixlen).ok();
        self.addr_info.iter().filter_map(address).collect()
    }
}

/// A route, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Route {
    pub dst: String,
    pub gateway: Option<Ipv4Addr>,
    pub dev: String,
}

impl Route {
    /// Where it leads; nothing for the default route.
    pub(super) fn range(&self) -> Option<Ipv4Net> {
        self.dst.parse().or_else(|_| self.dst.parse::<Ipv4Addr>().map(Ipv4Net::from)).ok()
    }
}

/// An address that the host answers ARP for on an interface.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Proxy {
    pub dst: String,
    pub dev: String,
}

/// A place's links with their addresses.
pub(super) async fn links(place: &Place) -> Result<Vec<Link>> {
    ask(place, &["-details", "address", "show"]).await
}

/// A place's IPv4 routes that `selector` names: `default`, or `dev` and a name.
pub(super) async fn routes(place: &Place, selector: &[&str]) -> Result<Vec<Route>> {
    ask(place, &[&["-4", "route", "show"], selector].concat()).await
}

/// A place's entries of proxy ARP.
pub(super) async fn proxies(place: &Place) -> Result<Vec<Proxy>> {
    ask(place, &["-4", "neigh", "show", "proxy"]).await
}

/// Does each line in turn, and stops at the first that fails.
pub(super) async fn batch(place: &Place, act: &str, lines: &[String]) -> Result<()> {
    if !lines.is_empty() {
        let text = lines.join("\n") + "\n";
        place.ip().args(["-4", "-batch", "-"]).input(text).done(act).await?;
    }
    Ok(())
}

/// The link of that name.
pub(super) fn named<'a>(links: &'a [Link], name: &str) -> Option<&'a Link> {
    links.iter().find(|link| link.name == name)
}

async fn ask<T: DeserializeOwned>(place: &Place, words: &[&str]) -> Result<Vec<T>> {
    let act = format!("look at `ip {}` in {place:?}", words.join(" "));
    let said = place.ip().arg("-j").args(words).done(act.clone()).await?;
    parse(&said).map_err(|error| Error::passing(act, error))
}

/// Says nothing where there is nothing.
fn parse<T: DeserializeOwned>(said: &[u8]) -> serde_json::Result<Vec<T>> {
    if said.trim_ascii().is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_with_its_pair_and_its_addresses() {
        let said = br#"[{"ifindex":5,"link_index":2,"ifname":"dkabcn1","flags":["BROADCAST","UP"],"mtu":1400,
            "addr_info":[{"family":"inet","local":"100.96.0.0","prefixlen":31,"scope":"global"}]}]"#;
        let links: Vec<Link> = parse(said).unwrap();
        let link = named(&links, "dkabcn1").unwrap();
        assert!(link.is_up());
        assert_eq!((link.index, link.peer, link.mtu), (5, Some(2), 1400));
        assert_eq!(link.addresses(), [Ipv4Net::new_assert(Ipv4Addr::new(100, 96, 0, 0), 31)]);
    }

    #[test]
    fn silence_is_nothing() {
        assert!(parse::<Route>(b"\n").unwrap().is_empty());
    }
}
