//! A visit to a machine: look, decide one step, take it, and come again.

mod accord;
mod acts;
mod captures;
mod disks;
mod moves;
mod outcomes;

pub use outcomes::take_back;

use std::net::Ipv4Addr;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_api::machine_events::MachineEventName;
use deckle_api::sizes::GB;
use deckle_engine::Error as Fault;
use deckle_engine::seen::{self, AgentSeen, MachineSeen, NetworkSeen};
use deckle_engine::specs::{HostNetwork, NetworkSpec};
use ipnet::Ipv4Net;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::DbErr;

use super::desktops;
use super::policy::{self, Power, Sight, Step};
use super::sight;
use super::store::{self, Model};
use super::words;
use crate::app::App;
use crate::error::{Error, Result};
use crate::machine_events::{self, EventRow};
use crate::reconciler::{Next, Object};
use crate::snapshots::service::Pending;
use crate::store::{Text, Tx};
use crate::{custom_templates, firewall_rules, os_templates, private_networks, public_ips, snapshots};

/// The range of each network that a machine has to itself: the gateway, and the machine.
pub const OWN_NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 31, 255, 252), 30);

/// A change of the disk's size on its host that is worth a write, in bytes.
const STORAGE_GRAIN: i64 = 16 << 20;

/// All that a visit works with.
struct Visit<'a> {
    app: &'a App,
    row: Model,
    event: Option<EventRow>,
    seen: MachineSeen,
    snapshots: Pending,
    templates: custom_templates::service::Pending,
    sight: Sight,
    now: Timestamp,
}

/// Looks at a machine and takes one step.
pub async fn visit(app: &App, id: &MachineId) -> Result<Next> {
    let Some(row) = store::find(app.store.read(), id).await? else { return Ok(Next::Never) };
    // An order unsettles its machine as it opens its event.
    let event =
        if row.settled { None } else { machine_events::service::open_of(app.store.read(), id).await? };
    let snapshots = match row.settled {
        true => Pending::default(),
        false => snapshots::service::pending(app.store.read(), id).await?,
    };
    let templates = match row.settled {
        true => custom_templates::service::Pending::default(),
        false => custom_templates::service::pending(app.store.read(), id).await?,
    };
    let (seen, network) = match look(app, &row).await.or_else(as_fault)? {
        Ok(found) => found,
        Err(error) => {
            let object = Object::Machine(id.clone());
            app.progress.note(&object, words::LOOKS.into(), row.trouble.is_some(), app.clock.now());
            return outcomes::stumbled(app, &row, error).await;
        }
    };
    if seen.disk.is_some_and(|disk| disk.generation > row.restores_begun.unsigned_abs()) {
        return catch_up(app, &row, &seen).await;
    }
    let was_ready = row.ready_boot == Some(row.boots_wanted);
    let comes_up = !was_ready && matches!(seen.power, seen::Power::On { .. });
    let has_agent =
        !comes_up || os_templates::service::has_agent(app.store.read(), &row.template_id.0).await?;
    let now = app.clock.now();
    let sight = sight::of(&row, &seen, network, (&snapshots, &templates), has_agent, now, &app.config.limits);
    let sight = Sight { due: super::accord::due(&row, &seen, event.is_some(), now), ..sight };
    let step = policy::next(row.intent.0, &sight);
    let doing = words::of(step, &row, &sight);
    app.progress.note(&Object::Machine(id.clone()), doing, row.trouble.is_some(), now);
    let mut visit = Visit { app, row, event, seen, snapshots, templates, sight, now };
    visit.note(step).await?;
    match visit.take(step).await.or_else(as_fault)? {
        Ok(next) => visit.went_well(step, next).await,
        Err(fault) => outcomes::stumbled(app, &visit.row, fault).await,
    }
}

/// Counts on from a disk that has gone back more often than its row knows: one of the two was brought back from a
/// backup. An order that is open stays so.
async fn catch_up(app: &App, row: &Model, seen: &MachineSeen) -> Result<Next> {
    let generation = seen.disk.map_or(0, |disk| i64::try_from(disk.generation).unwrap_or(i64::MAX));
    let mut changes = store::changes(row);
    changes.restores_begun = Set(generation);
    changes.restores_wanted = Set(row.restores_wanted.saturating_add(generation - row.restores_begun));
    let tx = app.store.begin().await?;
    if store::change(&*tx, row, changes).await? {
        tx.commit().await?;
    }
    Ok(Next::Now)
}

/// What is wrong with more than the store is a fault like a host's: it ends the event, and is told there.
fn as_fault<T>(error: Error) -> Result<std::result::Result<T, Fault>> {
    match error {
        Error::Ours { act, source } if !source.is::<DbErr>() => Ok(Err(Fault::lasting(act, source))),
        error => Err(error),
    }
}

type Found = std::result::Result<(MachineSeen, NetworkSeen), deckle_engine::Error>;

