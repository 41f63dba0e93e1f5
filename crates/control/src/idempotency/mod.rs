//! Requests that are safe to send again: `Idempotency-Key` on any POST.
//!
//! The answer is kept in the transaction that does the work, so that a crash can lose neither one
//! without the other. Only successes are kept: what failed may be tried again with the same key.
//!
//! **Invariant**: a POST's service ends its transaction with [`commit_once`], never with a bare commit.

mod store;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use deckle_api::ids::ApiKeyId;
use serde::Serialize;

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::Caller;
use crate::store::{Text, Tx};

/// The longest key.
const KEY_CHARS_MAX: usize = 255;

/// A request's idempotency key, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Once {
    api_key: ApiKeyId,
    path: String,
    key: String,
    body_hash: String,
}

impl Once {
    /// The idempotency key of a request, if it has one.
    pub fn of(
        api_key: &ApiKeyId,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Option<Self>> {
        let Some(key) = headers.get("idempotency-key").filter(|_| method == Method::POST) else {
            return Ok(None);
        };
        let key = key.to_str().ok().filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()));
        let wrong = || {
            Error::field("Idempotency-Key", format!("expected 1 to {KEY_CHARS_MAX} visible ASCII characters"))
        };
        let key = key.ok_or_else(wrong)?.to_owned();
        let body_hash = blake3::hash(body.trim_ascii()).to_hex().to_string();
        Ok(Some(Self { api_key: api_key.clone(), path: path.to_owned(), key, body_hash }))
    }

    fn of_what(&self) -> String {
        format!("the answer to {} {} {}", self.api_key, self.path, self.key)
    }

    /// The answer that was given to the key before, if one was.
    pub async fn answer(&self, app: &App) -> Result<Option<Response>> {
        let row = store::find(app.store.read(), &self.api_key, &self.path, &self.key).await?;
        let Some(row) = row else { return Ok(None) };
        let oldest = app.clock.now().plus_seconds(-app.config.limits.idempotency_s);
        if row.dt_created < oldest.into() {
            return Ok(None);
        }
        if row.body_hash != self.body_hash {
            return Err(Error::Conflict(format!(
                "the Idempotency-Key `{}` was sent with another body before; use a new key for a new request",
                self.key
            )));
        }
        let json = app
            .sealer
            .open(&self.of_what(), &row.answer)
            .map_err(|error| Error::ours("repeat an answer", error))?;
        Ok(Some(([(axum::http::header::CONTENT_TYPE, "application/json")], json).into_response()))
    }
}

/// Keeps the answer for the request's idempotency key, if it has one, and commits.
pub async fn commit_once(app: &App, tx: Tx, caller: &Caller, answer: &impl Serialize) -> Result<()> {
    if let Some(once) = &caller.once {
        let json = serde_json::to_vec(answer).map_err(|error| Error::ours("keep an answer", error))?;
        let now = app.clock.now();
        store::delete_before(&*tx, now.plus_seconds(-app.config.limits.idempotency_s)).await?;
        let row = store::Model {
            api_key_id: Text(once.api_key.clone()),
            path: once.path.clone(),
            idempotency_key: once.key.clone(),
            body_hash: once.body_hash.clone(),
            answer: app.sealer.seal(&once.of_what(), &json),
            dt_created: now.into(),
        };
        store::insert(&*tx, row).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The idempotency keys whose first request is under way.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<HashSet<(ApiKeyId, String, String)>>>);

/// A request under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    running: Running,
    key: (ApiKeyId, String, String),
}

impl Running {
    /// Begins a request, unless one with the same key is under way.
    pub fn begin(&self, once: &Once) -> Result<Turn> {
        let key = (once.api_key.clone(), once.path.clone(), once.key.clone());
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.clone()) {
            let message =
                format!("the first request with the Idempotency-Key `{}` is still under way", once.key);
            return Err(Error::Conflict(message));
        }
        Ok(Turn { running: self.clone(), key })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
