//! The rows of shared drives.

use deckle_api::Timestamp;
use deckle_api::ids::{PrivateNetworkId, SharedDriveId, TeamId};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};

use super::policy::Intent;
use crate::store::{Listing, Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shared_drives")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<SharedDriveId>,
    pub team_id: Text<TeamId>,
    pub network_id: Text<PrivateNetworkId>,
    pub name: String,
    pub name_folded: String,
    pub region: String,
    pub size_gib: i64,
    pub username: String,
    pub password: Vec<u8>,
    pub password_number: i64,
    pub protected: bool,
    pub intent: Text<Intent>,
    pub settled: bool,
    pub orders: i64,
    pub made_gib: i64,
    pub trouble: Option<String>,
    pub trouble_lasts: bool,
    pub dt_trouble: Option<Micros>,
    pub dt_created: Micros,
    pub dt_deleted: Option<Micros>,
    pub forgotten: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A team's drives, to be ordered and cut.
pub fn listing(team: &TeamId, region: Option<&str>, sort: Column) -> Listing<Entity> {
    let mut rows =
        Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    if let Some(region) = region {
        rows = rows.filter(Column::Region.eq(region));
    }
    Listing::of(rows, sort, Column::Id)
}

/// A drive, whoever's it is.
pub async fn find(store: &impl ConnectionTrait, id: &SharedDriveId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(id.clone())).one(store).await
}

/// The drives that are not forgotten.
pub async fn to_visit(store: &impl ConnectionTrait) -> Result<Vec<SharedDriveId>, DbErr> {
    let ids = Entity::find().select_only().column(Column::Id).filter(Expr::cust("NOT forgotten"));
    let ids: Vec<Text<SharedDriveId>> = ids.order_by(Column::Id, Order::Asc).into_tuple().all(store).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// How many drives are not settled.
pub async fn count_unsettled(store: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().filter(Expr::cust("NOT forgotten AND NOT settled")).count(store).await
}

/// How many drives a team has, and their sizes together in GB.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<(u64, u64), DbErr> {
    let sizes = Entity::find().select_only().column(Column::SizeGib);
    let sizes = sizes.filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    let sizes: Vec<i64> = sizes.into_tuple().all(store).await?;
    Ok((sizes.len() as u64, sizes.into_iter().map(i64::unsigned_abs).sum()))
}

/// A network's drives that are not forgotten: deleted ones too, as long as their host has something of them.
pub async fn in_network(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::NetworkId.eq(network.as_str()));
    rows.filter(Expr::cust("NOT forgotten")).order_by(Column::Id, Order::Asc).all(store).await
}

/// How many GiB of the drives that are wanted are not made yet, each drive with its region.
pub async fn to_make(store: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Region);
    let rows = rows.expr_as(Expr::cust("size_gib - made_gib"), "missing");
    let rows = rows.filter(Expr::cust("intent = 'present' AND size_gib > made_gib"));
    rows.order_by(Column::Id, Order::Asc).into_tuple().all(store).await
}

/// Adds a drive.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// A change of nothing yet, of that row.
pub fn changes(row: &Model) -> ActiveModel {
    ActiveModel { id: Unchanged(row.id.clone()), ..Default::default() }
}

/// Changes what does not matter to the host.
pub async fn update(store: &impl ConnectionTrait, changes: ActiveModel) -> Result<Model, DbErr> {
    Entity::update(changes).exec(store).await
}

/// Changes what is wanted of a drive. Its troubles are over: it is tried anew.
pub async fn order(store: &impl ConnectionTrait, row: &Model, changes: ActiveModel) -> Result<Model, DbErr> {
    let ordered = ActiveModel {
        orders: Set(row.orders + 1),
        settled: Set(false),
        trouble: Set(None),
        trouble_lasts: Set(false),
        dt_trouble: Set(None),
        ..changes
    };
    Entity::update(ordered).exec(store).await
}

/// Wants a drive gone.
pub async fn order_gone(store: &impl ConnectionTrait, row: &Model, now: Timestamp) -> Result<(), DbErr> {
    let mut gone = changes(row);
    gone.intent = Set(Text(Intent::Gone));
    gone.dt_deleted = Set(Some(now.into()));
    order(store, row, gone).await.map(drop)
}

/// Writes changes of a row that a visit has made, if it had no order since. Whether it had none.
pub async fn change(store: &impl ConnectionTrait, row: &Model, changes: ActiveModel) -> Result<bool, DbErr> {
    let same = Entity::update_many().set(changes).filter(Column::Id.eq(row.id.clone()));
    let changed = same.filter(Column::Orders.eq(row.orders)).exec(store).await?;
    Ok(changed.rows_affected > 0)
}
