//! The rows of accessors.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TeamId, UserId};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Order, QueryOrder, QuerySelect};

use crate::store::{Listing, Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "accessors")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub machine_id: Text<MachineId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Text<UserId>,
    pub team_id: Text<TeamId>,
    pub dt_created: Micros,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A machine's accessors by their users' ids, to be cut.
pub fn listing(machine: &MachineId) -> Listing<Entity> {
    let rows = Entity::find().filter(Column::MachineId.eq(machine.as_str()));
    Listing::of(rows, Column::UserId, Column::MachineId)
}

/// The users that are a machine's accessors, in the order of their ids.
pub async fn users_of(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<UserId>, DbErr> {
    let rows = Entity::find().select_only().column(Column::UserId);
    let rows = rows.filter(Column::MachineId.eq(machine.as_str())).order_by(Column::UserId, Order::Asc);
    let users: Vec<Text<UserId>> = rows.into_tuple().all(store).await?;
    Ok(users.into_iter().map(|user| user.0).collect())
}

/// Whether a user is an accessor of a machine.
pub async fn is_one(store: &impl ConnectionTrait, machine: &MachineId, user: &UserId) -> Result<bool, DbErr> {
    let row = Entity::find_by_id((Text(machine.clone()), Text(user.clone()))).one(store).await?;
    Ok(row.is_some())
}

/// Makes a member of the team an accessor.
pub async fn insert(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    team: &TeamId,
    user: &UserId,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        machine_id: Set(Text(machine.clone())),
        user_id: Set(Text(user.clone())),
        team_id: Set(Text(team.clone())),
        dt_created: Set(now.into()),
    };
    Entity::insert(row).exec_without_returning(store).await.map(drop)
}

/// Ends a user's access; whether it had any.
pub async fn delete(store: &impl ConnectionTrait, machine: &MachineId, user: &UserId) -> Result<bool, DbErr> {
    let deleted = Entity::delete_by_id((Text(machine.clone()), Text(user.clone()))).exec(store).await?;
    Ok(deleted.rows_affected == 1)
}

/// Ends all access to a machine.
pub async fn delete_all(store: &impl ConnectionTrait, machine: &MachineId) -> Result<(), DbErr> {
    let all = Entity::delete_many().filter(Column::MachineId.eq(machine.as_str()));
    all.exec(store).await.map(drop)
}
