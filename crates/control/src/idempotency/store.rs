//! The rows of answers that were given.

use deckle_api::Timestamp;
use deckle_api::ids::ApiKeyId;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;

use crate::store::{Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub api_key_id: Text<ApiKeyId>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub path: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    pub body_hash: String,
    pub answer: Vec<u8>,
    pub dt_created: Micros,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The answer that was given to a key.
pub async fn find(
    store: &impl ConnectionTrait,
    api_key: &ApiKeyId,
    path: &str,
    key: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((Text(api_key.clone()), path.to_owned(), key.to_owned())).one(store).await
}

/// Forgets the answers that were given before `oldest`.
pub async fn delete_before(store: &impl ConnectionTrait, oldest: Timestamp) -> Result<(), DbErr> {
    let old = Entity::delete_many().filter(Column::DtCreated.lt(Micros::from(oldest)));
    old.exec(store).await.map(drop)
}

/// Keeps an answer.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(store).await.map(drop)
}
