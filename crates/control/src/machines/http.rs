//! The paths of machines.

use axum::extract::State;
use deckle_api::consoles::{ConsoleLog, ConsoleLogQuery};
use deckle_api::desktops::Desktop;
use deckle_api::details::Detail;
use deckle_api::ids::MachineId;
use deckle_api::machines::{
    CreateMachine, ListMachines, Machine, MachineOrdered, MachineUpdated, UpdateMachine,
};
use deckle_api::paging::Page;
use deckle_api::protections::{Protection, SetProtection};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use super::views::{ordered, shown};
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of machines.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(restart))
        .routes(routes!(console_log))
        .routes(routes!(desktop))
        .routes(routes!(detail))
        .routes(routes!(protection, protect))
}

/// List machines
#[utoipa::path(get, path = "/machines", operation_id = "machines-list", tag = "Machine",
    params(ListMachines), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<Machine>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListMachines>,
) -> Answer<Page<Machine>> {
    show(service::list(&app, &caller, query).await?)
}

/// Create a machine
#[utoipa::path(post, path = "/machines", operation_id = "machines-create", tag = "Machine",
    request_body = CreateMachine, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineOrdered), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreateMachine>,
) -> Answer<MachineOrdered> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a machine
#[utoipa::path(get, path = "/machines/{id}", operation_id = "machines-get", tag = "Machine",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Machine), Failure))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<MachineId>) -> Answer<Machine> {
    show(shown(&app, service::get(app.store.read(), &caller, &id).await?))
}

/// Change a machine
#[utoipa::path(put, path = "/machines/{id}", operation_id = "machines-update", tag = "Machine",
    params(("id" = MachineId, Path)), request_body = UpdateMachine, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineUpdated), Failure))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    Body(wanted): Body<UpdateMachine>,
) -> Answer<MachineUpdated> {
    show(service::update(&app, &caller, &id, wanted).await?)
}

/// Delete a machine
#[utoipa::path(delete, path = "/machines/{id}", operation_id = "machines-delete", tag = "Machine",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineOrdered), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    _: Ignored,
) -> Answer<MachineOrdered> {
    show(ordered(&app, service::delete(&app, &caller, &id).await?))
}

/// Start a machine
#[utoipa::path(patch, path = "/machines/{id}/start", operation_id = "machines-start", tag = "Machine",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineOrdered), Failure))]
async fn start(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    _: Ignored,
) -> Answer<MachineOrdered> {
    show(ordered(&app, service::start(&app, &caller, &id).await?))
}

/// Stop a machine
#[utoipa::path(patch, path = "/machines/{id}/stop", operation_id = "machines-stop", tag = "Machine",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineOrdered), Failure))]
async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    _: Ignored,
) -> Answer<MachineOrdered> {
    show(ordered(&app, service::stop(&app, &caller, &id).await?))
}

/// Restart a machine
#[utoipa::path(patch, path = "/machines/{id}/restart", operation_id = "machines-restart", tag = "Machine",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineOrdered), Failure))]
async fn restart(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    _: Ignored,
) -> Answer<MachineOrdered> {
    show(ordered(&app, service::restart(&app, &caller, &id).await?))
}

/// Read a machine's serial log
#[utoipa::path(get, path = "/machines/{id}/console-log", operation_id = "machines-getConsoleLog", tag = "Beyond the reference",
    params(("id" = MachineId, Path), ConsoleLogQuery), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = ConsoleLog), Failure))]
async fn console_log(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    Query(query): Query<ConsoleLogQuery>,
) -> Answer<ConsoleLog> {
    show(service::console_log(&app, &caller, &id, &query).await?)
}

/// Get how a machine's desktop is reached
#[utoipa::path(get, path = "/machines/{id}/desktop", operation_id = "machines-getDesktop", tag = "Machine",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Desktop), Failure))]
async fn desktop(State(app): State<App>, caller: Caller, Path(id): Path<MachineId>) -> Answer<Desktop> {
    show(service::desktop(&app, &caller, &id).await?)
}

/// Show how a machine fares on its host
#[utoipa::path(get, path = "/machines/{id}/detail", operation_id = "machines-getDetail", tag = "Beyond the reference",
    params(("id" = MachineId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Detail), Failure))]
async fn detail(State(app): State<App>, caller: Caller, Path(id): Path<MachineId>) -> Answer<Detail> {
    show(service::detail(&app, &caller, &id).await?)
}

crate::protections::paths! {
    "/machines/{id}/protection", "machines-getProtection", "machines-protect", "id" = MachineId
}
