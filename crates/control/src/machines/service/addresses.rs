//! The addresses of machines: in their networks, and public ones.

use std::net::Ipv4Addr;

use deckle_api::ids::MachineId;
use deckle_api::machines::PublicIpType;
use ipnet::Ipv4Net;
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;

use super::super::lifecycle;
use super::super::policy::Intent;
use super::super::store::{self, Model};
use super::{being_deleted, get};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::private_networks::NetworkRow;
use crate::public_ips;
use crate::reconciler::Object;
use crate::store::{Text, Tx, number};

/// The first address that a machine may have in a network: before it are the gateway's and the drives'.
const FIRST_HOST: u32 = 3;

/// The lowest free address of a network, or the only one of a machine's own.
pub(super) async fn address(tx: &Tx, network: Option<&NetworkRow>) -> Result<i64> {
    let Some(network) = network else {
        return Ok(i64::from(u32::from(lifecycle::OWN_NETWORK.network()) + 2));
    };
    let taken = store::addresses(&**tx, &network.id.0).await?;
    free_addresses(&network.cidr.0, &taken).next().ok_or_else(|| {
        let (id, taken) = (&network.id.0, taken.len());
        Error::Precondition(format!(
            "networkId: {id} has no free address: {taken} of {taken} are in use; use another network"
        ))
    })
}

/// The addresses of a range that are not among the taken ones, which are ordered: the lowest first.
pub(super) fn free_addresses(cidr: &Ipv4Net, taken: &[i64]) -> impl Iterator<Item = i64> {
    let first = u32::from(cidr.network()) + FIRST_HOST;
    let last = u32::from(cidr.broadcast()) - 1;
    let mut taken = taken.iter().copied().peekable();
    (first..=last).map(i64::from).filter(move |address| taken.next_if_eq(address).is_none())
}

/// A team's machine that a public address of a region may be assigned to.
pub async fn assignable(
    store: &impl ConnectionTrait,
    caller: &Caller,
    id: &MachineId,
    region: Option<&str>,
) -> Result<Model> {
    let machine = get(store, caller, id).await.map_err(|error| error.of_field("machineId"))?;
    let region = region.unwrap_or_default();
    if machine.region != region {
        let wrong = format!("{id} is in the region {}, the address in {region}", machine.region);
        return Err(Error::field("machineId", wrong));
    }
    if machine.intent.0 == Intent::Gone {
        return Err(being_deleted(id));
    }
    Ok(machine)
}

/// Says that a machine holds a claimed address. What it held before is let go of.
pub async fn gain_public_ip(app: &App, tx: &mut Tx, machine: &Model, ip: Ipv4Addr) -> Result<()> {
    set_public_ip(app, tx, machine, PublicIpType::Static, Some(ip)).await.map(drop)
}

/// Says that a machine has no public address any more.
pub async fn lose_public_ip(app: &App, tx: &mut Tx, id: &MachineId) -> Result<()> {
    let Some(machine) = store::find(&**tx, id).await? else { return Ok(()) };
    set_public_ip(app, tx, &machine, PublicIpType::None, None).await.map(drop)
}

/// Has a machine's public address come from elsewhere. A dynamic one is held by the machine's visits.
pub(super) async fn change_public_ip_type(
    app: &App,
    tx: &mut Tx,
    machine: Model,
    kind: PublicIpType,
) -> Result<Model> {
    if machine.public_ip_type.0 == kind {
        return Ok(machine);
    }
    public_ips::service::take_from(tx, &machine.id.0).await?;
    let claimed = match kind {
        PublicIpType::Static => {
            let owner = (&machine.team_id.0, &machine.user_id.0);
            let claimed = public_ips::service::claim_for(app, tx, owner, &machine.region, &machine.id.0);
            Some(claimed.await.map_err(|error| error.of_field("publicIpType"))?)
        }
        PublicIpType::Dynamic | PublicIpType::None => None,
    };
    set_public_ip(app, tx, &machine, kind, claimed).await
}

async fn set_public_ip(
    app: &App,
    tx: &mut Tx,
    machine: &Model,
    kind: PublicIpType,
    ip: Option<Ipv4Addr>,
) -> Result<Model> {
    let mut changes = store::changes(machine);
    changes.public_ip_type = Set(Text(kind));
    changes.public_ip = Set(ip.map(number));
    let machine = store::revise(&**tx, machine, changes, app.clock.now()).await?;
    tx.wake(Object::Machine(machine.id.0.clone()));
    Ok(machine)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range() -> Ipv4Net {
        "10.64.8.0/24".parse().unwrap()
    }

    fn at(last: u8) -> i64 {
        i64::from(u32::from(range().network()) + u32::from(last))
    }

    #[test]
    fn the_lowest_free_address_is_taken() {
        let free = |taken: &[i64]| free_addresses(&range(), taken).next();
        assert_eq!(free(&[]), Some(at(3)));
        assert_eq!(free(&[at(3), at(4), at(6)]), Some(at(5)));
        assert_eq!(free(&[at(4)]), Some(at(3)));
        let all: Vec<_> = (3..=254).map(at).collect();
        assert_eq!((all.len(), free(&all)), (252, None));
    }

    proptest! {
        /// Machines come and go; each new one has the lowest address that no other has.
        #[test]
        fn no_address_is_given_twice(steps in prop::collection::vec((any::<bool>(), any::<usize>()), 0..400)) {
            let mut taken: BTreeSet<i64> = BTreeSet::new();
            for (comes, which) in steps {
                let listed: Vec<_> = taken.iter().copied().collect();
                if comes {
                    let expected = (3..=254).map(at).find(|address| !taken.contains(address));
                    prop_assert_eq!(free_addresses(&range(), &listed).next(), expected);
                    taken.extend(expected);
                } else if !listed.is_empty() {
                    taken.remove(&listed[which % listed.len()]);
                }
            }
            let listed: Vec<_> = taken.iter().copied().collect();
            let free: BTreeSet<_> = free_addresses(&range(), &listed).collect();
            prop_assert!(free.is_disjoint(&taken));
            prop_assert_eq!(free.len() + taken.len(), 252);
        }
    }
}
