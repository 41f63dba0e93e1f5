//! The rows of GPUs.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TeamId};
use deckle_engine::pci::PciAddress;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};

use crate::store::{Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "gpus")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub address: Text<PciAddress>,
    pub model: String,
    pub memory_bytes: Option<i64>,
    pub numa_node: Option<i64>,
    pub machine_id: Option<Text<MachineId>>,
    pub team_id: Option<Text<TeamId>>,
    pub quarantined: Option<String>,
    pub dt_quarantined: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Every device, by address.
pub async fn all(store: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by(Column::Address, Order::Asc).all(store).await
}

/// A device.
pub async fn find(store: &impl ConnectionTrait, address: &PciAddress) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(address.clone())).one(store).await
}

/// The devices of a machine, by address.
pub async fn of_machine(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<PciAddress>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Address);
    let rows = rows.filter(Column::MachineId.eq(machine.as_str())).order_by(Column::Address, Order::Asc);
    let addresses: Vec<Text<PciAddress>> = rows.into_tuple().all(store).await?;
    Ok(addresses.into_iter().map(|address| address.0).collect())
}

/// Adds a device.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(store).await.map(drop)
}

/// Writes down what a device is seen to be.
pub async fn describe(store: &impl ConnectionTrait, row: &Model) -> Result<(), DbErr> {
    let seen = ActiveModel {
        address: Unchanged(row.address.clone()),
        model: Set(row.model.clone()),
        memory_bytes: Set(row.memory_bytes),
        numa_node: Set(row.numa_node),
        ..Default::default()
    };
    Entity::update(seen).exec(store).await.map(drop)
}

/// Gives a device to nobody from now on, or again to anybody.
pub async fn quarantine(
    store: &impl ConnectionTrait,
    address: &PciAddress,
    why: Option<(String, Timestamp)>,
) -> Result<(), DbErr> {
    let (quarantined, dt_quarantined) = why.map(|(why, now)| (why, now.into())).unzip();
    let changed = ActiveModel {
        address: Unchanged(Text(address.clone())),
        quarantined: Set(quarantined),
        dt_quarantined: Set(dt_quarantined),
        ..Default::default()
    };
    Entity::update(changed).exec(store).await.map(drop)
}

/// Gives a device to a machine.
pub async fn give(
    store: &impl ConnectionTrait,
    address: &PciAddress,
    machine: &MachineId,
    team: &TeamId,
) -> Result<(), DbErr> {
    let given = ActiveModel {
        address: Unchanged(Text(address.clone())),
        machine_id: Set(Some(Text(machine.clone()))),
        team_id: Set(Some(Text(team.clone()))),
        ..Default::default()
    };
    Entity::update(given).exec(store).await.map(drop)
}

/// Takes all devices from a machine.
pub async fn free(store: &impl ConnectionTrait, machine: &MachineId) -> Result<(), DbErr> {
    let none = || Expr::value(Option::<String>::None);
    let freed = Entity::update_many().col_expr(Column::MachineId, none()).col_expr(Column::TeamId, none());
    freed.filter(Column::MachineId.eq(machine.as_str())).exec(store).await.map(drop)
}

/// Forgets a device.
pub async fn delete(store: &impl ConnectionTrait, address: &PciAddress) -> Result<(), DbErr> {
    Entity::delete_by_id(Text(address.clone())).exec(store).await.map(drop)
}
