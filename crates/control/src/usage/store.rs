//! The rows of usage records.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TeamId, UserId};
use deckle_api::usage::UsageKind;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, SimpleExpr};
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect, Select};

use crate::store::{Micros, Text};

pub mod caps;
pub mod months;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub team_id: Text<TeamId>,
    pub user_id: Text<UserId>,
    pub kind: Text<UsageKind>,
    pub object_id: String,
    pub machine_id: Option<Text<MachineId>>,
    pub machine_type: Option<String>,
    pub gpus: i64,
    pub size_gib: i64,
    pub price_nano: i64,
    pub dt_from: Micros,
    pub dt_to: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The words stand in the statement: the index of open intervals is found by them.
const OPEN: &str = "dt_to IS NULL";

/// Whose records are read, each from an index of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A team's.
    Team(TeamId),
    /// A user's in a team.
    User(TeamId, UserId),
    /// A machine's, and those of its parts: whatever team's.
    Machine(MachineId),
    /// All.
    Everyone,
}

impl Whose {
    fn records(&self) -> Select<Entity> {
        match self {
            Self::Team(team) => Entity::find().filter(Column::TeamId.eq(team.as_str())),
            Self::User(team, user) => {
                let team = Entity::find().filter(Column::TeamId.eq(team.as_str()));
                team.filter(Column::UserId.eq(user.as_str()))
            }
            Self::Machine(machine) => Entity::find().filter(Column::MachineId.eq(machine.as_str())),
            Self::Everyone => Entity::find(),
        }
    }
}

/// Some of the intervals that ended in a window, in the order of their ends: those after a place.
pub async fn ended(
    store: &impl ConnectionTrait,
    whose: &Whose,
    (from, to): (Timestamp, Timestamp),
    after: Option<&Model>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let rows = whose.records().filter(Column::DtTo.lte(to.0)).filter(Column::DtFrom.lt(to.0));
    let rows = match after {
        None => rows.filter(Column::DtTo.gt(from.0)),
        Some(last) => {
            let place = SimpleExpr::Tuple(vec![Expr::col(Column::DtTo), Expr::col(Column::Number)]);
            let ended = last.dt_to.map_or(i64::MAX, |moment| moment.0);
            rows.filter(place.gt(SimpleExpr::Tuple(vec![Expr::value(ended), Expr::value(last.number)])))
        }
    };
    let rows = rows.order_by(Column::DtTo, Order::Asc).order_by(Column::Number, Order::Asc);
    rows.limit(limit).all(store).await
}

/// Some of the intervals that began before a moment and ended after it, in the order of their begins: those after
/// a place. What ended before is passed by in the index; what began later is not looked at.
pub async fn spanning(
    store: &impl ConnectionTrait,
    whose: &Whose,
    moment: Timestamp,
    after: Option<&Model>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let rows = whose.records().filter(Column::DtFrom.lt(moment.0)).filter(later(moment));
    let rows = match after {
        None => rows,
        Some(last) => {
            let place = SimpleExpr::Tuple(vec![Expr::col(Column::DtFrom), Expr::col(Column::Number)]);
            let last = SimpleExpr::Tuple(vec![Expr::value(last.dt_from.0), Expr::value(last.number)]);
            rows.filter(place.gt(last))
        }
    };
    let rows = rows.order_by(Column::DtFrom, Order::Asc).order_by(Column::Number, Order::Asc);
    rows.limit(limit).all(store).await
}

/// That an interval ended after a moment, said so that it is not looked for by its end.
fn later(moment: Timestamp) -> SimpleExpr {
    Expr::col(Column::DtTo).add(0).gt(moment.0)
}

/// Some of the intervals that are open and began before a moment, by their numbers: those after one.
pub async fn open(
    store: &impl ConnectionTrait,
    whose: &Whose,
    to: Timestamp,
    after: Option<&Model>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let rows = whose.records().filter(Expr::cust(OPEN)).filter(Column::DtFrom.lt(to.0));
    let after = after.map_or(0, |last| last.number);
    let rows = rows.filter(Column::Number.gt(after)).order_by(Column::Number, Order::Asc);
    rows.limit(limit).all(store).await
}

/// The open intervals of a machine and its parts.
pub async fn open_of_machine(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::MachineId.eq(machine.as_str()));
    rows.filter(Expr::cust(OPEN)).order_by(Column::Number, Order::Asc).all(store).await
}

/// The open interval of an object.
pub async fn open_of(
    store: &impl ConnectionTrait,
    kind: UsageKind,
    object: &str,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::find().filter(Column::Kind.eq(kind.word())).filter(Column::ObjectId.eq(object));
    rows.filter(Expr::cust(OPEN)).one(store).await
}

/// Adds an interval, under the next number. Writers take turns, so no two of them have the same.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    let last = Entity::find().select_only().column(Column::Number);
    let last: Option<i64> =
        last.order_by(Column::Number, Order::Desc).limit(1).into_tuple().one(store).await?;
    let row = Model { number: last.unwrap_or(0) + 1, ..row };
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(store).await.map(drop)
}

/// Ends an interval.
pub async fn close(store: &impl ConnectionTrait, row: &Model, to: Timestamp) -> Result<(), DbErr> {
    let end = Entity::update_many().col_expr(Column::DtTo, Expr::value(to.0));
    end.filter(Column::Number.eq(row.number)).exec(store).await.map(drop)
}
