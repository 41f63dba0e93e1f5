//! Errors as answers.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::error::{Error, chain};

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if matches!(self, Self::Ours { .. }) {
            tracing::error!(error = chain(&self), "a request failed");
        }
        let told = self.told();
        let status = StatusCode::from_u16(told.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(told)).into_response()
    }
}
