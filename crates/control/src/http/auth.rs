//! Who calls: the key of a request, its team, its user, and what it may do.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use deckle_api::admin::Role;
use deckle_api::ids::{ApiKeyId, TeamId, UserId};

use super::problems::is_second;
use crate::app::App;
use crate::error::{Error, Result};
use crate::idempotency::Once;
use crate::{sessions, teams};

/// The caller of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key.
    pub api_key: ApiKeyId,
    /// The team that it acts for. All that a caller sees is this team's.
    pub team: TeamId,
    /// The user that it acts as.
    pub user: UserId,
    /// What the user may do in the team.
    pub role: Role,
    /// What the key may do; empty is everything.
    pub scopes: Vec<String>,
    /// The request's idempotency key, if it has one.
    pub once: Option<Once>,
}

impl Caller {
    /// Refuses a plain member.
    pub fn must_be_admin(&self, act: &str) -> Result<()> {
        if self.role >= Role::Admin {
            return Ok(());
        }
        Err(Error::Forbidden(format!("only administrators of the team may {act}; ask one of them")))
    }

    /// Whether the key's scopes cover a request, whose path begins after the dialect's own.
    fn may(&self, method: &Method, path: &str) -> Result<()> {
        let verb = if method == Method::GET || method == Method::HEAD { "read" } else { "write" };
        let noun = path.split('/').nth(1).unwrap_or_default();
        let area = match noun {
            "private-networks" | "public-ips" | "shared-drives" | "firewall-rules" => "network",
            "machines"
            | "machine-events"
            | "machine-types"
            | "machine-availability"
            | "snapshots"
            | "custom-templates"
            | "startup-scripts"
            | "ssh-keys" => "vm",
            // What the official client asks before anything else, whatever the key is for.
            "billing" => return Ok(()),
            // A session can do what its key can, and no more.
            "sessions" => return Ok(()),
            _ => "all",
        };
        let needed = [format!("{verb}:all"), format!("{verb}:{area}")];
        if self.scopes.is_empty() || self.scopes.iter().any(|scope| needed.contains(scope)) {
            return Ok(());
        }
        Err(Error::Forbidden(format!("the key lacks the scope `{}`", needed[1])))
    }
}

/// The caller that a request's key belongs to, if it has a valid one. Where there is no header for a key, a
/// dashboard's cookie counts on the paths that take one.
pub(super) async fn caller_of(app: &App, path: &str, headers: &HeaderMap) -> Result<Option<Caller>> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        let cookie = cookie(headers).filter(|_| is_second(path));
        return match cookie {
            Some(cookie) => sessions::service::caller(app, cookie).await,
            None => Ok(None),
        };
    };
    let header = header.to_str().unwrap_or_default();
    let Some((scheme, key)) = header.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    teams::service::caller(app, key.trim()).await
}

/// The value of a dashboard's cookie.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == sessions::COOKIE).map(|(_, value)| value.trim())
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let caller = parts.extensions.get::<Self>().cloned().ok_or(Error::NoKey)?;
        caller.may(&parts.method, parts.uri.path())?;
        Ok(caller)
    }
}

impl OptionalFromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Option<Self>> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
