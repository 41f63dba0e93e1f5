//! The rows of machines.

use std::net::Ipv4Addr;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, PrivateNetworkId, StartupScriptId, TeamId, TemplateId, UserId};
use deckle_api::machines::{MachineState, PublicIpType};
use deckle_engine::specs::{HostNetwork, Mac};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};

use super::policy::Intent;
use crate::store::{Listing, Micros, Text};

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
    pub script_served: bool,
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

    /// Its network on its host.
    pub fn host_network(&self) -> HostNetwork {
        match &self.network_id {
            Some(network) => HostNetwork::Private(network.0.clone()),
            None => HostNetwork::Own(self.id.0.clone()),
        }
    }
}

/// An address as it lies in a column: as a number, so that addresses are ordered.
pub fn ip(number: i64) -> Ipv4Addr {
    Ipv4Addr::from(u32::try_from(number).unwrap_or_default())
}

/// The number of an address.
pub fn number(ip: Ipv4Addr) -> i64 {
    u32::from(ip).into()
}

mod public_ips {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "public_ips")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub ip: i64,
        pub machine_id: Option<Text<MachineId>>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
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

/// A network's machines, the lowest address first.
pub async fn in_network(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
) -> Result<Vec<Model>, DbErr> {
    let rows =
        Entity::find().filter(Column::NetworkId.eq(network.as_str())).filter(Column::DtDeleted.is_null());
    rows.order_by(Column::PrivateIp, Order::Asc).all(store).await
}

/// A network's machines, and those that are to move into it.
pub async fn attached_to(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
) -> Result<Vec<Model>, DbErr> {
    let arriving =
        Entity::find().filter(Column::MovingTo.eq(network.as_str())).filter(Column::MovingTo.is_not_null());
    let mut rows = in_network(store, network).await?;
    let arriving = arriving.filter(Column::DtDeleted.is_null()).all(store).await?;
    rows.extend(arriving.into_iter().filter(|row| row.network_id != row.moving_to));
    Ok(rows)
}

/// The machine that had a name first, of those in a network that have it.
pub async fn oldest_of_name(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
    name_folded: &str,
) -> Result<Option<MachineId>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Id);
    let rows = rows.filter(Column::NetworkId.eq(network.as_str())).filter(Column::NameFolded.eq(name_folded));
    let rows = rows.filter(Column::DtDeleted.is_null()).order_by(Column::DtCreated, Order::Asc);
    let id: Option<Text<MachineId>> = rows.order_by(Column::Id, Order::Asc).into_tuple().one(store).await?;
    Ok(id.map(|id| id.0))
}

/// Says that a machine's names in its network have changed.
pub async fn rename(store: &impl ConnectionTrait, id: &MachineId) -> Result<(), DbErr> {
    let renamed = Entity::update_many().col_expr(Column::Named, false.into());
    renamed.filter(Column::Id.eq(id.as_str())).exec(store).await.map(drop)
}

