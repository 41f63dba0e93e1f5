//! The rows of custom templates: of the table of templates, those that have a team.

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, TeamId, TemplateId};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::store::{Listing, Micros, Text};

/// What a machine's visits have to do about a template of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Capture {
    /// Make its image.
    Wanted,
    /// End its event: its image is made.
    Made,
    /// Remove its image, which may be half made, and forget it.
    #[serde(rename = "given up")]
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "templates")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<TemplateId>,
    pub team_id: Text<TeamId>,
    pub name: String,
    pub name_folded: String,
    pub agent_type: String,
    pub operating_system_label: String,
    pub has_agent: bool,
    pub size_bytes: i64,
    pub ready: bool,
    pub region: String,
    pub parent_machine_id: Text<MachineId>,
    pub family: String,
    pub capture: Option<Text<Capture>>,
    pub dt_created: Micros,
    pub dt_deleted: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A team's templates, those of one machine or of all, to be filtered, ordered and cut.
pub fn listing(team: &TeamId, machine: Option<&MachineId>, sort: Column) -> Listing<Entity> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    let rows = match machine {
        Some(machine) => rows.filter(Column::ParentMachineId.eq(machine.as_str())),
        None => rows,
    };
    Listing::of(rows, sort, Column::Id)
}

/// A team's template that is not deleted.
pub async fn find(
    store: &impl ConnectionTrait,
    team: &TeamId,
    id: &TemplateId,
) -> Result<Option<Model>, DbErr> {
    let row = Entity::find_by_id(Text(id.clone())).filter(Column::TeamId.eq(team.as_str()));
    row.filter(Column::DtDeleted.is_null()).one(store).await
}

/// How many templates a team has.
pub async fn count(store: &impl ConnectionTrait, team: &TeamId) -> Result<u64, DbErr> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str()));
    rows.filter(Column::DtDeleted.is_null()).count(store).await
}

/// The templates that a machine's visits have something to do about, the oldest first.
pub async fn in_capture(store: &impl ConnectionTrait, machine: &MachineId) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find().filter(Column::ParentMachineId.eq(machine.as_str()));
    let rows = rows.filter(Expr::cust("capture IS NOT NULL"));
    rows.order_by(Column::DtCreated, Order::Asc).order_by(Column::Id, Order::Asc).all(store).await
}

/// The templates that are deleted, and whose images may still be there.
pub async fn to_remove(store: &impl ConnectionTrait) -> Result<Vec<TemplateId>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Id);
    let rows = rows.filter(Expr::cust("dt_deleted IS NOT NULL AND ready"));
    let rows = rows.filter(Column::TeamId.is_not_null()).order_by(Column::Id, Order::Asc);
    let ids: Vec<Text<TemplateId>> = rows.into_tuple().all(store).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// A template that is deleted, and whose image may still be there.
pub async fn find_to_remove(store: &impl ConnectionTrait, id: &TemplateId) -> Result<Option<Model>, DbErr> {
    let row = Entity::find_by_id(Text(id.clone())).filter(Column::TeamId.is_not_null());
    row.filter(Expr::cust("dt_deleted IS NOT NULL AND ready")).one(store).await
}

/// The templates that may have an image.
pub async fn on_hosts(store: &impl ConnectionTrait) -> Result<Vec<TemplateId>, DbErr> {
    let rows = Entity::find().select_only().column(Column::Id);
    let rows = rows.filter(Expr::cust("team_id IS NOT NULL AND (ready OR capture IS NOT NULL)"));
    let ids: Vec<Text<TemplateId>> = rows.order_by(Column::Id, Order::Asc).into_tuple().all(store).await?;
    Ok(ids.into_iter().map(|id| id.0).collect())
}

/// Adds a template.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// A change of nothing yet, of that template.
pub fn changes(id: &TemplateId) -> ActiveModel {
    ActiveModel { id: Unchanged(Text(id.clone())), ..Default::default() }
}

/// Changes a template; the row as it is then.
pub async fn change(store: &impl ConnectionTrait, changes: ActiveModel) -> Result<Model, DbErr> {
    Entity::update(changes).exec(store).await
}

/// Says that the image is made, unless it was given up meanwhile.
pub async fn made(store: &impl ConnectionTrait, id: &TemplateId, size_bytes: i64) -> Result<(), DbErr> {
    let made = ActiveModel {
        capture: Set(Some(Text(Capture::Made))),
        size_bytes: Set(size_bytes),
        ..Default::default()
    };
    let rows = Entity::update_many().set(made).filter(Column::Id.eq(id.as_str()));
    rows.filter(Column::Capture.eq(Text(Capture::Wanted))).exec(store).await.map(drop)
}

/// Says that what was made of a machine can be used.
pub async fn publish(store: &impl ConnectionTrait, machine: &MachineId) -> Result<(), DbErr> {
    let ready = ActiveModel { capture: Set(None), ready: Set(true), ..Default::default() };
    let rows = Entity::update_many().set(ready).filter(Column::ParentMachineId.eq(machine.as_str()));
    let rows = rows.filter(Expr::cust("capture IS NOT NULL"));
    rows.filter(Column::Capture.eq(Text(Capture::Made))).exec(store).await.map(drop)
}

/// Gives up what was to be made of a machine. Nobody sees it any more.
pub async fn give_up(store: &impl ConnectionTrait, machine: &MachineId, now: Timestamp) -> Result<(), DbErr> {
    let over = ActiveModel {
        capture: Set(Some(Text(Capture::GivenUp))),
        dt_deleted: Set(Some(now.into())),
        ..Default::default()
    };
    let rows = Entity::update_many().set(over).filter(Column::ParentMachineId.eq(machine.as_str()));
    let rows = rows.filter(Expr::cust("capture IS NOT NULL"));
    rows.filter(Column::DtDeleted.is_null()).exec(store).await.map(drop)
}

/// Forgets a template that was given up: no machine was ever made from it.
pub async fn forget(store: &impl ConnectionTrait, id: &TemplateId) -> Result<(), DbErr> {
    Entity::delete_by_id(Text(id.clone())).exec(store).await.map(drop)
}

/// Says that nothing is left of a deleted template's image.
pub async fn mark_gone(store: &impl ConnectionTrait, id: &TemplateId) -> Result<(), DbErr> {
    let gone = ActiveModel { ready: Set(false), ..changes(id) };
    Entity::update(gone).exec_without_returning(store).await.map(drop)
}
