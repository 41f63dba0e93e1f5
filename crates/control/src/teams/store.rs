//! The rows of teams, users, members and API keys.

use deckle_api::admin::Role;
use deckle_api::ids::{ApiKeyId, TeamId, UserId};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sea_orm::{ColumnTrait, Order};

use crate::store::Text;

/// A team.
pub mod teams {
    use sea_orm::entity::prelude::*;

    use super::*;
    use crate::store::Micros;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "teams")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Text<TeamId>,
        pub number: i64,
        pub name: String,
        pub namespace: String,
        pub dt_created: Micros,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A user.
pub mod users {
    use sea_orm::entity::prelude::*;

    use super::*;
    use crate::store::Micros;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Text<UserId>,
        pub number: i64,
        pub email: String,
        pub dt_created: Micros,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A user's place in a team.
pub mod members {
    use sea_orm::entity::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "members")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub team_id: Text<TeamId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Text<UserId>,
        pub role: Text<Role>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An API key.
pub mod api_keys {
    use sea_orm::entity::prelude::*;

    use super::*;
    use crate::store::Micros;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Text<ApiKeyId>,
        pub hash: String,
        pub team_id: Text<TeamId>,
        pub user_id: Text<UserId>,
        pub name: String,
        pub scopes: Text<Vec<String>>,
        pub dt_created: Micros,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The key with that hash.
pub async fn find_key(store: &impl ConnectionTrait, hash: &str) -> Result<Option<api_keys::Model>, DbErr> {
    api_keys::Entity::find().filter(api_keys::Column::Hash.eq(hash)).one(store).await
}

/// The key with an id.
pub async fn find_key_of(
    store: &impl ConnectionTrait,
    id: &ApiKeyId,
) -> Result<Option<api_keys::Model>, DbErr> {
    api_keys::Entity::find_by_id(Text(id.clone())).one(store).await
}

/// What a user may do in a team.
pub async fn role(store: &impl ConnectionTrait, team: &TeamId, user: &UserId) -> Result<Option<Role>, DbErr> {
    let member = members::Entity::find_by_id((Text(team.clone()), Text(user.clone()))).one(store).await?;
    Ok(member.map(|member| member.role.0))
}

/// All teams, the oldest first.
pub async fn all_teams(store: &impl ConnectionTrait) -> Result<Vec<teams::Model>, DbErr> {
    teams::Entity::find().order_by(teams::Column::Number, Order::Asc).all(store).await
}

/// A team.
pub async fn find_team(store: &impl ConnectionTrait, id: &TeamId) -> Result<Option<teams::Model>, DbErr> {
    teams::Entity::find_by_id(Text(id.clone())).one(store).await
}

/// A user.
pub async fn find_user(store: &impl ConnectionTrait, id: &UserId) -> Result<Option<users::Model>, DbErr> {
    users::Entity::find_by_id(Text(id.clone())).one(store).await
}

/// Some users, in no order.
pub async fn find_users(store: &impl ConnectionTrait, ids: &[UserId]) -> Result<Vec<users::Model>, DbErr> {
    let ids = ids.iter().map(UserId::as_str);
    users::Entity::find().filter(users::Column::Id.is_in(ids)).all(store).await
}

/// The user with that mail address.
pub async fn find_email(store: &impl ConnectionTrait, email: &str) -> Result<Option<users::Model>, DbErr> {
    users::Entity::find().filter(users::Column::Email.eq(email)).one(store).await
}

/// Whether a namespace is taken.
pub async fn namespace_taken(store: &impl ConnectionTrait, namespace: &str) -> Result<bool, DbErr> {
    let team = teams::Entity::find().filter(teams::Column::Namespace.eq(namespace)).one(store).await?;
    Ok(team.is_some())
}

/// A team's members with their users.
pub async fn members_of(
    store: &impl ConnectionTrait,
    team: &TeamId,
) -> Result<Vec<(members::Model, users::Model)>, DbErr> {
    let members =
        members::Entity::find().filter(members::Column::TeamId.eq(team.as_str())).all(store).await?;
    let mut found = Vec::with_capacity(members.len());
    for member in members {
        if let Some(user) = find_user(store, &member.user_id.0).await? {
            found.push((member, user));
        }
    }
    Ok(found)
}

/// The teams that a user is in.
pub async fn teams_of(
    store: &impl ConnectionTrait,
    user: &UserId,
) -> Result<Vec<(members::Model, teams::Model)>, DbErr> {
    let members =
        members::Entity::find().filter(members::Column::UserId.eq(user.as_str())).all(store).await?;
    let mut found = Vec::with_capacity(members.len());
    for member in members {
        if let Some(team) = find_team(store, &member.team_id.0).await? {
            found.push((member, team));
        }
    }
    Ok(found)
}

/// The number after the largest in a column of numbers.
pub async fn next_team_number(store: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let largest =
        teams::Entity::find().order_by(teams::Column::Number, Order::Desc).limit(1).one(store).await?;
    Ok(largest.map_or(1, |team| team.number + 1))
}

/// The number after the largest of the users'.
pub async fn next_user_number(store: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let largest =
        users::Entity::find().order_by(users::Column::Number, Order::Desc).limit(1).one(store).await?;
    Ok(largest.map_or(1, |user| user.number + 1))
}

/// Adds a team.
pub async fn insert_team(
    store: &impl ConnectionTrait,
    team: teams::ActiveModel,
) -> Result<teams::Model, DbErr> {
    teams::Entity::insert(team).exec_with_returning(store).await
}

/// Adds a user.
pub async fn insert_user(
    store: &impl ConnectionTrait,
    user: users::ActiveModel,
) -> Result<users::Model, DbErr> {
    users::Entity::insert(user).exec_with_returning(store).await
}

/// Puts a user into a team, or gives it another role there.
pub async fn set_member(
    store: &impl ConnectionTrait,
    team: &TeamId,
    user: &UserId,
    role: Role,
) -> Result<(), DbErr> {
    let member = members::ActiveModel {
        team_id: Set(Text(team.clone())),
        user_id: Set(Text(user.clone())),
        role: Set(Text(role)),
    };
    let place = [members::Column::TeamId, members::Column::UserId];
    let upsert = OnConflict::columns(place).update_column(members::Column::Role).to_owned();
    members::Entity::insert(member).on_conflict(upsert).exec_without_returning(store).await?;
    Ok(())
}

/// Takes a user out of a team; its keys for the team and its access to machines go with it.
pub async fn delete_member(store: &impl ConnectionTrait, team: &TeamId, user: &UserId) -> Result<(), DbErr> {
    members::Entity::delete_by_id((Text(team.clone()), Text(user.clone()))).exec(store).await?;
    Ok(())
}

/// Adds a key.
pub async fn insert_key(
    store: &impl ConnectionTrait,
    key: api_keys::ActiveModel,
) -> Result<api_keys::Model, DbErr> {
    api_keys::Entity::insert(key).exec_with_returning(store).await
}

/// All keys.
pub async fn all_keys(store: &impl ConnectionTrait) -> Result<Vec<api_keys::Model>, DbErr> {
    api_keys::Entity::find().order_by(api_keys::Column::DtCreated, Order::Asc).all(store).await
}

/// Deletes a key; whether there was one.
pub async fn delete_key(store: &impl ConnectionTrait, id: &ApiKeyId) -> Result<bool, DbErr> {
    let deleted = api_keys::Entity::delete_by_id(Text(id.clone())).exec(store).await?;
    Ok(deleted.rows_affected == 1)
}
