//! Errors as answers.

use axum::response::{IntoResponse, Response};

use super::Refusal;
use crate::error::Error;

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}
