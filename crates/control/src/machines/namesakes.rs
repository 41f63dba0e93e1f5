//! Machines of one name in one network: the name is the oldest one's.

use deckle_api::ids::{MachineId, PrivateNetworkId};

use super::store;
use crate::error::Result;
use crate::reconciler::Object;
use crate::store::Tx;

/// After a machine has left a name, by another name, another network or its end: the next oldest has it.
pub async fn left(tx: &mut Tx, network: &PrivateNetworkId, name_folded: &str) -> Result<()> {
    match store::oldest_of_name(&**tx, network, name_folded, 1).await?.pop() {
        Some(heir) => tell(tx, heir).await,
        None => Ok(()),
    }
}

/// After a machine has come to a name: where it is older than the one that had the name, that has it no
/// longer.
pub async fn joined(
    tx: &mut Tx,
    network: &PrivateNetworkId,
    name_folded: &str,
    machine: &MachineId,
) -> Result<()> {
    let mut oldest = store::oldest_of_name(&**tx, network, name_folded, 2).await?.into_iter();
    match (oldest.next(), oldest.next()) {
        (Some(first), Some(former)) if first == *machine => tell(tx, former).await,
        _ => Ok(()),
    }
}

async fn tell(tx: &mut Tx, machine: MachineId) -> Result<()> {
    store::rename(&**tx, &machine).await?;
    tx.wake(Object::Machine(machine));
    Ok(())
}
