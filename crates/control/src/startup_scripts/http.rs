//! The paths of startup scripts.

use axum::extract::State;
use deckle_api::ids::StartupScriptId;
use deckle_api::paging::Page;
use deckle_api::startup_scripts::{
    AssignStartupScript, CreateStartupScript, ListStartupScriptRuns, ListStartupScripts, StartupScript,
    StartupScriptRun, UpdateStartupScript,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{runs, service};
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of startup scripts.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(assign))
        .routes(routes!(unassign))
        .routes(routes!(list_runs))
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

/// Update a startup script
#[utoipa::path(put, path = "/startup-scripts/{id}", operation_id = "startupScripts-update", tag = "Startup Scripts",
    params(("id" = StartupScriptId, Path)), request_body = UpdateStartupScript, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = StartupScript), Failure))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StartupScriptId>,
    Body(wanted): Body<UpdateStartupScript>,
) -> Answer<StartupScript> {
    show(service::update(&app, &caller, &id, wanted).await?)
}

/// Delete a startup script
#[utoipa::path(delete, path = "/startup-scripts/{id}", operation_id = "startupScripts-delete", tag = "Startup Scripts",
    params(("id" = StartupScriptId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = StartupScript), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StartupScriptId>,
    _: Ignored,
) -> Answer<StartupScript> {
    show(service::delete(&app, &caller, &id).await?)
}

/// Assign a startup script to a machine
#[utoipa::path(post, path = "/startup-scripts/{id}/assign", operation_id = "startupScripts-assign",
    tag = "Startup Scripts", params(("id" = StartupScriptId, Path)), request_body = AssignStartupScript,
    security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = StartupScript), Failure))]
async fn assign(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StartupScriptId>,
    Body(wanted): Body<AssignStartupScript>,
) -> Answer<StartupScript> {
    show(service::assign(&app, &caller, &id, &wanted.machine_id).await?)
}

/// Take a startup script from a machine
#[utoipa::path(post, path = "/startup-scripts/{id}/unassign", operation_id = "startupScripts-unassign",
    tag = "Startup Scripts", params(("id" = StartupScriptId, Path)), request_body = AssignStartupScript,
    security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = StartupScript), Failure))]
async fn unassign(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StartupScriptId>,
    Body(wanted): Body<AssignStartupScript>,
) -> Answer<StartupScript> {
    show(service::unassign(&app, &caller, &id, &wanted.machine_id).await?)
}

/// List the runs of a startup script
#[utoipa::path(get, path = "/startup-scripts/{id}/runs", operation_id = "startupScripts-listRuns",
    tag = "Beyond the reference", params(("id" = StartupScriptId, Path), ListStartupScriptRuns),
    security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<StartupScriptRun>), Failure))]
async fn list_runs(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<StartupScriptId>,
    Query(query): Query<ListStartupScriptRuns>,
) -> Answer<Page<StartupScriptRun>> {
    show(runs::service::list(&app, &caller, &id, query).await?)
}
