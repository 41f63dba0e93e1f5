//! The rows of quotas.

use deckle_api::ids::TeamId;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Order, QueryOrder};

use crate::store::Text;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quotas")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub team_id: Text<TeamId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub noun: String,
    pub most: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A limit of a team.
pub async fn find(store: &impl ConnectionTrait, team: &TeamId, noun: &str) -> Result<Option<i64>, DbErr> {
    let row = Entity::find_by_id((Text(team.clone()), noun.to_owned())).one(store).await?;
    Ok(row.map(|row| row.most))
}

/// All limits of a team, by their words.
pub async fn of_team(store: &impl ConnectionTrait, team: &TeamId) -> Result<Vec<(String, i64)>, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    let rows = rows.order_by(Column::Noun, Order::Asc).all(store).await?;
    Ok(rows.into_iter().map(|row| (row.noun, row.most)).collect())
}

/// Sets a limit of a team, or lifts it.
pub async fn set(
    store: &impl ConnectionTrait,
    team: &TeamId,
    noun: &str,
    most: Option<i64>,
) -> Result<(), DbErr> {
    let key = (Text(team.clone()), noun.to_owned());
    let Some(most) = most else { return Entity::delete_by_id(key).exec(store).await.map(drop) };
    let row = ActiveModel { team_id: Set(key.0), noun: Set(key.1), most: Set(most) };
    let place = [Column::TeamId, Column::Noun];
    let upsert = OnConflict::columns(place).update_column(Column::Most).to_owned();
    Entity::insert(row).on_conflict(upsert).exec_without_returning(store).await.map(drop)
}
