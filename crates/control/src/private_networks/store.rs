//! The rows of private networks, and the slots of the pool that their ranges lie in.

mod seen;

pub use seen::{Seen, find_seen, listing_seen, taken};

use deckle_api::Timestamp;
use deckle_api::ids::{PrivateNetworkId, TeamId};
use ipnet::Ipv4Net;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Order, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::names;
use crate::store::{Listing, Micros, Text};

/// How many free slots are looked at together: a team that has given ranges of the pool to networks itself
/// needs others.
const SLOTS_AT_ONCE: usize = 16;

/// What is wanted of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// That its host has it.
    Present,
    /// That nothing of it is left.
    Gone,
}

/// Why a network is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What its host said.
    pub told: String,
    /// Whether trying again is of no use.
    pub lasts: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "private_networks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<PrivateNetworkId>,
    pub team_id: Text<TeamId>,
    pub name: String,
    pub name_folded: String,
    pub region: String,
    pub cidr: Text<Ipv4Net>,
    pub parent_cidr: Text<Ipv4Net>,
    pub protected: bool,
    pub intent: Text<Intent>,
    pub settled: bool,
    pub made: bool,
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

mod slots {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "network_slots")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub slot: i64,
        pub network_id: Option<Text<PrivateNetworkId>>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A team's networks, to be ordered and cut.
pub fn listing(team: &TeamId, region: Option<&str>, sort: Column) -> Listing<Entity> {
    let mut rows =
        Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    if let Some(region) = region {
        rows = rows.filter(Column::Region.eq(region));
    }
    Listing::of(rows, sort, Column::Id)
}

/// A network, whoever's it is.
pub async fn find(store: &impl ConnectionTrait, id: &PrivateNetworkId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(id.clone())).one(store).await
}

/// Some networks, each with its addresses in use.
pub async fn cidrs(
    store: &impl ConnectionTrait,
    networks: &[PrivateNetworkId],
) -> Result<Vec<(PrivateNetworkId, Ipv4Net)>, DbErr> {
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let ids = networks.iter().map(PrivateNetworkId::as_str);
    let rows = Entity::find().select_only().column(Column::Id).column(Column::Cidr);
    let rows: Vec<(Text<PrivateNetworkId>, Text<Ipv4Net>)> =
        rows.filter(Column::Id.is_in(ids)).into_tuple().all(store).await?;
    Ok(rows.into_iter().map(|(id, cidr)| (id.0, cidr.0)).collect())
}

/// Says that a network is not as it is wanted.
pub async fn unsettle(store: &impl ConnectionTrait, id: &PrivateNetworkId) -> Result<(), DbErr> {
    let unsettled = Entity::update_many().col_expr(Column::Settled, false.into());
    unsettled.filter(Column::Id.eq(id.as_str())).exec(store).await.map(drop)
}

