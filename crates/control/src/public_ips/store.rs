//! The rows of public addresses: of each that was ever given out.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TeamId};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};

use super::pools::Range;
use crate::store::{Listing, Micros, Text};

mod leaving;

pub use leaving::{has_left, leaves, of as leaving};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "public_ips")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ip: i64,
    pub machine_id: Option<Text<MachineId>>,
    pub team_id: Option<Text<TeamId>>,
    pub region: Option<String>,
    pub dt_created: Option<Micros>,
    pub protected: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A team's claimed addresses, to be ordered and cut.
pub fn listing(team: &TeamId, region: Option<&str>) -> Listing<Entity> {
    let mut rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    if let Some(region) = region {
        rows = rows.filter(Column::Region.eq(region));
    }
    Listing::of(rows, Column::DtCreated, Column::Ip)
}

/// An address, whoever's it is.
pub async fn find(store: &impl ConnectionTrait, ip: i64) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(ip).one(store).await
}

/// How many addresses a team has claimed.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::TeamId.eq(team.as_str())).count(store).await
}

/// The lowest address of a range that was given back, and that no machine but that one may still have.
pub async fn lowest_free(
    store: &impl ConnectionTrait,
    range: Range,
    machine: Option<&MachineId>,
) -> Result<Option<i64>, DbErr> {
    let free = Entity::find().select_only().column(Column::Ip);
    let free = free.filter(Column::TeamId.is_null()).filter(Column::MachineId.is_null());
    let free = free.filter(Column::Ip.not_in_subquery(leaving::others(range, machine)));
    let free = free.filter(Column::Ip.between(range.first, range.last));
    free.order_by(Column::Ip, Order::Asc).limit(1).into_tuple().one(store).await
}

/// The highest address of a range that was ever given out.
pub async fn highest(store: &impl ConnectionTrait, range: Range) -> Result<Option<i64>, DbErr> {
    let known = Entity::find().select_only().column(Column::Ip);
    let known = known.filter(Column::Ip.between(range.first, range.last));
    known.order_by(Column::Ip, Order::Desc).limit(1).into_tuple().one(store).await
}

/// How many addresses of a range were ever given out.
pub async fn count_known(store: &impl ConnectionTrait, range: Range) -> Result<u64, DbErr> {
    Entity::find().filter(Column::Ip.between(range.first, range.last)).count(store).await
}

/// Every address of a range that was ever given out, the lowest first.
pub async fn known(store: &impl ConnectionTrait, range: Range) -> Result<Vec<i64>, DbErr> {
    let known = Entity::find().select_only().column(Column::Ip);
    let known = known.filter(Column::Ip.between(range.first, range.last));
    known.order_by(Column::Ip, Order::Asc).into_tuple().all(store).await
}

/// Writes down whose an address is, from now on.
pub async fn put(store: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    let all = [Column::MachineId, Column::TeamId, Column::Region, Column::DtCreated, Column::Protected];
    let upsert = OnConflict::column(Column::Ip).update_columns(all).to_owned();
    if let Some(machine) = &row.machine_id {
        leaving::stays(store, &machine.0, row.ip).await?;
    }
    let row = row.into_active_model().reset_all();
    Entity::insert(row).on_conflict(upsert).exec_without_returning(store).await.map(drop)
}

/// Takes its address from a machine, claimed or not.
pub async fn let_go(store: &impl ConnectionTrait, machine: &MachineId) -> Result<(), DbErr> {
    let none = ActiveModel { machine_id: Set(None), ..Default::default() };
    let held = Entity::update_many().set(none).filter(Column::MachineId.eq(machine.as_str()));
    held.exec(store).await.map(drop)
}

/// A free address, as it is once it is given out: claimed by a team of a region, or held and no more.
pub fn given(ip: i64, machine: Option<&MachineId>, claimed: Option<(&TeamId, &str, Timestamp)>) -> Model {
    Model {
        ip,
        machine_id: machine.cloned().map(Text),
        team_id: claimed.map(|(team, _, _)| Text(team.clone())),
        region: claimed.map(|(_, region, _)| region.to_owned()),
        dt_created: claimed.map(|(_, _, now)| now.into()),
        protected: false,
    }
}
