//! The paths of snapshots.

use axum::extract::State;
use deckle_api::ids::SnapshotId;
use deckle_api::paging::Page;
use deckle_api::snapshots::{
    CreateSnapshot, ListSnapshots, RestoreSnapshot, Snapshot, SnapshotOrdered, UpdateSnapshot,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of snapshots.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(restore))
}

/// List snapshots
#[utoipa::path(get, path = "/snapshots", operation_id = "snapshots-list", tag = "Snapshots",
    params(ListSnapshots), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<Snapshot>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListSnapshots>,
) -> Answer<Page<Snapshot>> {
    show(service::list(&app, &caller, query).await?)
}

/// Create a snapshot
#[utoipa::path(post, path = "/snapshots", operation_id = "snapshots-create", tag = "Snapshots",
    request_body = CreateSnapshot, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SnapshotOrdered), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreateSnapshot>,
) -> Answer<SnapshotOrdered> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a snapshot
#[utoipa::path(get, path = "/snapshots/{id}", operation_id = "snapshots-get", tag = "Snapshots",
    params(("id" = SnapshotId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Snapshot), Failure))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<SnapshotId>) -> Answer<Snapshot> {
    show(service::get(&app, &caller, &id).await?)
}

/// Change a snapshot
#[utoipa::path(put, path = "/snapshots/{id}", operation_id = "snapshots-update", tag = "Snapshots",
    params(("id" = SnapshotId, Path)), request_body = UpdateSnapshot, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Snapshot), Failure))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SnapshotId>,
    Body(wanted): Body<UpdateSnapshot>,
) -> Answer<Snapshot> {
    show(service::update(&app, &caller, &id, wanted).await?)
}

/// Delete a snapshot
#[utoipa::path(delete, path = "/snapshots/{id}", operation_id = "snapshots-delete", tag = "Snapshots",
    params(("id" = SnapshotId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SnapshotOrdered), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SnapshotId>,
    _: Ignored,
) -> Answer<SnapshotOrdered> {
    show(service::delete(&app, &caller, &id).await?)
}

/// Restore a snapshot
#[utoipa::path(post, path = "/snapshots/{id}/restore", operation_id = "snapshots-restore", tag = "Snapshots",
    params(("id" = SnapshotId, Path)), request_body = RestoreSnapshot, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SnapshotOrdered), Failure))]
async fn restore(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SnapshotId>,
    Body(wanted): Body<RestoreSnapshot>,
) -> Answer<SnapshotOrdered> {
    show(service::restore(&app, &caller, &id, wanted).await?)
}
