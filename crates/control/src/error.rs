//! What a request can be refused with, and the one place that says how it is told.
//!
//! A caller's fault is told in full. A fault of ours is logged in full and told as "internal error".

use deckle_api::errors::{ErrorBody, ErrorCode};
use sea_orm::DbErr;

/// The outcome of what a request asks.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// A field is missing, of the wrong type, or out of its limits.
    #[error("{field}: {wrong}")]
    Field {
        /// The field, by its path in the body or its name in the query.
        field: String,
        /// What is wrong with it, and what was expected.
        wrong: String,
    },
    /// There is no valid key.
    #[error("send a valid API key in the header `Authorization: Bearer KEY`")]
    NoKey,
    /// The caller may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or it is another team's.
    #[error("{0}")]
    NotFound(String),
    /// The path has no such method.
    #[error("{method} is not a method of {path}")]
    Method {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// It contradicts what is there or under way.
    #[error("{0}")]
    Conflict(String),
    /// The object is not in the state for it.
    #[error("{0}")]
    Precondition(String),
    /// The object is protected against deletion.
    #[error("{0}")]
    Protected(String),
    /// The body is too large.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// How large it may be.
        limit_bytes: usize,
    },
    /// It took too long.
    #[error("the answer took longer than {limit_s} seconds")]
    TooLong {
        /// How long it may take.
        limit_s: u64,
    },
    /// More requests than the key may make.
    #[error("the key may make {requests_s} requests a second; try again in {retry_s} s")]
    TooMany {
        /// How many it may make in a second.
        requests_s: u32,
        /// After how many seconds it may try again.
        retry_s: u64,
    },
    /// A fault of the server.
    #[error("{act}")]
    Ours {
        /// What was tried.
        act: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// A field that is wrong.
    pub fn field(field: impl Into<String>, wrong: impl Into<String>) -> Self {
        Self::Field { field: field.into(), wrong: wrong.into() }
    }

    /// An object that is not there, named by the field that asked for it.
    pub fn no_such(kind: &str, id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("there is no {kind} {id}"))
    }

    /// The same, where a field of the request named the object.
    #[must_use]
    pub fn of_field(self, field: &str) -> Self {
        match self {
            Self::NotFound(told) => Self::NotFound(format!("{field}: {told}")),
            Self::Precondition(told) => Self::Precondition(format!("{field}: {told}")),
            other => other,
        }
    }

    /// A fault of the server.
    pub fn ours(act: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Ours { act: act.into(), source: source.into() }
    }

    /// The code that a caller is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotJson(_) => ErrorCode::ParseError,
            Self::Field { .. } => ErrorCode::BadRequest,
            Self::NoKey => ErrorCode::Unauthorized,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::Method { .. } => ErrorCode::MethodNotSupported,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::Precondition(_) | Self::Protected(_) => ErrorCode::PreconditionFailed,
            Self::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::TooLong { .. } => ErrorCode::Timeout,
            Self::TooMany { .. } => ErrorCode::TooManyRequests,
            Self::Ours { .. } => ErrorCode::InternalServerError,
        }
    }

    /// What the caller is told.
    pub fn told(&self) -> ErrorBody {
        let message = match self {
            Self::Ours { .. } => "internal error; the server's log says more".to_owned(),
            told => told.to_string(),
        };
        ErrorBody { code: self.code(), message }
    }
}

impl From<DbErr> for Error {
    #[track_caller]
    fn from(error: DbErr) -> Self {
        Self::ours(format!("use the store at {}", std::panic::Location::caller()), error)
    }
}

/// An error and every cause of it, in one line for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
