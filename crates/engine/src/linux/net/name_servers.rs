//! Whom the networks' name servers ask.

use std::fs;
use std::net::Ipv4Addr;

use crate::linux::Settings;

const HOSTS: &str = "/etc/resolv.conf";
/// Where the real ones stand when [`HOSTS`] names only systemd's stub.
const BEHIND_THE_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// The configured name servers, or the host's that can be reached from a namespace.
pub(super) fn of_host(settings: &Settings) -> Vec<Ipv4Addr> {
    if !settings.name_servers.is_empty() {
        return settings.name_servers.clone();
    }
    let named = |file| reachable(&fs::read_to_string(file).unwrap_or_default());
    let servers = named(HOSTS);
    if servers.is_empty() { named(BEHIND_THE_STUB) } else { servers }
}

fn reachable(text: &str) -> Vec<Ipv4Addr> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let server = |words: Vec<&str>| match words[..] {
        ["nameserver", address, ..] => address.parse().ok(),
        _ => None,
    };
    words.filter_map(server).filter(|ip: &Ipv4Addr| !ip.is_loopback() && !ip.is_unspecified()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_other_families_are_left_out() {
        let text =
            "# made by hand\nsearch lab\nnameserver 127.0.0.53\nnameserver fd00::1\n  nameserver 9.9.9.9\n";
        assert_eq!(reachable(text), [Ipv4Addr::new(9, 9, 9, 9)]);
    }
}
