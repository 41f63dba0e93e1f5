//! What the policy sees, worked out from a row, a look and the time.

use std::net::Ipv4Addr;

use deckle_api::Timestamp;
use deckle_api::machines::PublicIpType;
use deckle_api::sizes::GB;
use deckle_engine::seen::{self, AgentSeen, MachineSeen, NetworkSeen};

use super::policy::{Button, Disk, Due, Guest, Network, Power, PublicIp, Sight, Work};
use super::store::Model;
use crate::config::Limits;
use crate::custom_templates;
use crate::snapshots::service::Pending;

/// How long after a press of the power button it is pressed again, in seconds: a guest that was still
/// booting has not heard it.
const PRESS_AGAIN_S: f64 = 4.0;

/// What the policy sees, what is due left aside.
pub fn of(
    row: &Model,
    seen: &MachineSeen,
    network: NetworkSeen,
    (snapshots, templates): (&Pending, &custom_templates::service::Pending),
    has_agent: bool,
    now: Timestamp,
    limits: &Limits,
) -> Sight {
    Sight {
        own_network: row.network_id.is_none(),
        network: match network {
            NetworkSeen::Absent => Network::Absent,
            NetworkSeen::Broken => Network::Broken,
            NetworkSeen::Whole => Network::Whole,
        },
        disk: disk(row, seen),
        work: work(row, seen, snapshots).unwrap_or_else(|| template_work(templates)),
        nic: seen.nic,
        port: seen.port,
        names: row.named,
        moving: row.moving_to.is_some(),
        public_ip: public_ip(row, seen.public_ip),
        claimed: row.public_ip_type.0 == PublicIpType::Static,
        placed: row.placed,
        power: power(row, seen.power),
        guest: guest(row, seen, has_agent, now, limits),
        button: button(row, now, limits),
        due: Due::Nothing,
    }
}

fn disk(row: &Model, seen: &MachineSeen) -> Disk {
    match (row.disk_made, seen.disk.is_some()) {
        (false, false) => Disk::NotMade,
        (false, true) => Disk::Unrecorded,
        (true, true) => Disk::There,
        (true, false) => Disk::Lost,
    }
}

/// A restore that is begun is finished before anything else: until then the disk is in no state. A snapshot
/// that is ordered with a restore is taken before it.
fn work(row: &Model, seen: &MachineSeen, snapshots: &Pending) -> Option<Work> {
    let disk = seen.disk.as_ref()?;
    // A disk that was brought back from a backup may have finished fewer restores than its row has.
    let behind = row.restore_to.is_some() && disk.generation < row.restores();
    if behind && (row.restore_is_begun() || snapshots.take.is_none()) {
        return Some(Work::Restore);
    }
    if snapshots.take.is_some() {
        return Some(Work::Take);
    }
    if snapshots.remove.is_some() {
        return Some(Work::Remove);
    }
    let larger = row.next_disk_gib.filter(|gib| disk.size_bytes < gib.unsigned_abs() * GB);
    larger.map(|_| Work::Grow)
}

/// What is to be done about the templates that are made of the disk, once the disk itself needs nothing.
fn template_work(templates: &custom_templates::service::Pending) -> Work {
    match (&templates.discard, &templates.make) {
        (Some(_), _) => Work::Discard,
        (None, Some(_)) => Work::Capture,
        (None, None) => Work::None,
    }
}

fn public_ip(row: &Model, routed: Option<Ipv4Addr>) -> PublicIp {
    match (row.public_ip(), routed) {
        (Some(held), Some(routed)) if held == routed => PublicIp::Routed,
        (_, Some(_)) => PublicIp::Stray,
        (Some(_), None) => PublicIp::Held,
        (None, None) if row.public_ip_type.0 == PublicIpType::Dynamic => PublicIp::Wanted,
        (None, None) => PublicIp::Free,
    }
}

fn power(row: &Model, seen: seen::Power) -> Power {
    match seen {
        seen::Power::Off => Power::Off,
        seen::Power::On { boot, .. } | seen::Power::Stalled { boot } if boot < row.boots() => Power::OnBefore,
        seen::Power::On { .. } | seen::Power::Stalled { .. } => Power::On,
        seen::Power::Halted { boot } if boot < row.boots() => Power::HaltedBefore,
        seen::Power::Halted { .. } => Power::Halted,
    }
}

/// A guest that was ready once in this boot stays ready: its agent may be busy, or gone. A stalled one has
/// had its time since it was ordered.
fn guest(row: &Model, seen: &MachineSeen, has_agent: bool, now: Timestamp, limits: &Limits) -> Guest {
    let since = match seen.power {
        seen::Power::On { since, .. } => since,
        seen::Power::Stalled { .. } => row.dt_modified.into(),
        seen::Power::Off | seen::Power::Halted { .. } => return Guest::Booting,
    };
    if row.ready_boot == Some(row.boots_wanted) {
        return Guest::Ready;
    }
    let leased = seen.guest.leased;
    let ready = match (&seen.guest.agent, leased) {
        _ if matches!(seen.power, seen::Power::Stalled { .. }) => false,
        (AgentSeen::Answers { .. }, Some(_)) => true,
        (_, Some(_)) if !has_agent => true,
        (AgentSeen::Absent, Some(leased)) => now.seconds_since(leased) >= limits.agent_s as f64,
        _ => false,
    };
    match leased {
        _ if ready => Guest::Ready,
        _ if now.seconds_since(since) >= limits.ready_s as f64 => Guest::Overdue,
        Some(_) => Guest::Leased,
        None => Guest::Booting,
    }
}

fn button(row: &Model, now: Timestamp, limits: &Limits) -> Button {
    if row.stop_forced {
        return Button::Overdue;
    }
    let (Some(first), Some(last)) = (row.pressed_first, row.pressed_last) else { return Button::Untouched };
    if now.seconds_since(first.into()) >= limits.clean_stop_s as f64 {
        return Button::Overdue;
    }
    if now.seconds_since(last.into()) >= PRESS_AGAIN_S { Button::PressAgain } else { Button::Pressed }
}
