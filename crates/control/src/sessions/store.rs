//! The rows of dashboards' sessions.

use deckle_api::Timestamp;
use deckle_api::ids::{ApiKeyId, SessionId};
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;

use crate::store::{Listing, Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<SessionId>,
    pub hash: String,
    pub api_key_id: Text<ApiKeyId>,
    pub dt_created: Micros,
    pub dt_expires: Micros,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A key's sessions that end after `now`, to be ordered and cut.
pub fn listing(key: &ApiKeyId, now: Timestamp, sort: Column) -> Listing<Entity> {
    let rows = Entity::find().filter(Column::ApiKeyId.eq(key.as_str()));
    Listing::of(rows.filter(Column::DtExpires.gt(Micros::from(now))), sort, Column::Id)
}

/// A session, whoever's it is.
pub async fn find(store: &impl ConnectionTrait, id: &SessionId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(id.clone())).one(store).await
}

/// The session whose cookie has that hash.
pub async fn find_by_hash(store: &impl ConnectionTrait, hash: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Hash.eq(hash)).one(store).await
}

/// How many sessions a key has.
pub async fn count_of(store: &impl ConnectionTrait, key: &ApiKeyId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::ApiKeyId.eq(key.as_str())).count(store).await
}

/// Adds a session.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// Deletes a session.
pub async fn delete(store: &impl ConnectionTrait, id: &SessionId) -> Result<(), DbErr> {
    Entity::delete_by_id(Text(id.clone())).exec(store).await.map(drop)
}

/// Deletes the sessions that have ended by `now`.
pub async fn delete_expired(store: &impl ConnectionTrait, now: Timestamp) -> Result<(), DbErr> {
    let ended = Entity::delete_many().filter(Column::DtExpires.lte(Micros::from(now)));
    ended.exec(store).await.map(drop)
}
