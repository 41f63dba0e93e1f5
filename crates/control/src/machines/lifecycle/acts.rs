//! The steps of a visit, each one act.

use deckle_engine::pci::PciAddress;
use deckle_engine::specs::{BootSpec, NicSpec, PublicIpSpec, SeedSpec};
use deckle_engine::{Engine, Error as Fault};
use sea_orm::ActiveValue::Set;

use super::super::desktops;
use super::super::placement::{Room, Taken};
use super::super::policy::{Step, Trouble};
use super::super::store;
use super::super::{accessors, accord};
use super::Visit;
use crate::error::{Error, Result};
use crate::reconciler::{Next, Object};
use crate::store::number;
use crate::{gpus, names, private_networks, public_ips, startup_scripts};

/// The shortest pause before another look at something that takes its time, in milliseconds.
const LOOK_MS_MIN: i64 = 10;
/// A look comes late by no more than this part of the time that was waited, while pauses are not at their limit.
const LATE_PART: i64 = 32;

/// How an act went: what is next, or the host's fault.
pub(super) type Acted = Result<std::result::Result<Next, Fault>>;

impl Visit<'_> {
    /// Takes the step.
    pub(super) async fn take(&mut self, step: Step) -> Acted {
        let id = &self.row.id.0;
        let place = self.row.host_network();
        let engine = self.app.engine(&self.row.region)?;
        let acted = match step {
            Step::MakeNetwork => engine.ensure_network(&super::spec(self.app, &self.row).await?).await,
            Step::AwaitNetwork => return self.await_network().await,
            Step::MakeDisk => engine.ensure_disk(&self.disk()).await,
            Step::RecordDisk => return self.write(|row| row.disk_made = Set(true)).await,
            Step::TakeSnapshot => return self.take_snapshot(engine.as_ref()).await,
            Step::RemoveSnapshot => return self.remove_snapshot(engine.as_ref()).await,
            Step::Restore => return self.restore(engine.as_ref()).await,
            Step::GrowDisk => engine.ensure_disk(&self.larger_disk()).await,
            Step::DiscardTemplate => return self.discard_template(engine.as_ref()).await,
            Step::MakeTemplate => return self.make_template(engine.as_ref()).await,
            Step::PlugNic => return self.plug(engine.as_ref()).await,
            Step::HoldPublicIp => return self.hold_public_ip().await,
            Step::RoutePublicIp => engine.ensure_public_ip(&self.public_ip()).await,
            Step::Place => return self.place().await,
            Step::PowerOn => return self.power_on(engine.as_ref()).await,
            Step::AwaitGuest | Step::AwaitHalt => return Ok(Ok(self.look_again())),
            Step::HonourGuest => return self.honour_guest().await,
            Step::ShutDown => return self.shut_down().await,
            Step::KeepSlot => return self.keep_slot().await,
            Step::PressPowerButton => return self.press(engine.as_ref()).await,
            Step::CutPower => return self.cut_power(engine.as_ref()).await,
            Step::UnroutePublicIp => return self.unroute_public_ip(engine.as_ref()).await,
            Step::DropPublicIp => return self.drop_public_ip().await,
            Step::Displace => return self.displace(engine.as_ref()).await,
            Step::UnplugNic => engine.remove_nic(id, &place).await,
            Step::RemoveNetwork => engine.remove_network(&place).await,
            Step::Move => return self.change_network(engine.as_ref()).await,
            Step::DeleteDisk => return self.delete_disk(engine.as_ref()).await,
            Step::Settle => return self.rest(engine.as_ref()).await.map(Ok),
            Step::Forget => return self.forget(engine.as_ref()).await,
            Step::Tell(trouble) => Err(self.told(trouble)),
        };
        Ok(acted.map(|()| Next::Now))
    }

    /// Changes the row, if what is wanted is still what was decided for: whether it is.
    pub(super) async fn change(&mut self, change: impl FnOnce(&mut store::ActiveModel)) -> Result<bool> {
        let mut changes = store::changes(&self.row);
        change(&mut changes);
        let tx = self.app.store.begin().await?;
        let wanted = store::change(&*tx, &self.row, changes).await?;
        if wanted {
            tx.commit().await?;
        }
        Ok(wanted)
    }

    /// A step that is a change of the row and no more.
    pub(super) async fn write(&mut self, change: impl FnOnce(&mut store::ActiveModel)) -> Acted {
        self.change(change).await.map(|_| Ok(Next::Now))
    }

    /// The network has visits of its own. What has stopped them since the machine's order stops the machine.
    async fn await_network(&self) -> Acted {
        let Some(network) = &self.row.network_id else { return Ok(Ok(Next::Now)) };
        let store = self.app.store.read();
        let since = self.row.dt_modified.into();
        if let Some(trouble) = private_networks::service::trouble_since(store, &network.0, since).await? {
            let act = format!("plug {} into {}", self.row.id.0, network.0);
            let fault = if trouble.lasts { Fault::lasting } else { Fault::passing };
            return Ok(Err(fault(act, trouble.told)));
        }
        self.app.store.wakes().wake(Object::PrivateNetwork(network.0.clone()));
        Ok(Ok(Next::In(self.app.config.limits.look_again_ms)))
    }

    /// Looks again soon at first, and later less often: some guests take milliseconds and some minutes.
    fn look_again(&self) -> Next {
        let since = match self.seen.power {
            deckle_engine::seen::Power::On { since, .. } => since,
            _ => self.row.dt_modified.into(),
        };
        let begun = self.row.pressed_first.map_or(since, Into::into).max(since);
        let waited_ms = (self.now.0 - begun.0) / 1000;
        Next::In(
            (waited_ms / LATE_PART).clamp(LOOK_MS_MIN, self.app.config.limits.look_again_ms.max(LOOK_MS_MIN)),
        )
    }

    async fn plug(&mut self, engine: &dyn Engine) -> Acted {
        match engine.ensure_nic(&self.nic().await?).await {
            Ok(()) if !self.row.named => self.write(|row| row.named = Set(true)).await,
            plugged => Ok(plugged.map(|()| Next::Now)),
        }
    }

    async fn nic(&self) -> Result<NicSpec> {
        let row = &self.row;
        let mut host_names = vec![row.id.0.to_string()];
        if let Some(label) = names::dns_label(&row.name)
            && self.is_oldest_of_its_name().await?
        {
            host_names.push(label);
        }
        Ok(NicSpec {
            machine: row.id.0.clone(),
            network: row.host_network(),
            mac: row.mac.0,
            ip: row.private_ip(),
            names: host_names,
        })
    }

    async fn is_oldest_of_its_name(&self) -> Result<bool> {
        let Some(network) = &self.row.network_id else { return Ok(true) };
        let store = self.app.store.read();
        let oldest = store::oldest_of_name(store, &network.0, &self.row.name_folded, 1).await?;
        Ok(oldest.first().is_none_or(|oldest| *oldest == self.row.id.0))
    }

    fn public_ip(&self) -> PublicIpSpec {
        PublicIpSpec {
            machine: self.row.id.0.clone(),
            network: self.row.host_network(),
            public_ip: self.row.public_ip().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED),
            ip: self.row.private_ip(),
        }
    }

    /// Reads how the machine's startup script goes, which runs on when the guest is ready, and settles. What the
    /// machine does of its own accord is not late by a look for drift.
    async fn rest(&mut self, engine: &dyn Engine) -> Result<Next> {
        let again = startup_scripts::runs::service::watch(self.app, engine, &self.row.id.0).await?;
        let due = accord::next(&self.row, &self.seen);
        let due_ms = due.map(|due| ((due.0 - self.now.0).max(0) + 999) / 1000);
        let soonest = due_ms.into_iter().chain(again).min();
        match (self.settle().await?, soonest) {
            (Next::Settled, Some(ms)) if ms < self.app.config.limits.drift_s * 1000 => Ok(Next::In(ms)),
            (next, _) => Ok(next),
        }
    }

    async fn boot(&self, gpus: Vec<PciAddress>) -> Result<BootSpec> {
        let row = &self.row;
        let machine_type = self.app.catalogue.find(&row.machine_type);
        let gone = || {
            Error::ours(
                format!("start {}", row.id.0),
                format!("the type {} left the catalogue", row.machine_type),
            )
        };
        let machine_type = machine_type.ok_or_else(gone)?;
        let script = match &row.startup_script_id {
            Some(id) => startup_scripts::service::for_boot(self.app, &row.id.0, &id.0).await?,
            None => None,
        };
        let authorized_keys = accessors::service::key_lines(self.app.store.read(), row).await?;
        let seed = SeedSpec { hostname: row.id.0.to_string(), authorized_keys, startup_script: script };
        Ok(BootSpec {
            machine: row.id.0.clone(),
            boot: row.boots(),
            vcpus: machine_type.vcpus,
            ram_bytes: machine_type.ram_bytes(),
            gpus,
            nic: self.nic().await?,
            seed,
            desktop: desktops::spec(self.app, row),
        })
    }

    /// Starts it. A machine whose GPUs are not sound any more gives its place up, and then gets another one.
    /// What the boot carries is written down first: a guest tells of its script by the boot's number. The run
    /// before may have ended since it was last looked at.
    async fn power_on(&mut self, engine: &dyn Engine) -> Acted {
        let id = &self.row.id.0;
        let held = gpus::service::of_machine(self.app.store.read(), id).await?;
        if !held.is_empty() {
            match engine.look_gpus().await {
                Ok(seen) if !gpus::service::are_sound(&held, id, seen.as_deref()) => {
                    return self.displace(engine).await;
                }
                Ok(_) => {}
                Err(fault) => return Ok(Err(fault)),
            }
        }
        if desktops::has_one(&self.row)
            && desktops::spec(self.app, &self.row).is_none()
            && !self.guard_desktop().await?
        {
            return Ok(Ok(Next::Now));
        }
        let boot = self.boot(held).await?;
        let script = boot.seed.startup_script.as_ref().map(|script| &script.id);
        startup_scripts::runs::service::watch(self.app, engine, &boot.machine).await?;
        startup_scripts::runs::service::begin(self.app, &boot.machine, boot.boot, script).await?;
        Ok(engine.power_on(&boot).await.map(|()| Next::Now))
    }

    /// Writes down a password for the desktop of the boot that is wanted, if that is still wanted: whether it is.
    async fn guard_desktop(&mut self) -> Result<bool> {
        let password = Some(desktops::sealed(self.app, &self.row));
        let boot = Some(self.row.boots_wanted);
        let guarded = self.change(|row| {
            row.desktop_password = Set(password.clone());
            row.desktop_boot = Set(boot);
        });
        let guarded = guarded.await?;
        if guarded {
            self.row.desktop_password = password;
            self.row.desktop_boot = boot;
        }
        Ok(guarded)
    }

    /// Gives memory, processors and GPUs back. A cut is what has GPUs reset, also where the machine's power went
    /// by itself; what the host then shows of them is written down as they are freed.
    async fn displace(&mut self, engine: &dyn Engine) -> Acted {
        let (app, id) = (self.app, &self.row.id.0);
        if gpus::service::of_machine(app.store.read(), id).await?.is_empty() {
            return self.write(|row| row.placed = Set(false)).await;
        }
        if let Err(fault) = engine.cut_power(id).await {
            return Ok(Err(fault));
        }
        let seen = match engine.look_gpus().await {
            Ok(seen) => seen,
            Err(fault) => return Ok(Err(fault)),
        };
        let tx = app.store.begin().await?;
        let mut changes = store::changes(&self.row);
        changes.placed = Set(false);
        if store::change(&*tx, &self.row, changes).await? {
            gpus::service::give_back(&tx, id, seen.as_deref(), self.now).await?;
            tx.commit().await?;
        }
        Ok(Ok(Next::Now))
    }

    /// Takes memory, processors and GPUs on the host, if there is room: in one transaction with the sum of what
    /// is taken, so that nothing is promised twice.
    async fn place(&mut self) -> Acted {
        let (app, row) = (self.app, &self.row);
        let Some(machine_type) = app.catalogue.find(&row.machine_type) else {
            let why = format!("the machine type {} is no longer in the catalogue", row.machine_type);
            return Ok(Err(Fault::lasting(format!("place {}", row.id.0), why)));
        };
        let engine = app.engine(&row.region)?;
        let capacity = match engine.look_capacity().await {
            Ok(capacity) => capacity,
            Err(fault) => return Ok(Err(fault)),
        };
        let seen = match &machine_type.gpu {
            Some(_) => engine.look_gpus().await,
            None => Ok(None),
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(fault) => return Ok(Err(fault)),
        };
        let tx = app.store.begin().await?;
        if !store::still_wanted(&*tx, row).await? {
            return Ok(Ok(Next::Now));
        }
        let taken = Taken::by(&app.catalogue, &store::placed(&*tx).await?);
        if let Some(short) = (Room { capacity, taken, gpus: None }).short_of(machine_type) {
            return Ok(Err(Fault::lasting(format!("place {}", row.id.0), short)));
        }
        if let Some(seen) = seen {
            let whose = (&row.id.0, &row.team_id.0);
            let short = gpus::service::take(&tx, whose, machine_type, &seen, self.now).await?;
            if let Some(short) = short {
                tx.commit().await?;
                return Ok(Err(Fault::lasting(format!("place {}", row.id.0), short)));
            }
        }
        let mut changes = store::changes(row);
        changes.placed = Set(true);
        store::change(&*tx, row, changes).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }

    async fn hold_public_ip(&mut self) -> Acted {
        let (app, row) = (self.app, &self.row);
        let tx = app.store.begin().await?;
        if !store::still_wanted(&*tx, row).await? {
            return Ok(Ok(Next::Now));
        }
        let Some(ip) = public_ips::service::hold(app, &tx, &row.region, &row.id.0).await? else {
            let why = "the pool of public addresses is used up: stop a machine that has one, or ask the operator for more";
            return Ok(Err(Fault::lasting(format!("give {} a public address", row.id.0), why)));
        };
        let mut changes = store::changes(row);
        changes.public_ip = Set(Some(number(ip)));
        store::change(&*tx, row, changes).await?;
        tx.commit().await?;
        Ok(Ok(Next::Now))
    }

    async fn drop_public_ip(&mut self) -> Acted {
        let tx = self.app.store.begin().await?;
        let mut changes = store::changes(&self.row);
        changes.public_ip = Set(None);
        if store::change(&*tx, &self.row, changes).await? {
            public_ips::service::let_go(&tx, &self.row.id.0).await?;
            tx.commit().await?;
        }
        Ok(Ok(Next::Now))
    }

    /// The machine that an address belongs to by now may have led it to itself before it was led here once
    /// more: it is to look again.
    async fn unroute_public_ip(&self, engine: &dyn Engine) -> Acted {
        let row = &self.row;
        if let Err(fault) = engine.remove_public_ip(&row.id.0, &row.host_network()).await {
            return Ok(Err(fault));
        }
        if let Some(ip) = self.seen.public_ip
            && let Some(holder) = public_ips::service::holder(self.app.store.read(), ip).await?
            && holder != row.id.0
        {
            self.app.store.wakes().wake(Object::Machine(holder));
        }
        Ok(Ok(Next::Now))
    }

    /// The press is written down first: a guest that halts after it did so on our word.
    async fn press(&mut self, engine: &dyn Engine) -> Acted {
        let now = self.now.into();
        let first = self.row.pressed_first.unwrap_or(now);
        let pressed = self.change(|row| {
            row.pressed_first = Set(Some(first));
            row.pressed_last = Set(Some(now));
        });
        if !pressed.await? {
            return Ok(Ok(Next::Now));
        }
        let pressed = engine.press_power_button(&self.row.id.0).await;
        Ok(pressed.map(|()| Next::In(LOOK_MS_MIN)))
    }

    fn told(&self, trouble: Trouble) -> Fault {
        let id = &self.row.id.0;
        match trouble {
            Trouble::DiskLost => {
                let why = "its disk was made and is missing from its host; it is not made again: restore it, or delete the machine";
                Fault::lasting(format!("run {id}"), why)
            }
            Trouble::NeverReady => {
                let limit = self.app.config.limits.ready_s;
                let why = match self.seen.power {
                    deckle_engine::seen::Power::Stalled { .. } => format!(
                        "it stood still for {limit} s, because its disk could not be written: its host has no space left"
                    ),
                    _ => format!(
                        "its guest was not ready within {limit} s; `deckle machine console {id}` shows what it said"
                    ),
                };
                Fault::lasting(format!("start {id}"), why)
            }
        }
    }
}
