//! The paths of shared drives.

use axum::extract::State;
use deckle_api::details::Detail;
use deckle_api::ids::SharedDriveId;
use deckle_api::paging::Page;
use deckle_api::protections::{Protection, SetProtection};
use deckle_api::shared_drives::{
    CreateSharedDrive, ListSharedDrives, ResizeSharedDrive, SharedDrive, SharedDriveDeleted,
    UpdateSharedDrive,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of shared drives.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(resize))
        .routes(routes!(rotate_password))
        .routes(routes!(detail))
        .routes(routes!(protection, protect))
}

/// List shared drives
#[utoipa::path(get, path = "/shared-drives", operation_id = "sharedDrives-list", tag = "Shared Drives",
    params(ListSharedDrives), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<SharedDrive>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListSharedDrives>,
) -> Answer<Page<SharedDrive>> {
    show(service::list(&app, &caller, query).await?)
}

/// Create a shared drive
#[utoipa::path(post, path = "/shared-drives", operation_id = "sharedDrives-create", tag = "Shared Drives",
    request_body = CreateSharedDrive, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SharedDrive), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreateSharedDrive>,
) -> Answer<SharedDrive> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a shared drive
#[utoipa::path(get, path = "/shared-drives/{id}", operation_id = "sharedDrives-get", tag = "Shared Drives",
    params(("id" = SharedDriveId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SharedDrive), Failure))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<SharedDriveId>) -> Answer<SharedDrive> {
    show(service::get(&app, &caller, &id).await?)
}

/// Update a shared drive
#[utoipa::path(put, path = "/shared-drives/{id}", operation_id = "sharedDrives-update", tag = "Shared Drives",
    params(("id" = SharedDriveId, Path)), request_body = UpdateSharedDrive, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SharedDrive), Failure))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SharedDriveId>,
    Body(wanted): Body<UpdateSharedDrive>,
) -> Answer<SharedDrive> {
    show(service::update(&app, &caller, &id, wanted).await?)
}

/// Delete a shared drive
#[utoipa::path(delete, path = "/shared-drives/{id}", operation_id = "sharedDrives-delete", tag = "Shared Drives",
    params(("id" = SharedDriveId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SharedDriveDeleted), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SharedDriveId>,
    _: Ignored,
) -> Answer<SharedDriveDeleted> {
    service::delete(&app, &caller, &id).await?;
    show(SharedDriveDeleted { id })
}

/// Make a shared drive larger
#[utoipa::path(post, path = "/shared-drives/{id}/resize", operation_id = "sharedDrives-resize", tag = "Beyond the reference",
    params(("id" = SharedDriveId, Path)), request_body = ResizeSharedDrive, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SharedDrive), Failure))]
async fn resize(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SharedDriveId>,
    Body(wanted): Body<ResizeSharedDrive>,
) -> Answer<SharedDrive> {
    show(service::resize(&app, &caller, &id, wanted).await?)
}

/// Give a shared drive a new password
#[utoipa::path(post, path = "/shared-drives/{id}/rotate-password", operation_id = "sharedDrives-rotatePassword", tag = "Beyond the reference",
    params(("id" = SharedDriveId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = SharedDrive), Failure))]
async fn rotate_password(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SharedDriveId>,
    _: Ignored,
) -> Answer<SharedDrive> {
    show(service::rotate_password(&app, &caller, &id).await?)
}

/// Show how a shared drive fares on its host
#[utoipa::path(get, path = "/shared-drives/{id}/detail", operation_id = "sharedDrives-getDetail", tag = "Beyond the reference",
    params(("id" = SharedDriveId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Detail), Failure))]
async fn detail(State(app): State<App>, caller: Caller, Path(id): Path<SharedDriveId>) -> Answer<Detail> {
    show(service::detail(&app, &caller, &id).await?)
}

crate::protections::paths! {
    "/shared-drives/{id}/protection", "sharedDrives-getProtection", "sharedDrives-protect", "id" = SharedDriveId
}
