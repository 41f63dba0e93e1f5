//! The rules of a machine's creation.

use deckle_api::ids::{MachineId, TeamId, TemplateId};
use deckle_api::machine_events::MachineEventName;
use deckle_api::machines::{CreateMachine, MachineOrdered, MachineState, PublicIpType};
use deckle_api::sizes::GB;
use deckle_engine::specs::Mac;

use super::super::policy::Intent;
use super::super::store::{self, Model};
use super::super::{accessors, views};
use super::addresses::address;
use super::policies;
use crate::app::App;
use crate::catalogue::Type;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::os_templates::TemplateRow;
use crate::quotas::{self, Noun};
use crate::reconciler::Object;
use crate::store::{Text, Tx, number};
use crate::{
    custom_templates, machine_events, names, os_templates, private_networks, public_ips, regions, snapshots,
    startup_scripts, usage,
};

/// The name of the snapshot that is taken of a new disk, before its first boot.
const INITIAL_SNAPSHOT: &str = "Initial snapshot";

/// Makes a machine.
pub async fn create(app: &App, caller: &Caller, wanted: CreateMachine) -> Result<MachineOrdered> {
    caller.must_be_admin("create machines")?;
    let name = names::checked("name", &wanted.name)?;
    let region = regions::checked(app, &wanted.region)?;
    let now = app.clock.now();
    let (auto_shutdown, auto_snapshots) = policies::of_new(&wanted, now)?;
    let machine_type = app.catalogue.wanted(&wanted.machine_type)?;
    if !machine_type.is_in(&region) {
        return Err(Error::field(
            "machineType",
            format!("the region {region} does not offer {}", machine_type.label),
        ));
    }
    if wanted.enable_nvlink == Some(true) && !machine_type.nvlink {
        return Err(Error::field(
            "enableNvlink",
            format!("{} has no NVLink; leave it out", machine_type.label),
        ));
    }
    let mut tx = app.store.begin().await?;
    let template = template(app, &tx, &caller.team, &wanted.template_id, &region, machine_type).await?;
    let disk_gib = disk_gib(app, &wanted, &template)?;
    let network = match &wanted.network_id {
        Some(id) => {
            let found = private_networks::service::find(&*tx, &caller.team, id).await;
            Some(found.map_err(|error| error.of_field("networkId"))?)
        }
        None => None,
    };
    if let Some(network) = network.as_ref().filter(|network| network.region != region) {
        let wrong = format!("{} is in the region {}, the machine in {region}", network.id.0, network.region);
        return Err(Error::field("networkId", wrong));
    }
    if let Some(script) = &wanted.startup_script_id {
        let found = startup_scripts::service::find(&*tx, &caller.team, script).await;
        found.map_err(|error| error.of_field("startupScriptId"))?;
    }
    usage::service::admit(app, &tx, &caller.team, &caller.user).await?;
    admit(app, &tx, &caller.team, machine_type).await?;
    let private_ip = address(&tx, network.as_ref()).await?;
    let id = MachineId::mint(app.clock.random());
    let public_ip = match wanted.public_ip_type {
        Some(PublicIpType::Static) => {
            let owner = (&caller.team, &caller.user);
            let claimed = public_ips::service::claim_for(app, &tx, owner, &region, &id).await;
            Some(number(claimed.map_err(|error| error.of_field("publicIpType"))?))
        }
        _ => None,
    };
    let start = wanted.start_on_create.unwrap_or(true);
    let row = Model {
        id: Text(id),
        team_id: Text(caller.team.clone()),
        user_id: Text(caller.user.clone()),
        name_folded: names::folded(&name),
        name,
        region,
        machine_type: machine_type.label.clone(),
        template_id: template.id,
        agent_type: template.agent_type,
        os: template.operating_system_label,
        disk_gib,
        storage_used: 0,
        network_id: network.map(|network| network.id),
        private_ip,
        mac: Text(mac(app.clock.random())),
        public_ip_type: Text(wanted.public_ip_type.unwrap_or_default()),
        public_ip,
        startup_script_id: wanted.startup_script_id.map(Text),
        intent: Text(if start { Intent::On } else { Intent::Off }),
        settled: false,
        boots_wanted: start.into(),
        ready_boot: None,
        disk_made: false,
        named: true,
        placed: false,
        shown_state: Text(MachineState::Provisioning),
        pressed_first: None,
        pressed_last: None,
        failing_since: None,
        failures: 0,
        trouble: None,
        orders: 0,
        protected: false,
        moving_to: None,
        moving_ip: None,
        restores_wanted: 0,
        restores_begun: 0,
        restore_to: None,
        next_machine_type: None,
        next_disk_gib: None,
        auto_shutdown_enabled: auto_shutdown.enabled,
        auto_shutdown_hours: auto_shutdown.hours,
        auto_shutdown_force: auto_shutdown.force,
        stop_forced: false,
        powered: false,
        auto_snapshot_enabled: auto_snapshots.enabled,
        auto_snapshot_frequency: auto_snapshots.frequency.map(Text),
        auto_snapshot_save_count: auto_snapshots.save_count,
        auto_snapshot_since: auto_snapshots.since.map(Into::into),
        auto_snapshot_due: auto_snapshots.due.map(Into::into),
        restore_point_enabled: false,
        restore_point_snapshot_id: None,
        desktop_password: None,
        desktop_address: None,
        desktop_boot: None,
        dt_created: now.into(),
        dt_modified: now.into(),
        dt_deleted: None,
    };
    let mut machine = store::insert(&*tx, row).await?;
    accessors::service::add_all(&tx, &machine, &wanted.accessor_ids.unwrap_or_default(), now).await?;
    let goes_back = wanted.restore_point_enabled == Some(true);
    if goes_back || wanted.take_initial_snapshot == Some(true) {
        let kind = snapshots::Kind::Initial;
        let initial = snapshots::service::order(app, &tx, &machine, INITIAL_SNAPSHOT, kind).await?;
        if goes_back {
            machine = policies::begin_restore_point(&tx, machine, initial.id, now).await?;
        }
    }
    let event =
        machine_events::service::open(app, &tx, &caller.team, &machine.id.0, MachineEventName::Create)
            .await?;
    tx.wake(Object::Machine(machine.id.0.clone()));
    let ordered = views::ordered(app, (event, machine));
    commit_once(app, tx, caller, &ordered).await?;
    Ok(ordered)
}