/// The addresses that a network's machines have, the lowest first.
pub async fn addresses(store: &impl ConnectionTrait, network: &PrivateNetworkId) -> Result<Vec<i64>, DbErr> {
    let rows = Entity::find().select_only().column(Column::PrivateIp);
    let rows = rows.filter(Column::NetworkId.eq(network.as_str())).filter(Column::DtDeleted.is_null());
    rows.order_by(Column::PrivateIp, Order::Asc).into_tuple().all(store).await
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
    let unsettled = Entity::update_many().col_expr(Column::Settled, false.into());
    let unsettled = unsettled.col_expr(Column::Orders, Expr::cust("orders + 1"));
    let same = unsettled.filter(Column::Id.eq(id.as_str())).filter(Column::DtDeleted.is_null());
    same.exec(store).await.map(drop)
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

/// How many machines of each type have a place on the host.
pub async fn placed(store: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    let rows =
        Entity::find().select_only().column(Column::MachineType).column_as(Column::Id.count(), "machines");
    rows.filter(Expr::cust("placed")).group_by(Column::MachineType).into_tuple().all(store).await
}

/// Adds a machine.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// Changes what is wanted of a machine. Its troubles are over: it is tried anew.
pub async fn aim(
    store: &impl ConnectionTrait,
    row: &Model,
    intent: Intent,
    boots_wanted: i64,
    shown_state: MachineState,
    now: Timestamp,
) -> Result<Model, DbErr> {
    let aimed = ActiveModel {
        id: Unchanged(row.id.clone()),
        intent: Set(Text(intent)),
        settled: Set(false),
        boots_wanted: Set(boots_wanted),
        shown_state: Set(Text(shown_state)),
        failing_since: Set(None),
        failures: Set(0),
        trouble: Set(None),
        dt_modified: Set(now.into()),
        ..Default::default()
    };
    Entity::update(aimed).exec(store).await
}

/// Writes changes of a row that a visit has made, if what is wanted is still what `row` says. Whether it was.
pub async fn change(store: &impl ConnectionTrait, row: &Model, changes: ActiveModel) -> Result<bool, DbErr> {
    let same = Entity::update_many().set(changes).filter(Column::Id.eq(row.id.clone()));
    let same = same.filter(Column::Intent.eq(row.intent)).filter(Column::BootsWanted.eq(row.boots_wanted));
    let changed = same.filter(Column::DtDeleted.is_null()).exec(store).await?;
    Ok(changed.rows_affected > 0)
}

/// A change of nothing yet, of that row.
pub fn changes(row: &Model) -> ActiveModel {
    ActiveModel { id: Unchanged(row.id.clone()), ..Default::default() }
}

/// Whether what is wanted is still what `row` says.
pub async fn still_wanted(store: &impl ConnectionTrait, row: &Model) -> Result<bool, DbErr> {
    let now = Entity::find().select_only().column(Column::Intent).column(Column::BootsWanted);
    let now = now.filter(Column::Id.eq(row.id.clone())).filter(Column::DtDeleted.is_null());
    let now: Option<(Text<Intent>, i64)> = now.into_tuple().one(store).await?;
    Ok(now == Some((row.intent, row.boots_wanted)))
}

/// Takes the lowest free address of a pool for a machine, if one is left.
pub async fn hold_public_ip(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    pool: impl Iterator<Item = Ipv4Addr>,
) -> Result<Option<i64>, DbErr> {
    let free = public_ips::Entity::find().filter(public_ips::Column::MachineId.is_null());
    let free = free.order_by(public_ips::Column::Ip, Order::Asc).limit(1).one(store).await?;
    let ip = match free {
        Some(free) => Some(free.ip),
        None => {
            let last = public_ips::Entity::find()
                .order_by(public_ips::Column::Ip, Order::Desc)
                .limit(1)
                .one(store)
                .await?;
            pool.map(number).filter(|ip| last.as_ref().is_none_or(|last| *ip > last.ip)).min()
        }
    };
    let Some(ip) = ip else { return Ok(None) };
    let held = public_ips::ActiveModel { ip: Set(ip), machine_id: Set(Some(Text(machine.clone()))) };
    let upsert =
        OnConflict::column(public_ips::Column::Ip).update_column(public_ips::Column::MachineId).to_owned();
    public_ips::Entity::insert(held).on_conflict(upsert).exec_without_returning(store).await?;
    Ok(Some(ip))
}

/// Gives a machine's address back to its pool.
pub async fn drop_public_ip(store: &impl ConnectionTrait, machine: &MachineId) -> Result<(), DbErr> {
    let none = Expr::value(Option::<String>::None);
    let free = public_ips::Entity::update_many().col_expr(public_ips::Column::MachineId, none);
    free.filter(public_ips::Column::MachineId.eq(machine.as_str())).exec(store).await.map(drop)
}
