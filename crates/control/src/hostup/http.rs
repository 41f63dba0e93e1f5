//! The paths of the second dialect.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use deckle_api::hostup::{
    ListNetworks, PnetId, PrivateNetworkCreate, PrivateNetworkDetail, PrivateNetworkPage, Problem,
};
use utoipa::IntoResponses;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{query, service};
use crate::app::App;
use crate::http::{Body, Caller, Ignored, Path, Refusal};

/// The problems that every operation may answer.
struct Usual;

impl IntoResponses for Usual {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = || {
            let response = ResponseBuilder::new().description("A problem");
            response.content("application/problem+json", problem.clone()).build().into()
        };
        ["401", "403", "429", "500"].map(|status| (status.to_owned(), response())).into()
    }
}

/// The paths of the second dialect.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, delete))
}

/// An id of a path. What cannot be one names no network.
struct Asked(Option<PnetId>);

impl FromStr for Asked {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse().ok()))
    }
}

/// List private networks
#[utoipa::path(get, path = "/private-networks", operation_id = "privateNetworks-listV2", tag = "Private Networks",
    params(ListNetworks), security(("BearerAuth" = ["read:network"])),
    responses(
        (status = 200, description = "Private-network page", body = PrivateNetworkPage),
        (status = 400, description = "A problem", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "A problem", body = Problem, content_type = "application/problem+json"),
        Usual))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(text): RawQuery,
) -> Result<axum::Json<PrivateNetworkPage>, Refusal> {
    let query = query::read(text.as_deref().unwrap_or_default())?;
    service::list(&app, &caller, query).await.map(axum::Json)
}

/// Create a private network
#[utoipa::path(post, path = "/private-networks", operation_id = "privateNetworks-createV2",
    tag = "Beyond the reference", request_body = PrivateNetworkCreate,
    security(("BearerAuth" = ["write:network"])),
    responses(
        (status = 201, description = "Created", body = PrivateNetworkDetail),
        (status = 400, description = "A problem", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A problem", body = Problem, content_type = "application/problem+json"),
        Usual))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<PrivateNetworkCreate>,
) -> Result<(StatusCode, axum::Json<PrivateNetworkDetail>), Refusal> {
    Ok((StatusCode::CREATED, axum::Json(service::create(&app, &caller, wanted).await?)))
}

/// Get a private network
#[utoipa::path(get, path = "/private-networks/{id}", operation_id = "privateNetworks-getV2",
    tag = "Beyond the reference", params(("id" = String, Path)),
    security(("BearerAuth" = ["read:network"])),
    responses(
        (status = 200, description = "Detail", body = PrivateNetworkDetail),
        (status = 404, description = "A problem", body = Problem, content_type = "application/problem+json"),
        Usual))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(Asked(id)): Path<Asked>,
) -> Result<axum::Json<PrivateNetworkDetail>, Refusal> {
    service::get(&app, &caller, id).await.map(axum::Json)
}

/// Delete a private network
#[utoipa::path(delete, path = "/private-networks/{id}", operation_id = "privateNetworks-deleteV2",
    tag = "Beyond the reference", params(("id" = String, Path)),
    security(("BearerAuth" = ["write:network"])),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "A problem", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A problem", body = Problem, content_type = "application/problem+json"),
        Usual))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(Asked(id)): Path<Asked>,
    _: Ignored,
) -> Result<StatusCode, Refusal> {
    service::delete(&app, &caller, id).await.map(|()| StatusCode::NO_CONTENT)
}
