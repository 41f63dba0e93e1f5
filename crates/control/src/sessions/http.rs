//! The paths of dashboards' sessions.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::AppendHeaders;
use deckle_api::ids::SessionId;
use deckle_api::paging::Page;
use deckle_api::sessions::{CreateDashboardSession, DashboardSession, ListDashboardSessions};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{COOKIE, LASTS_S, service};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::openapi::Failure;
use crate::http::{Answer, Body, Caller, Ignored, Path, Query, show};

type WithCookie = (AppendHeaders<[(HeaderName, HeaderValue); 1]>, axum::Json<DashboardSession>);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// List the live dashboard sessions of one's key
#[utoipa::path(get, path = "/sessions", operation_id = "sessions-list", tag = "Beyond the reference",
    params(ListDashboardSessions), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Page<DashboardSession>), Failure))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListDashboardSessions>,
) -> Answer<Page<DashboardSession>> {
    show(service::list(&app, &caller, query).await?)
}

/// Make a dashboard session of one's key: the answer sets its cookie
#[utoipa::path(post, path = "/sessions", operation_id = "sessions-create", tag = "Beyond the reference",
    request_body = CreateDashboardSession, security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = DashboardSession), Failure))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(CreateDashboardSession {}): Body<CreateDashboardSession>,
) -> Result<WithCookie> {
    let (session, secret) = service::create(&app, &caller).await?;
    let secure = if app.config.tls.is_some() { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={secret}; HttpOnly; SameSite=Strict; Path=/api/v2; Max-Age={LASTS_S}{secure}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Error::ours("set a cookie", error))?;
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), axum::Json(session)))
}

/// End a dashboard session of one's key
#[utoipa::path(delete, path = "/sessions/{id}", operation_id = "sessions-delete", tag = "Beyond the reference",
    params(("id" = SessionId, Path)), security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = DashboardSession), Failure))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SessionId>,
    _: Ignored,
) -> Answer<DashboardSession> {
    show(service::revoke(&app, &caller, &id).await?)
}
