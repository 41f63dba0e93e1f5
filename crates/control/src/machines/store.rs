//! The rows of machines.

use std::net::Ipv4Addr;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, PrivateNetworkId, SnapshotId, StartupScriptId, TeamId, TemplateId, UserId};
use deckle_api::machines::{AutoSnapshotFrequency, MachineState, PublicIpType};
use deckle_engine::specs::{HostNetwork, Mac};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};

use super::metering;
use super::policy::Intent;
use crate::store::{Listing, Metered, Micros, Text, ip};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "machines")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<MachineId>,
    pub team_id: Text<TeamId>,
    pub user_id: Text<UserId>,
    pub name: String,
    pub name_folded: String,
    pub region: String,
    pub machine_type: String,
    pub template_id: Text<TemplateId>,
    pub agent_type: String,
    pub os: String,
    pub disk_gib: i64,
    pub storage_used: i64,
    pub network_id: Option<Text<PrivateNetworkId>>,
    pub private_ip: i64,
    pub mac: Text<Mac>,
    pub public_ip_type: Text<PublicIpType>,
    pub public_ip: Option<i64>,
    pub startup_script_id: Option<Text<StartupScriptId>>,
    pub intent: Text<Intent>,
    pub settled: bool,
    pub boots_wanted: i64,
    pub ready_boot: Option<i64>,
    pub disk_made: bool,
    pub named: bool,
    pub placed: bool,
    pub shown_state: Text<MachineState>,
    pub pressed_first: Option<Micros>,
    pub pressed_last: Option<Micros>,
    pub failing_since: Option<Micros>,
    pub failures: i64,
    pub trouble: Option<String>,
    pub orders: i64,
    pub protected: bool,
    pub moving_to: Option<Text<PrivateNetworkId>>,
    pub moving_ip: Option<i64>,
    pub restores_wanted: i64,
    pub restores_begun: i64,
    pub restore_to: Option<Text<SnapshotId>>,
    pub next_machine_type: Option<String>,
    pub next_disk_gib: Option<i64>,
    pub auto_shutdown_enabled: bool,
    pub auto_shutdown_hours: Option<i64>,
    pub auto_shutdown_force: Option<bool>,
    pub stop_forced: bool,
    pub powered: bool,
    pub auto_snapshot_enabled: bool,
    pub auto_snapshot_frequency: Option<Text<AutoSnapshotFrequency>>,
    pub auto_snapshot_save_count: Option<i64>,
    pub auto_snapshot_since: Option<Micros>,
    pub auto_snapshot_due: Option<Micros>,
    pub restore_point_enabled: bool,
    pub restore_point_snapshot_id: Option<Text<SnapshotId>>,
    pub desktop_password: Option<Vec<u8>>,
    pub desktop_address: Option<String>,
    pub desktop_boot: Option<i64>,
    pub dt_created: Micros,
    pub dt_modified: Micros,
    pub dt_deleted: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The machine's address in its network.
    pub fn private_ip(&self) -> Ipv4Addr {
        ip(self.private_ip)
    }

    /// The public address that it holds.
    pub fn public_ip(&self) -> Option<Ipv4Addr> {
        self.public_ip.map(ip)
    }

    /// The number of the boot that is wanted.
    pub fn boots(&self) -> u64 {
        self.boots_wanted.unsigned_abs()
    }

    /// The number of the boot that its desktop's password is for.
    pub fn desktop_boot(&self) -> Option<u64> {
        self.desktop_boot.map(i64::unsigned_abs)
    }

    /// How often its disk is to have gone back to a snapshot.
    pub fn restores(&self) -> u64 {
        self.restores_wanted.unsigned_abs()
    }

    /// Whether the last restore that was ordered was begun: it is finished, whatever is ordered meanwhile.
    pub fn restore_is_begun(&self) -> bool {
        self.restores_wanted > 0 && self.restores_begun == self.restores_wanted
    }

    /// Its network on its host.
    pub fn host_network(&self) -> HostNetwork {
        match &self.network_id {
            Some(network) => HostNetwork::Private(network.0.clone()),
            None => HostNetwork::Own(self.id.0.clone()),
        }
    }
}

/// A team's machines, to be filtered, ordered and cut.
pub fn listing(team: &TeamId, filters: [(Column, Option<&str>); 3], sort: Column) -> Listing<Entity> {
    let mut rows =
        Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    for (column, wanted) in filters {
        if let Some(wanted) = wanted {
            rows = rows.filter(column.eq(wanted));
        }
    }
    Listing::of(rows, sort, Column::Id)
}

