//! What lies around every handler: the request's id, its time limit, its caller, its idempotency key,
//! and an answer of ours for whatever goes wrong on the way.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::auth::caller_of;
use super::extract;
use crate::app::App;
use crate::error::{Error, Result};
use crate::idempotency::Once;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a client may give to its request.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Puts the shell around the routes. No answer takes longer than `limit_s` seconds.
pub fn shell(routes: Router<App>, app: App, limit_s: u64) -> Router {
    let routes = routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), receive))
        .with_state(app.clone());
    let without_slash = Router::new().fallback_service(routes).layer(middleware::from_fn(drop_last_slash));
    Router::new()
        .fallback_service(without_slash)
        .layer(middleware::from_fn_with_state((app, limit_s), number))
}

async fn no_such_path(uri: Uri) -> Error {
    Error::NotFound(format!("there is no path {}; /v1/openapi.json lists them", uri.path()))
}

async fn no_such_method(request: Request) -> Error {
    Error::Method { method: request.method().to_string(), path: request.uri().path().to_owned() }
}

/// Gives the request an id, tells it back, and sees that an answer comes in any case.
async fn number(State((app, limit_s)): State<(App, u64)>, request: Request, next: Next) -> Response {
    let given =
        request.headers().get(REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_CHARS_MAX && !id.is_empty());
    let id = given.cloned().unwrap_or_else(|| fresh_id(app.clock.random()));
    let handled = tokio::spawn(tokio::time::timeout(Duration::from_secs(limit_s), next.run(request)));
    let mut response = match AssertUnwindSafe(handled).0.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Error::TooLong { limit_s }.into_response(),
        Err(panic) => Error::ours("answer a request", panic).into_response(),
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn fresh_id(random: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("{random:016x}")).expect("hexadecimal digits are a header value")
}

/// `/v1/machines/` is `/v1/machines`.
async fn drop_last_slash(mut request: Request, next: Next) -> Response {
    let uri = request.uri();
    let path = uri.path();
    if path.len() > 1 && path.ends_with('/') {
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { "/" } else { path };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = format!("{path}{query}").parse() {
            *request.uri_mut() = uri;
        }
    }
    next.run(request).await
}

/// Finds the caller, and lets a request with an idempotency key do its work once.
async fn receive(State(app): State<App>, request: Request, next: Next) -> Result<Response> {
    let Some(mut caller) = caller_of(&app, request.headers()).await? else {
        return Ok(next.run(request).await);
    };
    if !request.headers().contains_key("idempotency-key") {
        return Ok(next.run(with_caller(request, caller)).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = extract::bytes(Request::new(body)).await?;
    let once = Once::of(&caller.api_key, &parts.method, parts.uri.path(), &parts.headers, &bytes)?;
    let request = Request::from_parts(parts, Body::from(bytes));
    let Some(once) = once else { return Ok(next.run(with_caller(request, caller)).await) };
    let _turn = app.running.begin(&once)?;
    if let Some(answer) = once.answer(&app).await? {
        return Ok(answer);
    }
    caller.once = Some(once);
    Ok(next.run(with_caller(request, caller)).await)
}

fn with_caller(mut request: Request, caller: super::Caller) -> Request {
    request.extensions_mut().insert(caller);
    request
}
