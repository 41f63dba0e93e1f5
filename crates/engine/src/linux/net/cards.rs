//! Which machines a network's lease server knows: a file each for the address, and for the names.
//!
//! **Invariant**: a machine's file holds that machine alone, so that plugging one in is one file's appearance
//! and never changes what another has. Files are written whole; dnsmasq reads them in its own time.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use deckle_api::ids::MachineId;

use super::files;
use super::leases::Lease;
use crate::error::{Error, Result};
use crate::linux::folder::unless_absent;
use crate::specs::{Mac, NicSpec};

/// The two folders of a network's machines.
#[derive(Debug, Clone)]
pub(super) struct Cards {
    pub cards: PathBuf,
    pub names: PathBuf,
}

/// A machine's card as the lease server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Card {
    pub mac: Mac,
    pub ip: Ipv4Addr,
}

impl Card {
    /// Whether a lease is this card's.
    pub(super) fn took(&self, lease: &Lease) -> bool {
        lease.ip == self.ip && lease.mac == self.mac.to_string()
    }
}

impl Cards {
    /// Makes the folders.
    pub(super) fn ensure_folders(&self) -> Result<()> {
        files::ensure_folder(&self.cards)?;
        files::ensure_folder(&self.names)
    }

    /// Writes a machine's files, and tells whether they said something else before.
    pub(super) fn ensure(&self, spec: &NicSpec) -> Result<bool> {
        let NicSpec { machine, mac, ip, .. } = spec;
        let named = files::ensure(&self.names.join(machine.as_str()), &names_line(spec)?)?;
        let carded = files::ensure(&self.cards.join(machine.as_str()), &format!("{mac},{ip},{machine}\n"))?;
        Ok(named || carded)
    }

    /// Removes a machine's files, and tells whether one was there.
    pub(super) fn remove(&self, machine: &MachineId) -> Result<bool> {
        let unnamed = files::remove(&self.names.join(machine.as_str()))?;
        let uncarded = files::remove(&self.cards.join(machine.as_str()))?;
        Ok(unnamed || uncarded)
    }

    /// A machine's card, if it has both files.
    pub(super) fn look(&self, machine: &MachineId) -> Result<Option<Card>> {
        let named = self.names.join(machine.as_str()).try_exists();
        let carded = unless_absent(fs::read_to_string(self.cards.join(machine.as_str())));
        let seen = named.and_then(|named| Ok(carded?.filter(|_| named)));
        let text = seen.map_err(|error| Error::passing(format!("look at the card of {machine}"), error))?;
        Ok(text.and_then(|text| parse(&text)))
    }
}

fn parse(card: &str) -> Option<Card> {
    let mut words = card.trim().split(',');
    Some(Card { mac: Mac::parse(words.next()?)?, ip: words.next()?.parse().ok()? })
}

/// A line of a hosts file. What is not a host name would change the meaning of the file.
fn names_line(spec: &NicSpec) -> Result<String> {
    let is_name = |name: &&String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    if let Some(name) = spec.names.iter().find(|name| !is_name(name)) {
        let act = format!("name {} in its network", spec.machine);
        return Err(Error::lasting(act, format!("{name:?} is not a host name")));
    }
    Ok(format!("{} {}\n", spec.ip, spec.names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specs::HostNetwork;

    fn nic(names: &[&str]) -> NicSpec {
        NicSpec {
            machine: "psa".parse().unwrap(),
            network: HostNetwork::Private("na".parse().unwrap()),
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            ip: Ipv4Addr::new(10, 64, 0, 2),
            names: names.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn a_card_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let cards = Cards { cards: folder.path().join("cards"), names: folder.path().join("names") };
        cards.ensure_folders().unwrap();
        let spec = nic(&["psa", "web"]);
        assert!(cards.ensure(&spec).unwrap());
        assert!(!cards.ensure(&spec).unwrap());
        assert_eq!(cards.look(&spec.machine).unwrap(), Some(Card { mac: spec.mac, ip: spec.ip }));
        assert!(cards.remove(&spec.machine).unwrap());
        assert!(!cards.remove(&spec.machine).unwrap());
        assert_eq!(cards.look(&spec.machine).unwrap(), None);
    }

    #[test]
    fn a_card_that_cannot_be_read_does_not_mean_unplugged() {
        let folder = tempfile::tempdir().unwrap();
        let cards = Cards { cards: folder.path().join("cards"), names: folder.path().join("names") };
        fs::create_dir_all(cards.cards.join("psa")).unwrap();
        assert!(cards.look(&nic(&["psa"]).machine).is_err());
    }

    #[test]
    fn a_name_that_would_change_the_file_is_refused() {
        assert_eq!(names_line(&nic(&["psa", "web"])).unwrap(), "10.64.0.2 psa web\n");
        assert!(names_line(&nic(&["web\n10.64.0.1 evil"])).unwrap_err().is_final());
    }
}
