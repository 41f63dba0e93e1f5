//! The rows of runs of startup scripts.

use deckle_api::ids::{MachineId, StartupScriptId, StartupScriptRunId};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, Order, QueryOrder, QuerySelect};

use crate::store::{Listing, Micros, Text};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "startup_script_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<StartupScriptRunId>,
    pub machine_id: Text<MachineId>,
    pub script_id: Text<StartupScriptId>,
    pub boot: i64,
    pub exit_status: Option<i64>,
    pub output: Option<Vec<u8>>,
    pub dt_created: Micros,
    pub dt_finished: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A script's runs, on one machine or on all, to be cut.
pub fn listing(script: &StartupScriptId, machine: Option<&MachineId>) -> Listing<Entity> {
    let mut rows = Entity::find().filter(Column::ScriptId.eq(script.as_str()));
    if let Some(machine) = machine {
        rows = rows.filter(Column::MachineId.eq(machine.as_str()));
    }
    Listing::of(rows, Column::DtCreated, Column::Id)
}

/// The run of a boot: the last one, where it was done again with another script.
pub async fn of_boot(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    boot: i64,
) -> Result<Option<Model>, DbErr> {
    let run = Entity::find().filter(Column::MachineId.eq(machine.as_str())).filter(Column::Boot.eq(boot));
    run.order_by(Column::DtCreated, Order::Desc).limit(1).one(store).await
}

/// The last run on a machine, if it began after `since` and its end is not known. Cheap where it is: each
/// visit asks, and output is long.
pub async fn open_of(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    since: Micros,
) -> Result<Option<Model>, DbErr> {
    let last = Entity::find().select_only().columns([Column::Id, Column::ExitStatus, Column::DtCreated]);
    let last = last.filter(Column::MachineId.eq(machine.as_str())).order_by(Column::Boot, Order::Desc);
    let last = last.order_by(Column::DtCreated, Order::Desc);
    let last: Option<(Text<StartupScriptRunId>, Option<i64>, Micros)> =
        last.limit(1).into_tuple().one(store).await?;
    match last {
        Some((id, None, begun)) if begun > since => Entity::find_by_id(id).one(store).await,
        _ => Ok(None),
    }
}

/// Adds a run.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(store).await.map(drop)
}

/// Writes down how a run goes.
pub async fn tell(
    store: &impl ConnectionTrait,
    id: Text<StartupScriptRunId>,
    exit_status: Option<i64>,
    output: Vec<u8>,
    dt_finished: Option<Micros>,
) -> Result<(), DbErr> {
    let told = ActiveModel {
        id: Unchanged(id.clone()),
        exit_status: Set(exit_status),
        output: Set(Some(output)),
        dt_finished: Set(dt_finished),
        ..Default::default()
    };
    // A run that was forgotten meanwhile is no row any more.
    Entity::update_many().set(told).filter(Column::Id.eq(id)).exec(store).await.map(drop)
}

/// Deletes all but the last `kept` runs of a script on a machine.
pub async fn prune(
    store: &impl ConnectionTrait,
    script: &StartupScriptId,
    machine: &MachineId,
    kept: usize,
) -> Result<(), DbErr> {
    /// A run is added at a time, and so is one too many.
    const SURPLUS_MAX: usize = 16;
    let runs = Entity::find().select_only().column(Column::Id);
    let runs = runs.filter(Column::ScriptId.eq(script.as_str()));
    let runs = runs.filter(Column::MachineId.eq(machine.as_str()));
    let runs = runs.order_by(Column::DtCreated, Order::Desc).order_by(Column::Id, Order::Desc);
    let ids: Vec<Text<StartupScriptRunId>> =
        runs.limit((kept + SURPLUS_MAX) as u64).into_tuple().all(store).await?;
    match ids.get(kept..) {
        Some(surplus) if !surplus.is_empty() => delete(store, surplus).await,
        _ => Ok(()),
    }
}

/// Deletes runs.
pub async fn delete(store: &impl ConnectionTrait, ids: &[Text<StartupScriptRunId>]) -> Result<(), DbErr> {
    let ids = ids.iter().map(|id| id.0.as_str());
    Entity::delete_many().filter(Column::Id.is_in(ids)).exec(store).await.map(drop)
}

/// Deletes all runs of a script, or of a machine.
pub async fn delete_of(store: &impl ConnectionTrait, of: Column, id: &str) -> Result<(), DbErr> {
    Entity::delete_many().filter(of.eq(id)).exec(store).await.map(drop)
}
