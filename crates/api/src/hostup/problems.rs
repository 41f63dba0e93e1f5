//! Errors of the second dialect: problem documents, after RFC 9457.

use deckle_api_macros::wire;
use serde::{Deserialize, Serialize};

use super::RequestId;
use crate::Timestamp;

/// What the `type` of a problem begins with; its code follows. The reference's own, so that clients which
/// compare it find what they know.
const TYPES: &str = "https://developer.hostup.se/errors/";

/// What went wrong, in a word. Clients branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The query or the body is wrong; `errors` says where.
    InvalidRequest,
    /// The cursor is not one of this list, team and region.
    InvalidCursor,
    /// No valid key or session was sent.
    Unauthorized,
    /// The role, or the scopes of the key, do not allow it.
    Forbidden,
    /// There is no such path.
    NotFound,
    /// There is no such network, or it is another team's.
    PrivateNetworkNotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// It took longer than it may.
    RequestTimeout,
    /// It contradicts what is there or under way.
    Conflict,
    /// Something is attached to the network.
    NetworkInUse,
    /// The network is protected against deletion.
    NetworkProtected,
    /// Another network of the team has the range.
    PrivateNetworkOverlap,
    /// The body is larger than it may be.
    PayloadTooLarge,
    /// More requests than the key may make.
    RateLimitExceeded,
    /// The server's own fault.
    InternalError,
}

impl ProblemCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::InvalidCursor => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::PrivateNetworkNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict | Self::NetworkInUse | Self::NetworkProtected | Self::PrivateNetworkOverlap => 409,
            Self::PayloadTooLarge => 413,
            Self::RateLimitExceeded => 429,
            Self::InternalError => 500,
        }
    }

    /// What went wrong, in a few words for a person: the same for each problem of the code.
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::InvalidCursor => "Validation failed",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not found",
            Self::PrivateNetworkNotFound => "Private network not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "Request timeout",
            Self::Conflict => "Conflict",
            Self::NetworkInUse => "Private network is in use",
            Self::NetworkProtected => "Private network is protected",
            Self::PrivateNetworkOverlap => "Private network range overlaps",
            Self::PayloadTooLarge => "Payload too large",
            Self::RateLimitExceeded => "Too many requests",
            Self::InternalError => "Internal server error",
        }
    }

    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidCursor => "invalid_cursor",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::PrivateNetworkNotFound => "private_network_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::Conflict => "conflict",
            Self::NetworkInUse => "network_in_use",
            Self::NetworkProtected => "network_protected",
            Self::PrivateNetworkOverlap => "private_network_overlap",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::InternalError => "internal_error",
        }
    }
}

/// A problem.
#[wire]
pub struct Problem {
    /// A name of the kind of problem that is an address, and ends with the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in a few words.
    pub title: String,
    /// The answer's status.
    #[schema(value_type = i64)]
    #[schema(format = "int32")]
    pub status: u16,
    /// What went wrong this time, in a sentence.
    pub detail: String,
    /// What went wrong, in a word.
    #[schema(value_type = String)]
    pub code: ProblemCode,
    /// The path that was asked.
    pub instance: String,
    /// The request, as the header `X-Request-Id` names it.
    #[schema(value_type = String)]
    pub request_id: RequestId,
    /// When.
    pub timestamp: Timestamp,
    /// What is wrong where, if the request is invalid.
    pub errors: Optional<Vec<ProblemField>>,
    /// Never sent here.
    #[schema(value_type = Object)]
    pub extensions: Optional<serde_json::Map<String, serde_json::Value>>,
}

/// What is wrong at one place of a request.
#[wire]
pub struct ProblemField {
    /// Where: a JSON pointer into the body, or `/` and the name of a query parameter.
    pub pointer: String,
    /// What is wrong, and what was expected.
    pub detail: String,
    /// `missing_required`, `unknown_field` or `invalid_value`.
    pub code: String,
}

impl Problem {
    /// A problem of a code.
    pub fn of(code: ProblemCode, detail: String, instance: String, id: RequestId, now: Timestamp) -> Self {
        Self {
            kind: format!("{TYPES}{}", code.word()),
            title: code.title().to_owned(),
            status: code.status(),
            detail,
            code,
            instance,
            request_id: id,
            timestamp: now,
            errors: None,
            extensions: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_word_everywhere() {
        let all = [
            ProblemCode::InvalidRequest,
            ProblemCode::InvalidCursor,
            ProblemCode::Unauthorized,
            ProblemCode::Forbidden,
            ProblemCode::NotFound,
            ProblemCode::PrivateNetworkNotFound,
            ProblemCode::MethodNotAllowed,
            ProblemCode::RequestTimeout,
            ProblemCode::Conflict,
            ProblemCode::NetworkInUse,
            ProblemCode::NetworkProtected,
            ProblemCode::PrivateNetworkOverlap,
            ProblemCode::PayloadTooLarge,
            ProblemCode::RateLimitExceeded,
            ProblemCode::InternalError,
        ];
        for code in all {
            assert_eq!(serde_json::to_value(code).unwrap_or_default(), code.word());
            assert!((400..=500).contains(&code.status()), "{code:?}");
        }
    }
}
