//! The paths of accessors.

use axum::extract::State;
use deckle_api::accessors::{AddAccessor, ListAccessors, MachineAccessor};
use deckle_api::ids::{MachineId, UserId};
use deckle_api::paging::Page;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Pair, Path, Query, show};

/// The paths of accessors.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(get, remove))
}

/// List the accessors of a machine
#[utoipa::path(get, path = "/machines/{id}/accessors", operation_id = "machines-listAccessors", tag = "Machine",
    params(("id" = MachineId, Path), ListAccessors), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<MachineAccessor>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    Query(query): Query<ListAccessors>,
) -> Answer<Page<MachineAccessor>> {
    show(service::list(&app, &caller, &id, query).await?)
}

/// Give a member of the team access to a machine
#[utoipa::path(post, path = "/machines/{id}/accessors", operation_id = "machines-addAccessor", tag = "Machine",
    params(("id" = MachineId, Path)), request_body = AddAccessor, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineAccessor), Failure))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<MachineId>,
    Body(wanted): Body<AddAccessor>,
) -> Answer<MachineAccessor> {
    show(service::add(&app, &caller, &id, &wanted.user_id).await?)
}

/// Get an accessor of a machine
#[utoipa::path(get, path = "/machines/{id}/accessors/{userId}", operation_id = "machines-getAccessor",
    tag = "Machine", params(("id" = MachineId, Path), ("userId" = UserId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineAccessor), Failure))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Pair(id, user): Pair<MachineId, UserId>,
) -> Answer<MachineAccessor> {
    show(service::get(&app, &caller, &id, &user).await?)
}

/// Take a member's access to a machine
#[utoipa::path(delete, path = "/machines/{id}/accessors/{userId}", operation_id = "machines-removeAccessor",
    tag = "Machine", params(("id" = MachineId, Path), ("userId" = UserId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = MachineAccessor), Failure))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Pair(id, user): Pair<MachineId, UserId>,
    _: Ignored,
) -> Answer<MachineAccessor> {
    show(service::remove(&app, &caller, &id, &user).await?)
}