/// A machine that is not deleted, whoever's it is.
pub async fn find(store: &impl ConnectionTrait, id: &MachineId) -> Result<Option<Model>, DbErr> {
    let row = Entity::find_by_id(Text(id.clone())).one(store).await?;
    Ok(row.filter(|row| row.dt_deleted.is_none()))
}

/// All machines that are not deleted.
pub async fn to_visit(store: &impl ConnectionTrait) -> Result<Vec<MachineId>, DbErr> {
    let ids = Entity::find().select_only().column(Column::Id).filter(Column::DtDeleted.is_null());
    let ids: Vec<Text<MachineId>> = ids.order_by(Column::Id, Order::Asc).into_tuple().all(store).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// How many machines are not settled.
pub async fn count_unsettled(store: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let unsettled = Expr::cust("NOT settled");
    Entity::find().filter(Column::DtDeleted.is_null()).filter(unsettled).count(store).await
}

/// A network's machines, the lowest address first, and after them those that are on their way into it.
pub async fn in_network(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
) -> Result<Vec<Model>, DbErr> {
    let mut found = Vec::new();
    for (column, address) in PLACES {
        let rows = Entity::find().filter(column.eq(network.as_str())).filter(Column::DtDeleted.is_null());
        found.extend(rows.order_by(address, Order::Asc).all(store).await?);
    }
    Ok(found)
}

/// A team's machines of a region that are in no network, being deleted or not.
pub async fn without_network(
    store: &impl ConnectionTrait,
    team: &TeamId,
    region: &str,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::Region.eq(region));
    let rows = rows.filter(Column::NetworkId.is_null()).filter(Column::DtDeleted.is_null());
    rows.order_by(Column::Id, Order::Asc).all(store).await
}

/// The first of the machines in a network that have a name, the one that was made first before the others.
pub async fn oldest_of_name(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
    name_folded: &str,
    machines: u64,
) -> Result<Vec<MachineId>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Id);
    let rows = rows.filter(Column::NetworkId.eq(network.as_str())).filter(Column::NameFolded.eq(name_folded));
    let rows = rows.filter(Column::DtDeleted.is_null()).order_by(Column::DtCreated, Order::Asc);
    let rows = rows.order_by(Column::Id, Order::Asc).limit(machines);
    let ids: Vec<Text<MachineId>> = rows.into_tuple().all(store).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Says that a machine's names in its network have changed: what a visit has told its network before is
/// not what is wanted.
pub async fn rename(store: &impl ConnectionTrait, id: &MachineId) -> Result<(), DbErr> {
    revisit(store, id, ActiveModel { named: Set(false), ..Default::default() }).await.map(drop)
}

/// Where a machine is, and where it is to be: a network, and its address there.
const PLACES: [(Column, Column); 2] =
    [(Column::NetworkId, Column::PrivateIp), (Column::MovingTo, Column::MovingIp)];

/// The addresses that a network's machines have, and those that are kept for machines on their way into
/// it, the lowest first.
pub async fn addresses(store: &impl ConnectionTrait, network: &PrivateNetworkId) -> Result<Vec<i64>, DbErr> {
    let mut taken: Vec<i64> = Vec::new();
    for (column, address) in PLACES {
        let rows = Entity::find().select_only().column(address).filter(column.eq(network.as_str()));
        let rows = rows.filter(Column::DtDeleted.is_null()).order_by(address, Order::Asc);
        taken.extend(rows.into_tuple::<i64>().all(store).await?);
    }
    taken.sort_unstable();
    Ok(taken)
}

/// How many machines a team has.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows.filter(Column::DtDeleted.is_null()).count(store).await
}

/// The types that a team's machines have and are about to have, of those whose type is being changed.
pub async fn upgrading(store: &impl ConnectionTrait, team: &TeamId) -> Result<Vec<(String, String)>, DbErr> {
    let rows = Entity::find().select_only().columns([Column::MachineType, Column::NextMachineType]);
    let rows = rows.filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    rows.filter(Column::NextMachineType.is_not_null()).into_tuple().all(store).await
}

