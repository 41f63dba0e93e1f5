//! The rows of startup scripts, and of the machines that were served them.

use deckle_api::ids::{MachineId, StartupScriptId, TeamId};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use crate::store::{Listing, Micros, Text};

pub use served::Column as Served;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "startup_scripts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Text<StartupScriptId>,
    pub team_id: Text<TeamId>,
    pub name: String,
    pub name_folded: String,
    pub script: Vec<u8>,
    pub is_enabled: bool,
    pub is_run_once: bool,
    pub dt_created: Micros,
    pub dt_deleted: Option<Micros>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

mod served {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "startup_scripts_served")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub machine_id: Text<MachineId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub script_id: Text<StartupScriptId>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A team's scripts, to be filtered, ordered and cut.
pub fn listing(team: &TeamId, sort: Column) -> Listing<Entity> {
    let rows = Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
    Listing::of(rows, sort, Column::Id)
}

/// A script, whoever's it is, deleted or not.
pub async fn find(store: &impl ConnectionTrait, id: &StartupScriptId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(Text(id.clone())).one(store).await
}

/// Adds a script.
pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
    Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
}

/// A change of nothing yet, of that script.
pub fn changes(id: &StartupScriptId) -> ActiveModel {
    ActiveModel { id: Unchanged(Text(id.clone())), ..Default::default() }
}

/// Changes a script; the row as it is then.
pub async fn change(store: &impl ConnectionTrait, row: Model, changes: ActiveModel) -> Result<Model, DbErr> {
    if !changes.is_changed() {
        return Ok(row);
    }
    Entity::update(changes).exec(store).await
}

/// Whether a machine has become ready with a script.
pub async fn was_served(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    script: &StartupScriptId,
) -> Result<bool, DbErr> {
    let row = served::Entity::find_by_id((Text(machine.clone()), Text(script.clone()))).one(store).await?;
    Ok(row.is_some())
}

/// Says that a machine has become ready with a script.
pub async fn serve(
    store: &impl ConnectionTrait,
    machine: &MachineId,
    script: &StartupScriptId,
) -> Result<(), DbErr> {
    let row =
        served::ActiveModel { machine_id: Set(Text(machine.clone())), script_id: Set(Text(script.clone())) };
    let known = OnConflict::columns([Served::MachineId, Served::ScriptId]).do_nothing().to_owned();
    served::Entity::insert(row).on_conflict(known).exec_without_returning(store).await?;
    Ok(())
}

/// Forgets what was served: all of a machine, or all of a script.
pub async fn forget_served(store: &impl ConnectionTrait, of: Served, id: &str) -> Result<(), DbErr> {
    served::Entity::delete_many().filter(of.eq(id)).exec(store).await.map(drop)
}
