//! The addresses that were taken from machines, as long as hosts may still lead them there.

use deckle_api::ids::MachineId;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Query, SelectStatement};
use sea_orm::{IntoActiveModel, QuerySelect};

use super::super::pools::Range;
use crate::store::Text;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "public_ips_leaving")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub machine_id: Text<MachineId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub ip: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The addresses of a range that machines may still have, other than that one.
pub fn others(range: Range, machine: Option<&MachineId>) -> SelectStatement {
    let mut leaving = Query::select();
    leaving.column(Column::Ip).from(Entity).and_where(Column::Ip.between(range.first, range.last));
    if let Some(machine) = machine {
        leaving.and_where(Column::MachineId.ne(machine.as_str()));
    }
    leaving
}

/// Says that the address that a machine has is taken from it: its host may lead it there until a look shows
/// that it does not.
pub async fn leaves(store: &impl ConnectionTrait, machine: &MachineId) -> Result<(), DbErr> {
    let held = super::Entity::find().select_only().column(super::Column::Ip);
    let held = held.filter(super::Column::MachineId.eq(machine.as_str()));
    let held: Option<i64> = held.into_tuple().one(store).await?;
    let Some(ip) = held else { return Ok(()) };
    stays(store, machine, ip).await?;
    let row = Model { machine_id: Text(machine.clone()), ip };
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(store).await.map(drop)
}

/// Says that an address is a machine's again.
pub async fn stays(store: &impl ConnectionTrait, machine: &MachineId, ip: i64) -> Result<(), DbErr> {
    Entity::delete_by_id((Text(machine.clone()), ip)).exec(store).await.map(drop)
}

/// Which addresses may still lead to a machine.
pub async fn of(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<i64>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Ip);
    rows.filter(Column::MachineId.eq(machine.as_str())).into_tuple().all(store).await
}

/// Says that addresses lead to a machine no longer.
pub async fn has_left(store: &impl ConnectionTrait, machine: &MachineId, ips: &[i64]) -> Result<(), DbErr> {
    let rows = Entity::delete_many().filter(Column::MachineId.eq(machine.as_str()));
    rows.filter(Column::Ip.is_in(ips.iter().copied())).exec(store).await.map(drop)
}