async fn look(app: &App, row: &Model) -> Result<Found> {
    let engine = app.engine(&row.region)?;
    let place = row.host_network();
    let seen = match engine.look_machine(&row.id.0, &place).await {
        Ok(seen) => seen,
        Err(error) => return Ok(Err(error)),
    };
    // A private network has visits of its own: where a machine is plugged in, it is there.
    if seen.nic && matches!(place, HostNetwork::Private(_)) {
        return Ok(Ok((seen, NetworkSeen::Whole)));
    }
    let spec = spec(app, row).await?;
    Ok(engine.look_network(&spec).await.map(|network| (seen, network)))
}

/// What the machine's network is to be on its host.
async fn spec(app: &App, row: &Model) -> Result<NetworkSpec> {
    match &row.network_id {
        Some(id) => private_networks::service::spec_of(app.store.read(), &id.0).await,
        None => {
            let firewall = firewall_rules::service::of_machine(
                app.store.read(),
                &row.team_id.0,
                &row.id.0,
                row.private_ip(),
            );
            let firewall = firewall.await?;
            Ok(NetworkSpec { network: row.host_network(), cidr: OWN_NETWORK, firewall })
        }
    }
}

impl Visit<'_> {
    /// Writes down what was seen, where it differs from what the row says.
    async fn note(&mut self, step: Step) -> Result<()> {
        let (row, seen) = (&self.row, &self.seen);
        let told = desktops::noted(row, seen);
        let mut changed = told.is_some();
        let mut changes = store::ActiveModel { id: Unchanged(row.id.clone()), ..told.unwrap_or_default() };
        let interrupted = row.settled && policy::is_interrupted(row.intent.0, step, &self.sight);
        let ordered = self.event.as_ref().map(|event| event.name.0);
        let event = if interrupted { Some(MachineEventName::Restart) } else { ordered };
        let shown = policy::shown(row.intent.0, event, &self.sight);
        if shown != row.shown_state.0 && step != Step::Settle && step != Step::Forget {
            changes.shown_state = Set(Text(shown));
            changed = true;
        }
        if let AgentSeen::Answers { os: Some(os) } = &seen.guest.agent
            && *os != row.os
        {
            changes.os = Set(os.clone());
            changed = true;
        }
        let used = seen.disk.map_or(0, |disk| i64::try_from(disk.used_bytes).unwrap_or(i64::MAX));
        if (used - row.storage_used).abs() >= STORAGE_GRAIN
            || (step == Step::Settle && used != row.storage_used)
        {
            changes.storage_used = Set(used);
            changed = true;
        }
        // A growth that was given up when it was done all the same: a disk does not shrink.
        let gib = seen.disk.map_or(0, |disk| i64::try_from(disk.size_bytes / GB).unwrap_or(i64::MAX));
        if gib > row.disk_gib && row.next_disk_gib.is_none() {
            changes.disk_gib = Set(gib);
            changed = true;
        }
        if self.sight.power != Power::Off && !row.powered {
            changes.powered = Set(true);
            changed = true;
        }
        if self.sight.power == Power::Off
            && (row.pressed_first.is_some() || row.ready_boot.is_some() || row.stop_forced)
        {
            changes.pressed_first = Set(None);
            changes.pressed_last = Set(None);
            changes.ready_boot = Set(None);
            changes.stop_forced = Set(false);
            changed = true;
        }
        if row.settled && !step.finds_it_well() {
            // What cannot be mended is told where that is written down.
            if row.named && !matches!(step, Step::HonourGuest | Step::Tell(_)) {
                tracing::warn!(machine.id = %row.id.0, step = ?step, "a settled machine is not as it should be");
            }
            changes.settled = Set(false);
            changed = true;
        }
        let begins = self.event.as_ref().filter(|event| event.dt_started.is_none());
        let left = match row.settled {
            true => Vec::new(),
            false => public_ips::service::gone_from(self.app.store.read(), &row.id.0, seen.public_ip).await?,
        };
        if !changed && begins.is_none() && left.is_empty() {
            return Ok(());
        }
        let tx = self.app.store.begin().await?;
        if let Some(event) = begins {
            machine_events::service::begin(&tx, event, self.now).await?;
        }
        // An order to the machine takes an address from it: what was seen before that says nothing.
        if !left.is_empty() && store::still_wanted(&*tx, row).await? {
            public_ips::service::has_left(&tx, &row.id.0, &left).await?;
        }
        if changed
            && store::change(&*tx, row, changes).await?
            && let Some(noted) = store::find(&*tx, &row.id.0).await?
        {
            if interrupted && machine_events::service::open_of(&*tx, &noted.id.0).await?.is_none() {
                self.event = Some(self.open_restart(&tx).await?);
            }
            self.row = noted;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Tells the machine's owner that its guest has to boot once more: its host has lost something of it.
    async fn open_restart(&self, tx: &Tx) -> Result<EventRow> {
        let (team, id) = (&self.row.team_id.0, &self.row.id.0);
        let restart = MachineEventName::Restart;
        let event = machine_events::service::open_unordered(self.app, tx, team, id, restart).await?;
        machine_events::service::begin(tx, &event, self.now).await?;
        Ok(event)
    }
}
