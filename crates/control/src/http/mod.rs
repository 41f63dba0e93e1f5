//! Manners: what every request and every answer has in common, whatever the noun.
//!
//! **Invariant**: nothing leaves that is not JSON of a contract: an error of any layer is exactly
//! `{code, message}`, and a problem document on the paths of the second dialect.

pub mod auth;
mod errors;
mod extract;
pub mod openapi;
mod problems;
mod shell;

pub use auth::Caller;
pub use extract::{Body, Ignored, Pair, Path, Query};
pub use problems::Refusal;
pub use shell::{Door, shell};

use serde::Serialize;

use crate::error::Result;

/// What a handler answers: JSON, always with status 200.
pub type Answer<T> = Result<axum::Json<T>>;

/// The answer that shows `view`.
pub fn show<T: Serialize>(view: T) -> Answer<T> {
    Ok(axum::Json(view))
}

/// The largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
