//! The rows of snapshots.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, SnapshotId, TeamId};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder};
use serde::{Deserialize, Serialize};

use crate::store::{Listing, Micros, Text};

/// Who asked for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A request.
    Manual,
    /// The request that created the machine.
    Initial,
    /// The clock.
    Auto,
}

/// What is wanted of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// That its disk has it.
    Present,
    /// That nothing of it is left.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "snapshots")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<SnapshotId>,
    pub team_id: Text<TeamId>,
    pub machine_id: Text<MachineId>,
    pub name: String,
    pub kind: Text<Kind>,
    pub intent: Text<Intent>,
    pub made: bool,
    pub at_rest: Option<String>,
    pub given_up: bool,
    pub removed: bool,
    pub dt_created: Micros,
    pub dt_deleted: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether the disk has it, and is to keep it.
    pub fn is_whole(&self) -> bool {
        self.made && self.intent.0 == Intent::Present
    }
}

/// The snapshots of a team's machines, or of one of them, to be ordered and cut.
pub fn listing(team: &TeamId, machine: Option<&MachineId>, sort: Column) -> Listing<Entity> {
    let mut rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    if let Some(machine) = machine {
        rows = rows.filter(Column::MachineId.eq(machine.as_str()));
    }
    let shown = rows.filter(Column::DtDeleted.is_null()).filter(Expr::cust("NOT given_up"));
    Listing::of(shown, sort, Column::Id)
}

/// A snapshot, whoever's it is, deleted or not.
pub async fn find(store: &impl ConnectionTrait, id: &SnapshotId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(id.clone())).one(store).await
}

/// A machine's snapshots, the oldest first.
pub async fn of_machine(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::MachineId.eq(machine.as_str()));
    let rows = rows.filter(Column::DtDeleted.is_null());
    rows.order_by(Column::DtCreated, Order::Asc).order_by(Column::Id, Order::Asc).all(store).await
}

/// Adds a snapshot.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// A change of nothing yet, of that row.
pub fn changes(row: &Model) -> ActiveModel {
    ActiveModel { id: Unchanged(row.id.clone()), ..Default::default() }
}

/// Writes changes of a row.
pub async fn change(store: &impl ConnectionTrait, changes: ActiveModel) -> Result<(), DbErr> {
    Entity::update(changes).exec_without_returning(store).await.map(drop)
}

/// Says that nothing is left of a machine's snapshots.
pub async fn forget_machine(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    now: Timestamp,
) -> Result<(), DbErr> {
    let gone = ActiveModel {
        intent: Set(Text(Intent::Gone)),
        made: Set(false),
        dt_deleted: Set(Some(now.into())),
        ..Default::default()
    };
    let rows = Entity::update_many().set(gone).filter(Column::MachineId.eq(machine.as_str()));
    rows.filter(Column::DtDeleted.is_null()).exec(store).await.map(drop)
}
