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

/// Both ids of a path that has two.
#[derive(Debug)]
pub struct Pair<A, B>(pub A, pub B);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &App) -> Result<Self> {
        let bytes = bytes(request).await?;
        let text = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes[..] };
        serde_json::from_slice::<serde::de::IgnoredAny>(text)
            .map_err(|error| Error::NotJson(error.to_string()))?;
        let mut json = serde_json::Deserializer::from_slice(text);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| wrong_json(&error))?;
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
    Error::field(at, in_words_of_json(said))
}

/// `serde` says what it expected in words of Rust.
fn in_words_of_json(said: &str) -> String {
    let Some((found, expected)) = said.split_once(", expected ") else { return said.to_owned() };
    let expected = match expected {
        "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        object if object.starts_with("struct ") => "an object",
        words => words,
    };
    format!("{}, expected {expected}", found.replace("sequence", "list").replace("map", "object"))
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let zero = form_urlencoded::parse(query.as_bytes()).find(|(_, value)| value.contains('\0'));
        if let Some((key, _)) = zero {
            return Err(Error::field(key, "expected text without a zero character"));
        }
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
        Ok(Self(id(&text)?))
    }
}

impl<A, B> FromRequestParts<App> for Pair<A, B>
where
    A: FromStr<Err: std::fmt::Display>,
    B: FromStr<Err: std::fmt::Display>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let read = axum::extract::Path::<(String, String)>::from_request_parts(parts, app).await;
        let axum::extract::Path((a, b)) = read.map_err(|error| Error::NotFound(error.body_text()))?;
        Ok(Self(id(&a)?, id(&b)?))
    }
}

fn id<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::NotFound(format!("there is no `{text}` here: {error}")))
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
            "diskSize: invalid type: string \"x\", expected a number"
        );
        assert_eq!(
            told("nam", "unknown field `nam`, expected `name` or `region` at line 1"),
            "nam: is not a field of this request, expected `name` or `region`"
        );
    }
}
