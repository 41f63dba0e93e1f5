//! What all installations of a host share, and the last one that leaves takes along.
//!
//! **Invariant**: what the host was before is kept where a reboot forgets it, as it forgets the setting.

use std::fs;
use std::path::Path;

use super::place::Place;
use super::rules::Ruleset;
use super::{Net, checks, files, firewall, ip, rules, uplink};
use crate::error::Result;

/// Is there while packets are forwarded only because an installation has switched that on.
const SWITCHED_ON: &str = "/run/deckle-forwarding";
/// What the names of every installation's tables of rules begin with.
const TABLES: &str = "deckle_";
/// What the names of every installation's uplinks begin with.
const UPLINKS: &str = "dk";

/// Has the host forward packets, and keeps in mind whether it did before.
pub(super) async fn ensure_forwarding() -> Result<()> {
    if checks::host_forwards() {
        return Ok(());
    }
    tracing::info!("the host forwards packets from now on (net.ipv4.ip_forward = 1)");
    files::ensure(Path::new(SWITCHED_ON), "net.ipv4.ip_forward was 0\n")?;
    Place::Host.set(&[("ipv4/ip_forward", "1")]).await
}

/// Takes the installation's table back, and what it shared, if it was the last.
pub(super) async fn leave(net: &Net) -> Result<()> {
    net.remove_host_rules().await?;
    let links = ip::links(&Place::Host).await?;
    let other_links = links.iter().any(|link| link.name.starts_with(UPLINKS));
    if other_links || has_others(&rules::look(&Place::Host).await?, &net.paths.rules()) {
        return Ok(());
    }
    if fs::exists(SWITCHED_ON).unwrap_or(false) {
        Place::Host.set(&[("ipv4/ip_forward", "0")]).await?;
        files::remove(Path::new(SWITCHED_ON))?;
    }
    firewall::unload().await?;
    uplink::remove_lock()
}

/// Whether another installation has its table on the host: each has one, while it is there.
pub(super) fn has_others(seen: &Ruleset, own: &str) -> bool {
    seen.tables().iter().any(|table| table.starts_with(TABLES) && table != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_installation_is_seen_by_its_table() {
        let said = br#"{"nftables": [{"table": {"family": "inet", "name": "deckle_abc"}}, {"table": {"family": "ip", "name": "nat"}}]}"#;
        let seen = Ruleset::parse(said).unwrap();
        assert!(!has_others(&seen, "deckle_abc"));
        assert!(has_others(&seen, "deckle_xyz"));
    }
}