/// The networks that are not forgotten.
pub async fn to_visit(store: &impl ConnectionTrait) -> Result<Vec<PrivateNetworkId>, DbErr> {
    let ids = Entity::find().select_only().column(Column::Id).filter(Expr::cust("NOT forgotten"));
    let ids: Vec<Text<PrivateNetworkId>> =
        ids.order_by(Column::Id, Order::Asc).into_tuple().all(store).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// How many networks are not settled.
pub async fn count_unsettled(store: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().filter(Expr::cust("NOT forgotten AND NOT settled")).count(store).await
}

/// The lowest free slots of the pool's `slots`, from one on: at most [`SLOTS_AT_ONCE`], and none when none is
/// left.
pub async fn free_slots(store: &impl ConnectionTrait, from: i64, slots: i64) -> Result<Vec<i64>, DbErr> {
    let freed = slots::Entity::find().filter(slots::Column::NetworkId.is_null());
    let freed = freed.filter(slots::Column::Slot.gte(from)).order_by(slots::Column::Slot, Order::Asc);
    let freed = freed.limit(SLOTS_AT_ONCE as u64).all(store).await?;
    let mut free: Vec<i64> = freed.into_iter().map(|freed| freed.slot).collect();
    if free.len() < SLOTS_AT_ONCE {
        let unused = first_unused(store).await?.max(from);
        free.extend((unused..slots).take(SLOTS_AT_ONCE - free.len()));
    }
    free.retain(|slot| *slot < slots);
    Ok(free)
}

/// The slot after the last one that was ever used: each before it has a row.
async fn first_unused(store: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let last = slots::Entity::find().order_by(slots::Column::Slot, Order::Desc).limit(1).one(store).await?;
    Ok(last.map_or(0, |last| last.slot + 1))
}

/// Takes a free slot for a network. Those that were passed over to it are free for others.
pub async fn take_slot(
    store: &impl ConnectionTrait,
    network: &PrivateNetworkId,
    slot: i64,
) -> Result<(), DbErr> {
    let free = |slot| slots::ActiveModel { slot: Set(slot), network_id: Set(None) };
    let passed: Vec<_> = (first_unused(store).await?..slot).map(free).collect();
    if !passed.is_empty() {
        slots::Entity::insert_many(passed).exec_without_returning(store).await?;
    }
    let taken = slots::ActiveModel { slot: Set(slot), network_id: Set(Some(Text(network.clone()))) };
    let upsert = OnConflict::column(slots::Column::Slot).update_column(slots::Column::NetworkId).to_owned();
    slots::Entity::insert(taken).on_conflict(upsert).exec_without_returning(store).await.map(drop)
}

/// Adds a network.
pub async fn insert(
    store: &impl ConnectionTrait,
    id: &PrivateNetworkId,
    team: &TeamId,
    name: String,
    region: String,
    cidr: Ipv4Net,
    now: Timestamp,
) -> Result<Model, DbErr> {
    let network = ActiveModel {
        id: Set(Text(id.clone())),
        team_id: Set(Text(team.clone())),
        name_folded: Set(names::folded(&name)),
        name: Set(name),
        region: Set(region),
        cidr: Set(Text(cidr)),
        parent_cidr: Set(Text(Ipv4Net::new_assert(cidr.network(), 21))),
        protected: Set(false),
        intent: Set(Text(Intent::Present)),
        settled: Set(false),
        made: Set(false),
        trouble: Set(None),
        trouble_lasts: Set(false),
        dt_trouble: Set(None),
        dt_created: Set(now.into()),
        dt_deleted: Set(None),
        forgotten: Set(false),
    };
    Entity::insert(network).exec_with_returning(store).await
}

/// Gives a network another name.
pub async fn rename(store: &impl ConnectionTrait, network: &Model, name: String) -> Result<Model, DbErr> {
    let renamed = ActiveModel {
        id: Unchanged(network.id.clone()),
        name_folded: Set(names::folded(&name)),
        name: Set(name),
        ..Default::default()
    };
    Entity::update(renamed).exec(store).await
}

/// Protects a network against deletion, or no longer.
pub async fn protect(store: &impl ConnectionTrait, network: &Model, protected: bool) -> Result<(), DbErr> {
    let changed =
        ActiveModel { id: Unchanged(network.id.clone()), protected: Set(protected), ..Default::default() };
    Entity::update(changed).exec_without_returning(store).await.map(drop)
}

/// How many networks a team has.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows.filter(Column::DtDeleted.is_null()).count(store).await
}

/// Wants a network gone.
pub async fn aim_gone(store: &impl ConnectionTrait, network: &Model, now: Timestamp) -> Result<(), DbErr> {
    let gone = ActiveModel {
        id: Unchanged(network.id.clone()),
        intent: Set(Text(Intent::Gone)),
        settled: Set(false),
        dt_deleted: Set(Some(now.into())),
        ..Default::default()
    };
    Entity::update(gone).exec(store).await.map(drop)
}

/// Says that the host has what is wanted, if that is still what was looked for.
pub async fn settle(store: &impl ConnectionTrait, network: &Model) -> Result<(), DbErr> {
    let settled = Entity::update_many().col_expr(Column::Settled, true.into());
    let settled = settled.col_expr(Column::Made, true.into());
    let settled = settled.col_expr(Column::Trouble, Expr::value(Option::<String>::None));
    let same = settled.filter(Column::Id.eq(network.id.clone())).filter(Column::Intent.eq(network.intent));
    same.exec(store).await.map(drop)
}

/// Writes down why a visit has failed.
pub async fn tell(
    store: &impl ConnectionTrait,
    network: &Model,
    trouble: &Trouble,
    now: Timestamp,
) -> Result<(), DbErr> {
    let told = ActiveModel {
        id: Unchanged(network.id.clone()),
        trouble: Set(Some(trouble.told.clone())),
        trouble_lasts: Set(trouble.lasts),
        dt_trouble: Set(Some(now.into())),
        ..Default::default()
    };
    Entity::update(told).exec(store).await.map(drop)
}

/// Forgets a network that nothing is left of: its range is free again.
pub async fn forget(store: &impl ConnectionTrait, network: &Model) -> Result<(), DbErr> {
    let forgotten = ActiveModel {
        id: Unchanged(network.id.clone()),
        settled: Set(true),
        forgotten: Set(true),
        ..Default::default()
    };
    Entity::update(forgotten).exec(store).await?;
    let none = Expr::value(Option::<String>::None);
    let free = slots::Entity::update_many().col_expr(slots::Column::NetworkId, none);
    free.filter(slots::Column::NetworkId.eq(network.id.clone())).exec(store).await.map(drop)
}
