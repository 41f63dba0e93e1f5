//! The paths of public addresses.

use std::net::Ipv4Addr;

use axum::extract::State;
use deckle_api::paging::Page;
use deckle_api::protections::{Protection, SetProtection};
use deckle_api::public_ips::{AssignPublicIp, ClaimPublicIp, ListPublicIps, PublicIp, PublicIpReleased};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::service;
use crate::app::App;
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

/// The paths of public addresses.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, claim))
        .routes(routes!(assign, release))
        .routes(routes!(protection, protect))
}

/// List public addresses
#[utoipa::path(get, path = "/public-ips", operation_id = "publicIps-list", tag = "Public IPs",
    params(ListPublicIps), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<PublicIp>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListPublicIps>,
) -> Answer<Page<PublicIp>> {
    show(service::list(&app, &caller, query).await?)
}

/// Claim a public address
#[utoipa::path(post, path = "/public-ips", operation_id = "publicIps-claim", tag = "Public IPs",
    request_body = ClaimPublicIp, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = PublicIp), Failure))]
async fn claim(
    State(app): State<App>,
    caller: Caller,
    Body(wanted): Body<ClaimPublicIp>,
) -> Answer<PublicIp> {
    show(service::claim(&app, &caller, &wanted).await?)
}

/// Assign a public address to a machine, or to none
#[utoipa::path(put, path = "/public-ips/{ip}", operation_id = "publicIps-assign", tag = "Public IPs",
    params(("ip" = String, Path)), request_body = AssignPublicIp, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = PublicIp), Failure))]
async fn assign(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
    Body(wanted): Body<AssignPublicIp>,
) -> Answer<PublicIp> {
    show(service::assign(&app, &caller, ip, wanted.machine_id.flatten().as_ref()).await?)
}

/// Release a public address
#[utoipa::path(delete, path = "/public-ips/{ip}", operation_id = "publicIps-release", tag = "Public IPs",
    params(("ip" = String, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = PublicIpReleased), Failure))]
async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
    _: Ignored,
) -> Answer<PublicIpReleased> {
    service::release(&app, &caller, ip).await?;
    show(PublicIpReleased { ip })
}

crate::protections::paths! {
    "/public-ips/{ip}/protection", "publicIps-getProtection", "publicIps-protect", "ip" = Ipv4Addr
}
