//! Startup scripts: saved texts that machines run as root at the end of their boot.
//!
//! **Invariant**: a script's text is sealed at rest and never shown again: scripts carry tokens.

use axum::extract::State;
use deckle_api::ids::{MachineId, StartupScriptId, TeamId};
use deckle_api::paging::Page;
use deckle_api::startup_scripts::{
    CreateStartupScript, ListStartupScripts, StartupScript, StartupScriptOrder,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Path, Query, show};

pub use store::Model as ScriptRow;

/// The longest script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 16 * 1024;

/// The paths of startup scripts.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get))
}

/// List startup scripts
#[utoipa::path(get, path = "/startup-scripts", operation_id = "startupScripts-list", tag = "Startup Scripts",
    params(ListStartupScripts), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<StartupScript>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListStartupScripts>,
) -> Answer<Page<StartupScript>> {
    show(service::list(&app, &caller, query).await?)
}

/// Create a startup script
#[utoipa::path(post, path = "/startup-scripts", operation_id = "startupScripts-create", tag = "Startup Scripts",
    request_body = CreateStartupScript, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = StartupScript), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreateStartupScript>,
) -> Answer<StartupScript> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a startup script
#[utoipa::path(get, path = "/startup-scripts/{id}", operation_id = "startupScripts-get", tag = "Startup Scripts",
    params(("id" = StartupScriptId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = StartupScript), Failure))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StartupScriptId>,
) -> Answer<StartupScript> {
    show(service::get(&app, &caller, &id).await?)
}

fn shown(row: ScriptRow, assigned_machine_ids: Vec<MachineId>) -> StartupScript {
    StartupScript {
        id: row.id.0,
        name: row.name,
        description: None,
        is_enabled: row.is_enabled,
        is_run_once: row.is_run_once,
        assigned_machine_ids,
        dt_created: row.dt_created.into(),
        dt_deleted: row.dt_deleted.map(Into::into),
    }
}

/// The rules of startup scripts.
pub mod service {
    use deckle_engine::specs::StartupScriptSpec;
    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::error::{Error, Result};
    use crate::idempotency::commit_once;
    use crate::store::{Cursors, Text};
    use crate::{machines, names};

    pub(super) async fn list(
        app: &App,
        caller: &Caller,
        query: ListStartupScripts,
    ) -> Result<Page<StartupScript>> {
        let order_by = query.order_by.unwrap_or_default();
        let order = query.order.unwrap_or_default();
        let list = ("startup-scripts", &caller.team, order_by.word(), order, &query.name);
        let cursors = Cursors::of(&app.sealer, list);
        let sort = match order_by {
            StartupScriptOrder::DtCreated => store::Column::DtCreated,
            StartupScriptOrder::Name => store::Column::Name,
        };
        let mut listing = store::listing(&caller.team, sort);
        listing.order = order;
        listing.limit = query.limit.unwrap_or_default();
        listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
        listing.name = query.name.map(|part| (store::Column::NameFolded, part));
        let rows = listing.page(app.store.read()).await?;
        let page = rows.page(|next| cursors.write(next), |row| row);
        let scripts: Vec<_> = page.items.iter().map(|row| row.id.0.clone()).collect();
        let mut machines = machines::service::with_scripts(app.store.read(), &scripts).await?;
        let shown = |row: ScriptRow| {
            let assigned = machines.remove(&row.id.0).unwrap_or_default();
            shown(row, assigned)
        };
        let items = page.items.into_iter().map(shown).collect();
        Ok(Page { has_more: page.has_more, next_page: page.next_page, items })
    }

    pub(super) async fn create(
        app: &App,
        caller: &Caller,
        wanted: CreateStartupScript,
    ) -> Result<StartupScript> {
        caller.must_be_admin("create startup scripts")?;
        let name = names::checked("name", &wanted.name)?;
        let bytes = wanted.script.len();
        if bytes == 0 || bytes > SCRIPT_BYTES_MAX {
            let expected = format!("expected 1 to {SCRIPT_BYTES_MAX} bytes, found {bytes}");
            return Err(Error::field("script", expected));
        }
        let id = StartupScriptId::mint(app.clock.random());
        let row = ScriptRow {
            script: app.sealer.seal(&sealed_for(&id), wanted.script.as_bytes()),
            id: Text(id),
            team_id: Text(caller.team.clone()),
            name_folded: names::folded(&name),
            name,
            is_enabled: true,
            is_run_once: wanted.is_run_once.unwrap_or(false),
            dt_created: app.clock.now().into(),
            dt_deleted: None,
        };
        let tx = app.store.begin().await?;
        let script = shown(store::insert(&*tx, row).await?, Vec::new());
        commit_once(app, tx, caller, &script).await?;
        Ok(script)
    }

    fn sealed_for(id: &StartupScriptId) -> String {
        format!("the script of {id}")
    }

    pub(super) async fn get(app: &App, caller: &Caller, id: &StartupScriptId) -> Result<StartupScript> {
        let row = find(app.store.read(), &caller.team, id).await?;
        let machines = machines::service::with_scripts(app.store.read(), std::slice::from_ref(id)).await?;
        Ok(shown(row, machines.into_values().flatten().collect()))
    }

    /// A team's script.
    pub async fn find(
        store: &impl ConnectionTrait,
        team: &TeamId,
        id: &StartupScriptId,
    ) -> Result<ScriptRow> {
        let row =
            store::find(store, id).await?.filter(|row| row.team_id.0 == *team && row.dt_deleted.is_none());
        row.ok_or_else(|| Error::no_such("startup script", id))
    }

    /// A script as a machine gets it at a boot: not at all when it is disabled, or is to run once and has.
    pub async fn for_boot(
        app: &App,
        id: &StartupScriptId,
        served: bool,
    ) -> Result<Option<StartupScriptSpec>> {
        let row =
            store::find(app.store.read(), id).await?.filter(|row| row.dt_deleted.is_none() && row.is_enabled);
        let Some(row) = row.filter(|row| !(row.is_run_once && served)) else { return Ok(None) };
        let broken = |error| Error::ours(format!("open the script {id}"), error);
        let script = app.sealer.open(&sealed_for(id), &row.script).map_err(broken)?;
        let script =
            String::from_utf8(script).map_err(|error| Error::ours(format!("read the script {id}"), error))?;
        Ok(Some(StartupScriptSpec { id: id.clone(), script, once: row.is_run_once }))
    }
}

mod store {
    use sea_orm::IntoActiveModel;
    use sea_orm::entity::prelude::*;

    use super::*;
    use crate::store::{Listing, Micros, Text};

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

    pub fn listing(team: &TeamId, sort: Column) -> Listing<Entity> {
        let rows =
            Entity::find().filter(Column::TeamId.eq(team.as_str())).filter(Column::DtDeleted.is_null());
        Listing::of(rows, sort, Column::Id)
    }

    pub async fn find(store: &impl ConnectionTrait, id: &StartupScriptId) -> Result<Option<Model>, DbErr> {
        Entity::find_by_id(Text(id.clone())).one(store).await
    }

    pub async fn insert(store: &impl ConnectionTrait, row: Model) -> Result<Model, DbErr> {
        Entity::insert(row.into_active_model().reset_all()).exec_with_returning(store).await
    }
}
