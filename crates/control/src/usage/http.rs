//! The path of usage.

use axum::extract::State;
use deckle_api::usage::{Usage, UsageQuery};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Caller, Query, show};

/// The path of usage.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

/// What was used in a window of time, and what it came to
#[utoipa::path(get, path = "/usage", operation_id = "usage-get", tag = "Beyond the reference",
    params(UsageQuery), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Usage), Failure))]
async fn get(State(app): State<App>, caller: Caller, Query(query): Query<UsageQuery>) -> Answer<Usage> {
    show(service::usage(&app, &caller, query).await?)
}
