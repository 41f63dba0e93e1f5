//! Machines as they are told.

use deckle_api::machines::{Machine, MachineOrdered, RestorePointFrequency};
use deckle_api::regions::Region;
use deckle_api::sizes::GB;

use super::store::Model;
use crate::app::App;
use crate::machine_events::{self, EventRow};

/// A machine as it is told.
pub fn shown(app: &App, row: Model) -> Machine {
    let machine_type = app.catalogue.find(&row.machine_type);
    let private_ip = row.private_ip().to_string();
    let public_ip = row.public_ip().map(|ip| ip.to_string());
    Machine {
        id: row.id.0,
        name: row.name,
        state: row.shown_state.0,
        os: row.os,
        machine_type: row.machine_type,
        agent_type: row.agent_type,
        cpus: machine_type.map_or(0, |found| found.vcpus),
        ram: machine_type.map_or(0, |found| found.ram_bytes()),
        storage_total: row.disk_gib.unsigned_abs() * GB,
        storage_used: row.storage_used.unsigned_abs(),
        accelerators: machine_type.and_then(|found| found.accelerators()).map(Some),
        region: Region(row.region),
        private_ip: Some(private_ip),
        network_id: row.network_id.map(|id| id.0),
        public_ip,
        public_ip_type: row.public_ip_type.0,
        auto_shutdown_enabled: row.auto_shutdown_enabled,
        auto_shutdown_timeout: row.auto_shutdown_hours.and_then(|hours| u32::try_from(hours).ok()),
        auto_shutdown_force: row.auto_shutdown_force,
        auto_snapshot_enabled: row.auto_snapshot_enabled,
        auto_snapshot_frequency: row.auto_snapshot_frequency.map(|frequency| frequency.0),
        auto_snapshot_save_count: row.auto_snapshot_save_count.and_then(|count| u32::try_from(count).ok()),
        updates_pending: false,
        restore_point_enabled: row.restore_point_enabled,
        restore_point_frequency: row.restore_point_enabled.then_some(RestorePointFrequency::Shutdown),
        restore_point_snapshot_id: row.restore_point_snapshot_id.map(|id| id.0),
        usage_rate: machine_type.map_or(0.0, |found| found.hour),
        storage_rate: cents(app.catalogue.disk_gb_month * row.disk_gib as f64),
        dt_created: row.dt_created.into(),
        dt_modified: row.dt_modified.into(),
        dt_deleted: row.dt_deleted.map(Into::into),
        reservation: None,
    }
}

/// What was ordered, as it is told.
pub fn ordered(app: &App, (event, machine): (EventRow, Model)) -> MachineOrdered {
    MachineOrdered { event: machine_events::shown(event), data: shown(app, machine) }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}
