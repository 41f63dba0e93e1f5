//! The rules of dashboards' sessions.

use deckle_api::ids::SessionId;
use deckle_api::paging::Page;
use deckle_api::sessions::{DashboardSession, DashboardSessionOrder, ListDashboardSessions};

use super::store::{self, Column, Model};
use super::{LASTS_S, SESSIONS_MAX};
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::idempotency::commit_once;
use crate::store::{Cursors, Text};
use crate::teams;

/// How many hexadecimal digits a cookie has: 256 random bits.
const COOKIE_CHARS: usize = 64;

/// The caller that a dashboard's cookie stands for, if it is one and still lives.
pub async fn caller(app: &App, cookie: &str) -> Result<Option<Caller>> {
    if cookie.len() != COOKIE_CHARS {
        return Ok(None);
    }
    let row = store::find_by_hash(app.store.read(), &hash(cookie)).await?;
    match row.filter(|row| row.dt_expires > app.clock.now().into()) {
        Some(row) => teams::service::caller_of(app, &row.api_key_id.0).await,
        None => Ok(None),
    }
}

fn hash(cookie: &str) -> String {
    blake3::hash(cookie.as_bytes()).to_hex().to_string()
}

pub(super) async fn list(
    app: &App,
    caller: &Caller,
    query: ListDashboardSessions,
) -> Result<Page<DashboardSession>> {
    let order_by = query.order_by.unwrap_or_default();
    let order = query.order.unwrap_or_default();
    let cursors = Cursors::of(&app.sealer, ("sessions", &caller.api_key, order_by.word(), order));
    let sort = match order_by {
        DashboardSessionOrder::DtCreated => Column::DtCreated,
    };
    let mut listing = store::listing(&caller.api_key, app.clock.now(), sort);
    listing.order = order;
    listing.limit = query.limit.unwrap_or_default();
    listing.after = query.after.as_deref().map(|cursor| cursors.read(cursor)).transpose()?;
    Ok(listing.page(app.store.read()).await?.page(|next| cursors.write(next), shown))
}

/// Makes a session of the caller's key. Its cookie is told here and never again.
pub(super) async fn create(app: &App, caller: &Caller) -> Result<(DashboardSession, String)> {
    let now = app.clock.now();
    let cookie: String = (0..COOKIE_CHARS / 16).map(|_| format!("{:016x}", app.clock.random())).collect();
    let row = Model {
        id: Text(SessionId::mint(app.clock.random())),
        hash: hash(&cookie),
        api_key_id: Text(caller.api_key.clone()),
        dt_created: now.into(),
        dt_expires: now.plus_seconds(LASTS_S).into(),
    };
    let tx = app.store.begin().await?;
    store::delete_expired(&*tx, now).await?;
    if store::count_of(&*tx, &caller.api_key).await? >= SESSIONS_MAX {
        let told = format!("the key has {SESSIONS_MAX} sessions, the most that it may have; end one of them");
        return Err(Error::Precondition(told));
    }
    let session = shown(store::insert(&*tx, row).await?);
    commit_once(app, tx, caller, &session).await?;
    Ok((session, cookie))
}

/// Ends a session of the caller's key at once.
pub(super) async fn revoke(app: &App, caller: &Caller, id: &SessionId) -> Result<DashboardSession> {
    let now = app.clock.now().into();
    let tx = app.store.begin().await?;
    let row = store::find(&*tx, id).await?;
    let row = row.filter(|row| row.api_key_id.0 == caller.api_key && row.dt_expires > now);
    let row = row.ok_or_else(|| Error::no_such("session", id))?;
    store::delete(&*tx, id).await?;
    tx.commit().await?;
    Ok(shown(row))
}

fn shown(row: Model) -> DashboardSession {
    DashboardSession { id: row.id.0, dt_created: row.dt_created.into(), dt_expires: row.dt_expires.into() }
}
