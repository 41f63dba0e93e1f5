//! A machine in a table, and alone.

use deckle_api::machines::Machine;

use crate::commands::machine_types::gpus;
use crate::output::{Shown, or_dash, size, word};

impl Shown for Machine {
    const COLUMNS: &'static [&'static str] =
        &["ID", "NAME", "STATE", "REGION", "TYPE", "PRIVATE IP", "PUBLIC IP"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.state.word().to_owned(),
            self.region.0.clone(),
            self.machine_type.clone(),
            or_dash(self.private_ip.as_ref()),
            or_dash(self.public_ip.as_ref()),
        ]
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let disk = format!("{} of {}", size(self.storage_used), size(self.storage_total));
        let gpus = gpus(self.accelerators.as_ref().and_then(Option::as_deref));
        let mut facts: Vec<_> = Self::COLUMNS.iter().copied().zip(self.cells()).collect();
        facts.extend([
            ("PUBLIC IP TYPE", word(self.public_ip_type)),
            ("NETWORK", or_dash(self.network_id.as_ref())),
            ("OS", self.os.clone()),
            ("CPUS", self.cpus.to_string()),
            ("RAM", size(self.ram)),
            ("GPUS", gpus),
            ("DISK", disk),
            ("AUTO SHUTDOWN", self.auto_shutdown()),
            ("AUTO SNAPSHOT", self.auto_snapshot()),
            ("RESTORE POINT", self.restore_point()),
            ("CREATED", self.dt_created.to_string()),
        ]);
        facts
    }
}

/// Policies in words: only of this file.
trait Policies {
    fn auto_shutdown(&self) -> String;
    fn auto_snapshot(&self) -> String;
    fn restore_point(&self) -> String;
}

impl Policies for Machine {
    fn auto_shutdown(&self) -> String {
        let forced = if self.auto_shutdown_force == Some(true) { ", by force" } else { "" };
        match self.auto_shutdown_timeout {
            Some(hours) if self.auto_shutdown_enabled => format!("{hours} h after boot{forced}"),
            _ => "-".to_owned(),
        }
    }

    fn auto_snapshot(&self) -> String {
        match (self.auto_snapshot_frequency, self.auto_snapshot_save_count) {
            (Some(often), count) if self.auto_snapshot_enabled => {
                format!("{}, {} kept", word(often), count.unwrap_or_default())
            }
            _ => "-".to_owned(),
        }
    }

    fn restore_point(&self) -> String {
        or_dash(self.restore_point_snapshot_id.as_ref().filter(|_| self.restore_point_enabled))
    }
}
