//! Sessions: who a key belongs to; and what clients ask before anything else. And the sessions of
//! dashboards: cookies that stand for a key for some hours, in the second dialect only.
//!
//! **Invariant**: a cookie can do what its key can, no more and no longer.

mod http;
pub mod service;
mod store;

use axum::extract::State;
use deckle_api::admin::Role;
use deckle_api::sessions::{
    AccountStanding, Health, MembershipTeam, Session, SessionMembership, SessionMetadata, SessionTeam,
    SessionUser,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::openapi::Failure;
use crate::http::{Answer, Caller, show};
use crate::quotas::{self, Noun};
use crate::teams;

/// The name of a dashboard's cookie.
pub const COOKIE: &str = "hostup_session";
/// How long a dashboard's session lasts, in seconds.
const LASTS_S: i64 = 12 * 3600;
/// How many live sessions a key may have.
const SESSIONS_MAX: u64 = 100;

/// What `maxMachines` shows where there is no quota.
const NO_QUOTA: u32 = 1_000_000;

/// The paths of sessions.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session))
        .routes(routes!(health))
        .routes(routes!(account_standing))
        .merge(http::routes())
}

/// Get the session of the key
#[utoipa::path(get, path = "/auth/session", operation_id = "auth-session", tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = Option<Session>), Failure))]
async fn session(State(app): State<App>, caller: Option<Caller>) -> Answer<Option<Session>> {
    match caller {
        Some(caller) => show(Some(of(&app, &caller).await?)),
        None => show(None),
    }
}

/// Whether the server serves
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "Beyond the reference",
    responses((status = 200, description = "Successful response", body = Health), Failure))]
async fn health() -> Answer<Health> {
    show(Health::Healthy)
}

/// Whether the team may create things
#[utoipa::path(get, path = "/billing/account-standing", operation_id = "billingAccountStanding-get",
    tag = "Beyond the reference", security(("BearerAuth" = [])),
    responses((status = 200, description = "Successful response", body = AccountStanding), Failure))]
async fn account_standing(_: Caller) -> Answer<AccountStanding> {
    show(AccountStanding {
        has_payment_method: true,
        is_admin_locked: false,
        is_in_good_standing: true,
        messages: Vec::new(),
    })
}

async fn of(app: &App, caller: &Caller) -> Result<Session> {
    let gone = || Error::ours("show a session", "the key's team or user is gone");
    let (user, memberships) = teams::service::user_of(app, &caller.user).await?.ok_or_else(gone)?;
    let team =
        memberships.iter().map(|(_, team)| team).find(|team| team.id.0 == caller.team).ok_or_else(gone)?;
    let most = quotas::service::most(app.store.read(), &caller.team, &Noun::Machines).await?;
    let team = SessionTeam {
        namespace: team.namespace.clone(),
        is_private: false,
        max_machines: most.map_or(NO_QUOTA, |most| u32::try_from(most).unwrap_or(u32::MAX)),
        id: team.id.0.clone(),
        analytics_id: number(team.number),
    };
    let membership = |(role, team): (Role, teams::TeamRow)| SessionMembership {
        team: MembershipTeam {
            name: team.name,
            id: team.id.0,
            namespace: team.namespace,
            public_profile_image_url: Some(None),
            is_user_team: false,
            dt_created: team.dt_created.into(),
        },
        is_owner: role == Role::Owner,
        is_admin: role >= Role::Admin,
    };
    let user = SessionUser {
        first_name: None,
        last_name: None,
        email: user.email,
        dt_created: user.dt_created.into(),
        dt_confirmed: Some(user.dt_created.into()),
        team_memberships: memberships.into_iter().map(membership).collect(),
        is_phone_verified: false,
        is_password_auth_enabled: false,
        is_qr_code_based_mfa_enabled: false,
        is_qr_code_based_mfa_confirmed: false,
        preferences: Some(None),
        id: user.id.0,
        analytics_id: number(user.number),
        metadata: SessionMetadata {
            tags: Some(None),
            core_survey: Some(None),
            gradient_survey: Some(None),
            graphcore_terms_accepted: Some(false),
        },
    };
    Ok(Session { user, team })
}

fn number(row: i64) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}