/// What its disk is to begin as: a template of the team's own, or one of an operating system.
async fn template(
    app: &App,
    tx: &Tx,
    team: &TeamId,
    id: &TemplateId,
    region: &str,
    machine_type: &Type,
) -> Result<TemplateRow> {
    match custom_templates::service::for_machine(app, tx, team, id, region, machine_type).await? {
        Some(template) => Ok(template),
        None => os_templates::service::find(&**tx, id).await,
    }
}

/// Refuses one more machine of a type where the team may have no more of it.
async fn admit(app: &App, tx: &Tx, team: &TeamId, machine_type: &Type) -> Result<()> {
    quotas::service::admit(app, tx, team, &Noun::Machines, 1).await?;
    if let Some(gpu) = &machine_type.gpu {
        quotas::service::admit(app, tx, team, &Noun::Gpus(gpu.model.clone()), gpu.count.into()).await?;
    }
    Ok(())
}

fn disk_gib(app: &App, wanted: &CreateMachine, template: &TemplateRow) -> Result<i64> {
    let smallest = template.size_bytes.unsigned_abs().div_ceil(GB).max(1);
    let largest = app.config.limits.disk_gb;
    let size = wanted.disk_size.whole().filter(|size| (smallest..=largest).contains(size));
    let expected =
        format!("expected a whole number of GB from {smallest}, the template's size, to {largest}");
    let size = size.ok_or_else(|| Error::field("diskSize", expected))?;
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

/// A hardware address: locally administered, for one station, and 40 random bits.
fn mac(random: u64) -> Mac {
    let [a, b, c, d, e, ..] = random.to_be_bytes();
    Mac([0x02, a, b, c, d, e])
}
