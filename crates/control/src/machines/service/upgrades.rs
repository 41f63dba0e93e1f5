//! The rules of upgrades: another type within the family, a larger disk. The machine is off for them.

use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::{MachineState, UpdateMachine};
use sea_orm::ActiveValue::Set;

use super::super::policy::{Intent, shown_when_ordered};
use super::super::store::{self, Model};
use super::in_the_way;
use crate::app::App;
use crate::catalogue::Type;
use crate::error::{Error, Result};
use crate::machine_events::{self, EventRow};
use crate::quotas::{self, Noun};
use crate::reconciler::Object;
use crate::store::{Text, Tx};
use crate::usage;

/// What a request has to do with a machine's upgrade.
pub(super) enum Upgrade {
    /// Nothing: type and size are so already.
    None,
    /// It asks for the one that is under way.
    UnderWay(EventRow),
    /// It has ordered one.
    Ordered(EventRow),
}

/// Orders that a machine have another type or a larger disk. Nothing is ordered where it has them, or is about
/// to: then the event is that of the upgrade, while it is under way.
pub(super) async fn upgrade(
    app: &App,
    tx: &mut Tx,
    machine: Model,
    wanted: &UpdateMachine,
) -> Result<(Upgrade, Model)> {
    let machine_type = wanted.machine_type.as_deref().map(|label| app.catalogue.wanted(label)).transpose()?;
    let machine_type = machine_type.filter(|wanted| wanted.label != machine.machine_type);
    let disk_gib = disk_gib(app, wanted, &machine)?.filter(|gib| *gib != machine.disk_gib);
    if machine_type.is_none() && disk_gib.is_none() {
        return Ok((Upgrade::None, machine));
    }
    if let Some(wanted) = machine_type {
        require_kin(app, &machine, wanted)?;
    }
    if let Some(event) = machine_events::service::open_of(&**tx, &machine.id.0).await? {
        let is_same = machine.next_machine_type.as_ref() == machine_type.map(|wanted| &wanted.label)
            && machine.next_disk_gib == disk_gib;
        return if is_same && event.name.0 == MachineEventName::VmUpgrade {
            Ok((Upgrade::UnderWay(event), machine))
        } else {
            Err(in_the_way(&machine, event))
        };
    }
    if machine.intent.0 == Intent::On || machine.shown_state.0 != MachineState::Off {
        let field = if machine_type.is_some() { "machineType" } else { "diskSize" };
        let (id, state) = (&machine.id.0, machine.shown_state.0.word());
        return Err(Error::Precondition(format!(
            "{field}: it changes while the machine is off, and {id} is {state}; stop it first"
        )));
    }
    if let Some(wanted) = machine_type {
        admit(app, tx, &machine, wanted).await?;
    }
    usage::service::admit(app, tx, &machine.team_id.0, &machine.user_id.0).await?;
    let name = MachineEventName::VmUpgrade;
    let mut changes = store::tried_anew(&machine);
    changes.next_machine_type = Set(machine_type.map(|wanted| wanted.label.clone()));
    changes.next_disk_gib = Set(disk_gib);
    changes.shown_state = Set(Text(shown_when_ordered(name, machine.shown_state.0)));
    let machine = store::revise(&**tx, &machine, changes, app.clock.now()).await?;
    let event = machine_events::service::open(app, tx, &machine.team_id.0, &machine.id.0, name).await?;
    tx.wake(Object::Machine(machine.id.0.clone()));
    Ok((Upgrade::Ordered(event), machine))
}

/// The size that a request names. A disk never shrinks.
fn disk_gib(app: &App, wanted: &UpdateMachine, machine: &Model) -> Result<Option<i64>> {
    let Some(size) = &wanted.disk_size else { return Ok(None) };
    let largest = app.config.limits.disk_gb;
    let size = size.whole().filter(|size| (1..=largest).contains(size));
    let expected = || Error::field("diskSize", format!("expected a whole number of GB from 1 to {largest}"));
    let size = size.and_then(|size| i64::try_from(size).ok()).ok_or_else(expected)?;
    if size < machine.disk_gib {
        let (id, now) = (&machine.id.0, machine.disk_gib);
        return Err(Error::Precondition(format!(
            "diskSize: a disk only grows: that of {id} has {now} GB, and {size} GB were asked for; make a new \
             machine for a smaller one"
        )));
    }
    Ok(Some(size))
}

/// Refuses a type of another family, or one that the machine's region does not offer.
fn require_kin(app: &App, machine: &Model, wanted: &Type) -> Result<()> {
    let region = &machine.region;
    if !wanted.is_in(region) {
        let label = &wanted.label;
        return Err(Error::field("machineType", format!("the region {region} does not offer {label}")));
    }
    let now = app.catalogue.find(&machine.machine_type);
    if now.is_none_or(|now| now.family == wanted.family) {
        return Ok(());
    }
    let family = now.map(|now| now.family.as_str()).unwrap_or_default();
    let kin = app.catalogue.types().iter().filter(|kin| kin.family == family && kin.is_in(region));
    let kin: Vec<_> = kin.map(|kin| kin.label.as_str()).collect();
    let (id, now, wanted) = (&machine.id.0, &machine.machine_type, &wanted.label);
    Err(Error::Precondition(format!(
        "machineType: {id} is a {now}, and its type changes within its family only, which {wanted} is not of; it \
         may be one of {}",
        kin.join(", ")
    )))
}

/// Refuses more GPUs where the team may have no more of them.
async fn admit(app: &App, tx: &Tx, machine: &Model, wanted: &Type) -> Result<()> {
    let Some(gpu) = &wanted.gpu else { return Ok(()) };
    let had = app.catalogue.find(&machine.machine_type).and_then(|now| now.gpu.as_ref());
    let had = had.filter(|had| had.model == gpu.model).map_or(0, |had| had.count);
    let more = gpu.count.saturating_sub(had);
    quotas::service::admit(app, tx, &machine.team_id.0, &Noun::Gpus(gpu.model.clone()), more.into()).await
}
