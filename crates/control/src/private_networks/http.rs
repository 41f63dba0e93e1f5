//! The paths of private networks.

use axum::extract::State;
use deckle_api::details::Detail;
use deckle_api::ids::PrivateNetworkId;
use deckle_api::paging::Page;
use deckle_api::private_networks::{
    CreatePrivateNetwork, ListPrivateNetworks, PrivateNetwork, PrivateNetworkDeleted, UpdatePrivateNetwork,
};
use deckle_api::protections::{Protection, SetProtection};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of private networks.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(detail))
        .routes(routes!(protection, protect))
}

/// List private networks
#[utoipa::path(get, path = "/private-networks", operation_id = "privateNetworks-list", tag = "Private Networks",
    params(ListPrivateNetworks), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<PrivateNetwork>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListPrivateNetworks>,
) -> Answer<Page<PrivateNetwork>> {
    show(service::list(&app, &caller, query).await?)
}

/// Create a private network
#[utoipa::path(post, path = "/private-networks", operation_id = "privateNetworks-create", tag = "Private Networks",
    request_body = CreatePrivateNetwork, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = PrivateNetwork), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<CreatePrivateNetwork>,
) -> Answer<PrivateNetwork> {
    show(service::create(&app, &caller, wanted).await?)
}

/// Get a private network
#[utoipa::path(get, path = "/private-networks/{id}", operation_id = "privateNetworks-get", tag = "Private Networks",
    params(("id" = PrivateNetworkId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Option<PrivateNetwork>), Failure))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrivateNetworkId>,
) -> Answer<PrivateNetwork> {
    show(service::get(&app, &caller, &id).await?)
}

/// Change a private network
#[utoipa::path(put, path = "/private-networks/{id}", operation_id = "privateNetworks-update", tag = "Private Networks",
    params(("id" = PrivateNetworkId, Path)), request_body = UpdatePrivateNetwork, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = PrivateNetwork), Failure))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrivateNetworkId>,
    Body(wanted): Body<UpdatePrivateNetwork>,
) -> Answer<PrivateNetwork> {
    show(service::update(&app, &caller, &id, wanted).await?)
}

/// Delete a private network
#[utoipa::path(delete, path = "/private-networks/{id}", operation_id = "privateNetworks-delete", tag = "Private Networks",
    params(("id" = PrivateNetworkId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = PrivateNetworkDeleted), Failure))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PrivateNetworkId>,
    _: Ignored,
) -> Answer<PrivateNetworkDeleted> {
    service::delete(&app, &caller, &id).await?;
    show(PrivateNetworkDeleted { id })
}

/// Show how a private network fares on its host
#[utoipa::path(get, path = "/private-networks/{id}/detail", operation_id = "privateNetworks-getDetail", tag = "Beyond the reference",
    params(("id" = PrivateNetworkId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Detail), Failure))]
async fn detail(State(app): State<App>, caller: Caller, Path(id): Path<PrivateNetworkId>) -> Answer<Detail> {
    show(service::detail(&app, &caller, &id).await?)
}

crate::protections::paths! {
    "/private-networks/{id}/protection", "privateNetworks-getProtection", "privateNetworks-protect",
    "id" = PrivateNetworkId
}