/// How many machines of each of some types a team has.
pub async fn count_by_type(
    store: &impl ConnectionTrait,
    team: &TeamId,
    types: &[&str],
) -> Result<Vec<(String, i64)>, DbErr> {
    let rows =
        Entity::find().select_only().column(Column::MachineType).column_as(Column::Id.count(), "machines");
    let rows = rows.filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    let rows = rows.filter(Column::MachineType.is_in(types.iter().copied()));
    rows.group_by(Column::MachineType).into_tuple().all(store).await
}

/// A network's machines, each with its address, the lowest first.
pub async fn places_in_network(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
) -> Result<Vec<(MachineId, i64)>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Id).column(Column::PrivateIp);
    let rows = rows.filter(Column::NetworkId.eq(network.as_str())).filter(Column::DtDeleted.is_null());
    let rows: Vec<(Text<MachineId>, i64)> =
        rows.order_by(Column::PrivateIp, Order::Asc).into_tuple().all(store).await?;
    Ok(rows.into_iter().map(|(id, ip)| (id.0, ip)).collect())
}

/// Says that a machine is not as it is wanted.
pub async fn unsettle(store: &impl ConnectionTrait, id: &MachineId) -> Result<(), DbErr> {
    revisit(store, id, Default::default()).await.map(drop)
}

/// Writes changes of what is wanted of a machine, and that what a visit has found before does not count any
/// more. Its troubles go on.
async fn revisit(
    store: &impl ConnectionTrait,
    id: &MachineId,
    changes: ActiveModel,
) -> Result<Option<Model>, DbErr> {
    let revised = Entity::update_many().set(changes).col_expr(Column::Settled, false.into());
    let revised = revised.col_expr(Column::Orders, Expr::cust("orders + 1"));
    let same = revised.filter(Column::Id.eq(id.as_str())).filter(Column::DtDeleted.is_null());
    Ok(same.exec_with_returning(store).await?.pop())
}

/// Some scripts, each with a machine that it is assigned to.
pub async fn with_scripts(
    store: &impl ConnectionTrait,
    scripts: &[StartupScriptId],
) -> Result<Vec<(StartupScriptId, MachineId)>, DbErr> {
    let scripts = scripts.iter().map(StartupScriptId::as_str);
    let rows = Entity::find().select_only().column(Column::StartupScriptId).column(Column::Id);
    let rows = rows.filter(Column::StartupScriptId.is_in(scripts)).filter(Column::DtDeleted.is_null());
    let rows: Vec<(Text<StartupScriptId>, Text<MachineId>)> = rows
        .order_by(Column::StartupScriptId, Order::Asc)
        .order_by(Column::Id, Order::Asc)
        .into_tuple()
        .all(store)
        .await?;
    Ok(rows.into_iter().map(|(script, machine)| (script.0, machine.0)).collect())
}

/// Gives a machine a startup script, or none.
pub async fn set_script(
    store: &impl ConnectionTrait,
    id: &MachineId,
    script: Option<&StartupScriptId>,
) -> Result<(), DbErr> {
    let script = Expr::value(script.map(|script| script.as_str().to_owned()));
    let set = Entity::update_many().col_expr(Column::StartupScriptId, script);
    set.filter(Column::Id.eq(id.as_str())).exec(store).await.map(drop)
}

/// Takes a startup script from every machine that has it.
pub async fn detach_script(store: &impl ConnectionTrait, script: &StartupScriptId) -> Result<(), DbErr> {
    let none = Expr::value(Option::<String>::None);
    let free = Entity::update_many().col_expr(Column::StartupScriptId, none);
    let free = free.filter(Column::StartupScriptId.eq(script.as_str()));
    free.filter(Column::DtDeleted.is_null()).exec(store).await.map(drop)
}

/// How many machines of each type have a place on the host.
pub async fn placed(store: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    let rows =
        Entity::find().select_only().column(Column::MachineType).column_as(Column::Id.count(), "machines");
    rows.filter(Expr::cust("placed")).group_by(Column::MachineType).into_tuple().all(store).await
}

/// Whether a machine that is on or off, or on its way there, has no disk yet that is to begin as a template.
pub async fn awaits_template(store: &impl ConnectionTrait, template: &TemplateId) -> Result<bool, DbErr> {
    let rows = Entity::find().filter(Column::TemplateId.eq(template.as_str()));
    let rows = rows.filter(Expr::cust("NOT disk_made AND dt_deleted IS NULL"));
    let rows = rows.filter(Column::Intent.is_in([Text(Intent::On), Text(Intent::Off)]));
    Ok(rows.count(store).await? > 0)
}

