//! The answers of the second dialect: every refusal a problem document, every answer with its headers.
//!
//! A refusal leaves any layer as an answer of the v1 API that carries what it says. Only here, outside of
//! every other layer, does it become a problem: so nothing that goes wrong on the way is forgotten.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use deckle_api::Timestamp;
use deckle_api::hostup::{Problem, ProblemCode, ProblemField, RequestId};

use crate::error::{Error, chain};
use crate::rates::Standing;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Whether a path is one of the second dialect.
pub(super) fn is_second(path: &str) -> bool {
    path.strip_prefix("/api/v2").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A refusal, with the word that the second dialect has for it.
#[derive(Debug, Clone)]
pub struct Refusal {
    code: ProblemCode,
    error: Arc<Error>,
}

impl Refusal {
    /// A refusal that the second dialect has a word of its own for.
    pub fn of(code: ProblemCode, error: Error) -> Self {
        Self { code, error: Arc::new(error) }
    }

    fn problem(&self, instance: String, id: RequestId, now: Timestamp) -> Problem {
        let mut problem = Problem::of(self.code, self.error.told().message, instance, id, now);
        if self.code == ProblemCode::InvalidRequest {
            problem.errors = Some(vec![field(&self.error)]);
        }
        problem
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NotJson(_) | Error::Field { .. } => ProblemCode::InvalidRequest,
            Error::NoKey => ProblemCode::Unauthorized,
            Error::Forbidden(_) => ProblemCode::Forbidden,
            Error::NotFound(_) => ProblemCode::NotFound,
            Error::Method { .. } => ProblemCode::MethodNotAllowed,
            Error::Conflict(_) | Error::Precondition(_) => ProblemCode::Conflict,
            Error::TooLarge { .. } => ProblemCode::PayloadTooLarge,
            Error::TooLong { .. } => ProblemCode::RequestTimeout,
            Error::TooMany { .. } => ProblemCode::RateLimitExceeded,
            Error::Protected(_) => ProblemCode::NetworkProtected,
            Error::Ours { .. } => ProblemCode::InternalError,
        };
        Self::of(code, error)
    }
}

impl IntoResponse for Refusal {
    /// As the v1 API answers it, with the refusal itself for [`dress`].
    fn into_response(self) -> Response {
        if matches!(*self.error, Error::Ours { .. }) {
            tracing::error!(error = chain(&*self.error), "a request failed");
        }
        let told = self.error.told();
        let status = StatusCode::from_u16(told.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(told)).into_response();
        if let Error::TooMany { retry_s, .. } = &*self.error {
            response.headers_mut().insert(RETRY_AFTER, (*retry_s).into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// What is wrong at one place of a request.
fn field(error: &Error) -> ProblemField {
    let Error::Field { field, wrong } = error else {
        let (pointer, code) = (String::new(), "invalid_value".to_owned());
        return ProblemField { pointer, detail: error.to_string(), code };
    };
    let code = match wrong.as_str() {
        wrong if wrong.starts_with("is required") => "missing_required",
        wrong if wrong.starts_with("is not a field") => "unknown_field",
        _ => "invalid_value",
    };
    ProblemField { pointer: pointer(field), detail: error.to_string(), code: code.to_owned() }
}

/// The JSON pointer of a field that is named by its path: `a.b[0]`.
fn pointer(field: &str) -> String {
    if field == "body" {
        return String::new();
    }
    let escaped = field.replace('~', "~0").replace('/', "~1");
    escaped.split(['.', '[']).map(|part| format!("/{}", part.trim_end_matches(']'))).collect()
}

/// An answer of the second dialect, from the answer as it comes out of the other layers.
pub(super) fn dress(
    response: Response,
    instance: String,
    id: RequestId,
    standing: Option<Standing>,
    now: Timestamp,
) -> Response {
    let mut response = match response.status().is_success() {
        true => response,
        false => problem(response, instance, id, now),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(VARY, HeaderValue::from_static("Authorization, Cookie"));
    if let Some(standing) = standing {
        tell(headers, standing);
    }
    response
}

fn problem(response: Response, instance: String, id: RequestId, now: Timestamp) -> Response {
    let (mut parts, _) = response.into_parts();
    let refusal = parts.extensions.remove::<Refusal>().unwrap_or_else(|| {
        Error::ours("answer a request", format!("an answer with status {} says no more", parts.status)).into()
    });
    let problem = refusal.problem(instance, id, now);
    parts.status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if problem.code == ProblemCode::Unauthorized {
        parts.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Response::from_parts(parts, Body::from(serde_json::to_vec(&problem).unwrap_or_default()))
}

/// How the key stands.
fn tell(headers: &mut HeaderMap, standing: Standing) {
    headers.insert(LIMIT, standing.limit.into());
    headers.insert(REMAINING, standing.remaining.into());
    let reset = HeaderValue::from_str(&standing.reset.to_string());
    headers.insert(RESET, reset.expect("a moment is written in digits and signs"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_told_as_a_json_pointer() {
        for (field, expected) in
            [("name", "/name"), ("a.b", "/a/b"), ("a[0].b", "/a/0/b"), ("body", ""), ("x/y~z", "/x~1y~0z")]
        {
            assert_eq!(pointer(field), expected, "{field}");
        }
    }

    #[test]
    fn only_whole_words_are_the_second_dialects_paths() {
        for (path, expected) in [
            ("/api/v2", true),
            ("/api/v2/", true),
            ("/api/v2/private-networks", true),
            ("/api/v20", false),
            ("/v1/api/v2", false),
            ("/api", false),
        ] {
            assert_eq!(is_second(path), expected, "{path}");
        }
    }
}
