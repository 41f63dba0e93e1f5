//! What is billed of a machine: its type while it is not off, its disk as long as it has one, and a dynamic
//! address while it holds one. A claimed address is billed as such, whatever it leads to.

use deckle_api::machines::{MachineState, PublicIpType};
use deckle_api::usage::UsageKind;
use sea_orm::DbErr;

use super::store::{ActiveModel, Model};
use crate::store::Metered;
use crate::usage::meter::{self, Billed};

/// Whether a change of a row may change what is billed.
pub fn is_about(changes: &ActiveModel) -> bool {
    changes.shown_state.is_set()
        || changes.machine_type.is_set()
        || changes.disk_gib.is_set()
        || changes.disk_made.is_set()
        || changes.public_ip.is_set()
        || changes.public_ip_type.is_set()
        || changes.dt_deleted.is_set()
}

/// Bills what the row says from now on.
pub async fn follow(tx: &impl Metered, row: &Model) -> Result<(), DbErr> {
    meter::follow(tx, &row.team_id.0, &row.user_id.0, &row.id.0, billed(row)).await
}

fn billed(row: &Model) -> Vec<Billed> {
    if row.dt_deleted.is_some() {
        return Vec::new();
    }
    let id = row.id.0.to_string();
    let part = |kind, object, machine_type, size_gib| Billed {
        kind,
        object,
        machine: Some(row.id.0.clone()),
        machine_type,
        size_gib,
    };
    let machine = (row.shown_state.0 != MachineState::Off)
        .then(|| part(UsageKind::Machine, id.clone(), Some(row.machine_type.clone()), 0));
    let disk = row.disk_made.then(|| part(UsageKind::Storage, id, None, row.disk_gib));
    let held = row.public_ip().filter(|_| row.public_ip_type.0 == PublicIpType::Dynamic);
    let address = held.map(|ip| part(UsageKind::Address, ip.to_string(), None, 0));
    machine.into_iter().chain(disk).chain(address).collect()
}
