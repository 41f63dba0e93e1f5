//! How bodies, queries and paths are read: as leniently as real clients need, and with errors that name
//! the field.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::BODY_BYTES_MAX;
use crate::app::App;
use crate::error::{Error, Result};

/// A JSON body. No body, with or without a content type, is read as `{}`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A body that says nothing that matters here, but must be JSON if there is one.
#[derive(Debug)]
pub struct Ignored;

/// The query string.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The last id of the path. Text that cannot be an id names nothing: it is not found.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self> {
        let bytes = bytes(request).await?;
        let text = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes[..] };
        let mut json = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| wrong_json(&error))?;
        json.end().map_err(|error| Error::NotJson(error.to_string()))?;
        Ok(Self(value))
    }
}

impl FromRequest<App> for Ignored {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        Body::<serde::de::IgnoredAny>::from_request(request, app).await.map(|_| Self)
    }
}

/// The whole body, up to the limit.
pub(super) async fn bytes(request: Request) -> Result<axum::body::Bytes> {
    let too_large = |_| Error::TooLarge { limit_bytes: BODY_BYTES_MAX };
    axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(too_large)
}

fn wrong_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let cause = error.inner();
    match cause.classify() {
        serde_json::error::Category::Data => field_error(&error.path().to_string(), &cause.to_string()),
        _ => Error::NotJson(cause.to_string()),
    }
}

/// An error of `serde` as one that names the field.
fn field_error(path: &str, said: &str) -> Error {
    let said = said.split(" at line ").next().unwrap_or(said);
    for (begins, wrong) in
        [("missing field `", "is required"), ("unknown field `", "is not a field of this request")]
    {
        if let Some((field, expected)) = said.strip_prefix(begins).and_then(|rest| rest.split_once('`')) {
            let at = if path == "." || path.ends_with(field) {
                field.to_owned()
            } else {
                format!("{path}.{field}")
            };
            return Error::field(at, format!("{wrong}{expected}"));
        }
    }
    let at = if path == "." { "body" } else { path };
    Error::field(at, said)
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let values = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        let value = serde_path_to_error::deserialize(values)
            .map_err(|error| field_error(&error.path().to_string(), &error.inner().to_string()))?;
        Ok(Self(value))
    }
}

impl<T: FromStr<Err: std::fmt::Display> + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let read = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        let axum::extract::Path(text) = read.map_err(|error| Error::NotFound(error.body_text()))?;
        let id =
            text.parse().map_err(|error| Error::NotFound(format!("there is no `{text}` here: {error}")))?;
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_errors_name_the_field() {
        let told = |path, said| field_error(path, said).to_string();
        assert_eq!(told(".", "missing field `name` at line 1 column 2"), "name: is required");
        assert_eq!(told("config", "missing field `image`"), "config.image: is required");
        assert_eq!(
            told("diskSize", "invalid type: string \"x\", expected f64 at line 1 column 9"),
            "diskSize: invalid type: string \"x\", expected f64"
        );
        assert_eq!(
            told("nam", "unknown field `nam`, expected `name` or `region` at line 1"),
            "nam: is not a field of this request, expected `name` or `region`"
        );
    }
}
