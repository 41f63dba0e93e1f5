//! What the closed intervals of users came to, by calendar month.

use deckle_api::Timestamp;
use deckle_api::ids::{TeamId, UserId};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use super::super::amounts::Amount;
use crate::store::{Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_months")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub team_id: Text<TeamId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dt_month: Micros,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Text<UserId>,
    pub amount_nano: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds to what a month came to.
pub async fn add(
    store: &impl ConnectionTrait,
    of: &super::Model,
    month: Timestamp,
    amount: Amount,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        team_id: Set(of.team_id.clone()),
        dt_month: Set(month.into()),
        user_id: Set(of.user_id.clone()),
        amount_nano: Set(i64::try_from(amount.0).unwrap_or(i64::MAX)),
    };
    let place = [Column::TeamId, Column::DtMonth, Column::UserId];
    let sum = Expr::cust("usage_months.amount_nano + excluded.amount_nano");
    let upsert = OnConflict::columns(place).value(Column::AmountNano, sum).to_owned();
    Entity::insert(row).on_conflict(upsert).exec_without_returning(store).await.map(drop)
}

/// What the closed intervals of a team, or of a user in it, came to in a month.
pub async fn spent(
    store: &impl ConnectionTrait,
    team: &TeamId,
    user: Option<&UserId>,
    month: Timestamp,
) -> Result<Amount, DbErr> {
    let mut rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows = rows.filter(Column::DtMonth.eq(month.0));
    if let Some(user) = user {
        rows = rows.filter(Column::UserId.eq(user.as_str()));
    }
    let rows = rows.all(store).await?;
    Ok(rows.into_iter().map(|row| Amount(row.amount_nano.into())).sum())
}