/// Adds a machine.
pub async fn insert(store: &impl Metered, row: Model) -> Result<Model, DbErr> {
    let row = Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await?;
    metering::follow(store, &row).await?;
    Ok(row)
}

/// Changes what is wanted of a machine. Its troubles are over: it is tried anew. A move or a change of type or
/// size that was under way is given up; a restore goes on as `row` says. Where a machine with a restore point
/// is to lose its power, its disk is to go back there.
pub async fn aim(
    store: &impl Metered,
    row: &Model,
    intent: Intent,
    boots_wanted: i64,
    shown_state: MachineState,
    now: Timestamp,
) -> Result<Model, DbErr> {
    let mut aimed = tried_anew(row);
    aimed.intent = Set(Text(intent));
    aimed.boots_wanted = Set(boots_wanted);
    aimed.shown_state = Set(Text(shown_state));
    aimed.moving_to = Set(None);
    aimed.moving_ip = Set(None);
    aimed.next_machine_type = Set(None);
    aimed.next_disk_gib = Set(None);
    aimed.restores_wanted = Set(row.restores_wanted);
    aimed.restore_to = Set(row.restore_to.clone());
    if row.intent.0 == Intent::On && (intent == Intent::Off || boots_wanted > row.boots_wanted) {
        revert(&mut aimed, row);
    }
    revise(store, row, aimed, now).await
}

/// Has a machine that is to lose its power go back to its restore point, if it has one. One that never had power
/// since it was off has nothing to go back from: its disk stays.
pub fn revert(changes: &mut ActiveModel, row: &Model) {
    if row.powered
        && let Some(point) = row.restore_point_snapshot_id.as_ref().filter(|_| row.restore_point_enabled)
    {
        changes.restores_wanted = Set(row.restores_wanted.max(row.restores_begun + 1));
        changes.restore_to = Set(Some(point.clone()));
    }
}

/// Writes changes of what is wanted of a machine. What it stumbles over goes on: only an order that has an
/// event of its own begins with [`tried_anew`]. `row` is of the same transaction.
pub async fn revise(
    store: &impl Metered,
    row: &Model,
    changes: ActiveModel,
    now: Timestamp,
) -> Result<Model, DbErr> {
    let is_metered = metering::is_about(&changes);
    let changes = ActiveModel { dt_modified: Set(now.into()), ..changes };
    let revised = revisit(store, &row.id.0, changes).await?.ok_or(DbErr::RecordNotUpdated)?;
    if is_metered {
        metering::follow(store, &revised).await?;
    }
    Ok(revised)
}

/// Protects a machine against deletion, or no longer.
pub async fn protect(store: &impl ConnectionTrait, row: &Model, protected: bool) -> Result<(), DbErr> {
    let mut changed = changes(row);
    changed.protected = Set(protected);
    Entity::update(changed).exec_without_returning(store).await.map(drop)
}

/// Writes changes of a row that a visit has made, if there was no order since `row` was read. Whether there
/// was none.
pub async fn change(store: &impl Metered, row: &Model, changes: ActiveModel) -> Result<bool, DbErr> {
    let is_metered = metering::is_about(&changes);
    let same = Entity::update_many().set(changes).filter(Column::Id.eq(row.id.clone()));
    let same = same.filter(Column::Orders.eq(row.orders)).filter(Column::DtDeleted.is_null());
    if !is_metered {
        return Ok(same.exec(store).await?.rows_affected > 0);
    }
    let changed = same.exec_with_returning(store).await?.pop();
    if let Some(row) = &changed {
        metering::follow(store, row).await?;
    }
    Ok(changed.is_some())
}

/// A change of nothing yet, of that row.
pub fn changes(row: &Model) -> ActiveModel {
    ActiveModel { id: Unchanged(row.id.clone()), ..Default::default() }
}

/// A change of that row that ends its troubles.
pub fn tried_anew(row: &Model) -> ActiveModel {
    ActiveModel { failing_since: Set(None), failures: Set(0), trouble: Set(None), ..changes(row) }
}

/// Whether what is wanted is still what `row` says: there was no order since.
pub async fn still_wanted(store: &impl ConnectionTrait, row: &Model) -> Result<bool, DbErr> {
    let now = Entity::find().select_only().column(Column::Orders);
    let now = now.filter(Column::Id.eq(row.id.clone())).filter(Column::DtDeleted.is_null());
    let now: Option<i64> = now.into_tuple().one(store).await?;
    Ok(now == Some(row.orders))
}
