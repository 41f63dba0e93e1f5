//! The rows of spend caps.

use deckle_api::ids::{TeamId, UserId};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Order, QueryOrder};

use super::super::amounts::Amount;
use crate::store::Text;

/// What stands in place of a user where the cap is the whole team's.
const TEAM: &str = "";

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spend_caps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub team_id: Text<TeamId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    pub amount_nano: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The user that it is for; none where it is the whole team's.
    pub fn user(&self) -> Option<UserId> {
        self.user_id.parse().ok()
    }

    /// What may be spent in a month.
    pub fn amount(&self) -> Amount {
        Amount(self.amount_nano.into())
    }
}

/// The caps that hold for a user in a team: the team's, and the user's own.
pub async fn holding_for(
    store: &impl ConnectionTrait,
    team: &TeamId,
    user: &UserId,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows.filter(Column::UserId.is_in([TEAM, user.as_str()])).all(store).await
}

/// All caps of a team, its own first.
pub async fn of_team(store: &impl ConnectionTrait, team: &TeamId) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows.order_by(Column::UserId, Order::Asc).all(store).await
}

/// Sets a cap, or lifts it.
pub async fn set(
    store: &impl ConnectionTrait,
    team: &TeamId,
    user: Option<&UserId>,
    amount: Option<Amount>,
) -> Result<(), DbErr> {
    let key = (Text(team.clone()), user.map_or(TEAM, UserId::as_str).to_owned());
    let Some(amount) = amount else { return Entity::delete_by_id(key).exec(store).await.map(drop) };
    let row = ActiveModel {
        team_id: Set(key.0),
        user_id: Set(key.1),
        amount_nano: Set(i64::try_from(amount.0).unwrap_or(i64::MAX)),
    };
    let place = [Column::TeamId, Column::UserId];
    let upsert = OnConflict::columns(place).update_column(Column::AmountNano).to_owned();
    Entity::insert(row).on_conflict(upsert).exec_without_returning(store).await.map(drop)
}
