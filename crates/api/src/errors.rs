//! The closed list of error codes, and the one shape of an error on the wire.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What went wrong, in a word that clients know. No other word is ever sent: the official client
/// refuses a body with a code that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The body is not JSON.
    ParseError,
    /// A field is missing, of the wrong type, or out of its limits.
    BadRequest,
    /// No valid key was sent.
    Unauthorized,
    /// The key's user or its scopes may not do this.
    Forbidden,
    /// No such object, or one of another team.
    NotFound,
    /// The path has no such method.
    MethodNotSupported,
    /// The request took longer than it may.
    Timeout,
    /// It contradicts something that is already there or already under way.
    Conflict,
    /// The object is not in the state for it.
    PreconditionFailed,
    /// The body is larger than it may be.
    PayloadTooLarge,
    /// More requests than the key may make.
    TooManyRequests,
    /// The client left before the answer.
    ClientClosedRequest,
    /// The server's own fault.
    InternalServerError,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::ParseError | Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotSupported => 405,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::TooManyRequests => 429,
            Self::ClientClosedRequest => 499,
            Self::InternalServerError => 500,
        }
    }
}

/// An error on the wire: these two keys and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorBody {
    /// What went wrong, in a word.
    pub code: ErrorCode,
    /// What went wrong, in a sentence that names the field and what was expected.
    pub message: String,
}

impl PartialSchema for ErrorBody {
    /// The reference's shape. Its `details` is never sent: the official client refuses it.
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .property("message", String::schema())
            .property("code", String::schema())
            .property("details", ObjectBuilder::new().schema_type(Type::Object))
            .required("message")
            .required("code")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .into()
    }
}

impl ToSchema for ErrorBody {}
