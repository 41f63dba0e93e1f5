//! Who the servers of drives run as: each network's as a user of its own.
//!
//! Of the 65536 users that are this installation's, the upper half is theirs. A network's id tells where the
//! search for a free one begins, so that after a reboot it is, as a rule, the same again; where it is not, the
//! drives change hands when they are mounted.
//!
//! **Invariant**: no two folders in memory belong to one user. A folder has its user from the moment on that
//! it is mounted, and keeps it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use deckle_api::ids::PrivateNetworkId;

use crate::linux::folder::unless_absent;

const HALF: u32 = 32_768;

/// The user of a network's folder; none where it is not mounted.
pub(super) fn of(folder: &Path) -> io::Result<Option<u32>> {
    let seen = unless_absent(fs::metadata(folder))?;
    Ok(seen.map(|seen| seen.gid()).filter(|gid| *gid != 0))
}

/// The users of the folders beside a network's own.
pub(super) fn of_others(run: &Path, network: &PrivateNetworkId) -> io::Result<BTreeSet<u32>> {
    let mut taken = BTreeSet::new();
    for entry in unless_absent(fs::read_dir(run))?.into_iter().flatten() {
        let entry = entry?;
        if entry.file_name() != network.as_str() {
            taken.extend(of(&entry.path())?);
        }
    }
    Ok(taken)
}

/// The user for a network that has `held` so far; none where all are taken.
pub(super) fn choose(
    first_uid: u32,
    network: &PrivateNetworkId,
    held: Option<u32>,
    taken: &BTreeSet<u32>,
) -> Option<u32> {
    let first = first_uid.saturating_add(HALF);
    let places = (0..HALF).map(|step| first + (start(network) + step) % HALF);
    let held = held.filter(|uid| (first..first + HALF).contains(uid));
    held.into_iter().chain(places).find(|uid| !taken.contains(uid))
}

/// FNV-1a, because the place must be the same in every release.
fn start(network: &PrivateNetworkId) -> u32 {
    let mixed = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    network.as_str().bytes().fold(0x811c_9dc5, mixed) % HALF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_keeps_its_user_and_shares_it_with_none() {
        let (one, two) = ("na".parse().unwrap(), "nb".parse().unwrap());
        let choose = |network, held, taken: &[u32]| {
            choose(3_300_000, network, held, &taken.iter().copied().collect()).unwrap()
        };
        let own = choose(&one, None, &[]);
        assert!((3_332_768..3_365_536).contains(&own));
        assert_eq!(own, choose(&one, None, &[]), "a reboot makes no difference");
        assert_ne!(own, choose(&two, None, &[]));
        assert_eq!(choose(&one, Some(3_340_000), &[own]), 3_340_000);
        assert_eq!(choose(&one, Some(3_340_000), &[3_340_000]), own);
        assert_eq!(choose(&one, None, &[own]), own + 1);
        assert_eq!(choose(&one, Some(7), &[]), own, "not one of another installation's");
    }

    #[test]
    fn where_all_are_taken_there_is_none() {
        let all = (32_768..65_536).collect();
        assert_eq!(choose(0, &"na".parse().unwrap(), None, &all), None);
    }
}
