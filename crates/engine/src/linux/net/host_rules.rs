//! The packet rules of an installation on the host itself.
//!
//! **Invariants**: what comes in by an uplink reaches neither the host nor another network, whatever
//! address it names, and carries no source address that does not lead back by the same uplink. Only
//! replies and packets for public addresses go out by an uplink. The rules know uplinks by the beginning
//! of their names: they hold for uplinks yet to be made.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::rules::{Chain, Table, set_of};
use crate::linux::Settings;
use crate::linux::paths::Paths;

/// Link-local addresses: nobody's to route, and where clouds keep their metadata.
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);

/// The uplinks of every installation on the host.
const ALL_UPLINKS: &str = "\"dk*\"";

/// The installation's table on the host.
pub(super) fn table(paths: &Paths, settings: &Settings) -> Table {
    let uplinks = format!("\"{}*\"", paths.uplink_prefix());
    let Settings { uplinks: range, public_pools, .. } = settings;
    let chains = vec![
        Chain {
            name: "prerouting",
            hook: "filter hook prerouting priority mangle; policy accept",
            rules: vec![
                format!("iifname {uplinks} meta nfproto ipv6 drop"),
                format!("iifname {uplinks} fib saddr . iif oif missing drop"),
                format!("iifname {uplinks} ct state established,related accept"),
                format!("iifname {uplinks} fib daddr type {{ local, broadcast, anycast, multicast }} drop"),
                format!("iifname {uplinks} ip daddr {} drop", set_of(&closed(settings))),
            ],
        },
        Chain {
            name: "input",
            hook: "filter hook input priority filter; policy accept",
            rules: vec![
                format!("iifname {uplinks} ct state established,related accept"),
                format!("iifname {uplinks} drop"),
            ],
        },
        Chain {
            name: "forward",
            hook: "filter hook forward priority filter; policy accept",
            rules: to_uplinks(&uplinks, public_pools),
        },
        Chain {
            name: "postrouting",
            hook: "nat hook postrouting priority srcnat; policy accept",
            rules: vec![format!("ip saddr {range} oifname != {uplinks} masquerade")],
        },
    ];
    Table { family: "inet", name: paths.rules(), sets: Vec::new(), chains }
}

/// The ranges that no machine reaches, whatever route the host has to them.
pub(super) fn closed(settings: &Settings) -> [Ipv4Net; 3] {
    [settings.uplinks, settings.private_pool, LINK_LOCAL]
}

fn to_uplinks(uplinks: &str, public_pools: &[Ipv4Net]) -> Vec<String> {
    let mut rules = vec![format!("oifname {uplinks} ct state established,related accept")];
    if !public_pools.is_empty() {
        rules.push(format!("oifname {uplinks} ip daddr {} accept", set_of(public_pools)));
    }
    rules.push(format!("oifname {uplinks} drop"));
    if !public_pools.is_empty() {
        // An address that leads nowhere would go back to the router that sent its packet here, and return.
        rules.push(format!("ip daddr {} oifname != {ALL_UPLINKS} drop", set_of(public_pools)));
    }
    rules
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::linux::paths::Tag;

    #[test]
    fn the_whole_table() {
        let paths = Paths::new("abc".parse::<Tag>().unwrap(), PathBuf::from("/state"));
        let table = table(&paths, &Settings::default());
        let rules: Vec<_> = table.chains.iter().flat_map(|chain| &chain.rules).map(String::as_str).collect();
        assert_eq!(table.name, "deckle_abc");
        assert_eq!(
            rules,
            [
                r#"iifname "dkabc*" meta nfproto ipv6 drop"#,
                r#"iifname "dkabc*" fib saddr . iif oif missing drop"#,
                r#"iifname "dkabc*" ct state established,related accept"#,
                r#"iifname "dkabc*" fib daddr type { local, broadcast, anycast, multicast } drop"#,
                r#"iifname "dkabc*" ip daddr { 10.64.0.0/10, 100.96.0.0/16, 169.254.0.0/16 } drop"#,
                r#"iifname "dkabc*" ct state established,related accept"#,
                r#"iifname "dkabc*" drop"#,
                r#"oifname "dkabc*" ct state established,related accept"#,
                r#"oifname "dkabc*" ip daddr { 203.0.113.0/24 } accept"#,
                r#"oifname "dkabc*" drop"#,
                r#"ip daddr { 203.0.113.0/24 } oifname != "dk*" drop"#,
                r#"ip saddr 100.96.0.0/16 oifname != "dkabc*" masquerade"#,
            ]
        );
    }
}
