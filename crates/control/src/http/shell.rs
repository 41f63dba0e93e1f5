//! What lies around every handler: the request's id, its time limit, its caller, its idempotency key,
//! and an answer of ours for whatever goes wrong on the way.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use super::auth::caller_of;
use super::{extract, problems};
use crate::app::App;
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::idempotency::Once;
use crate::meters::Answering;
use crate::rates::Standing;
use deckle_api::hostup::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that a client may give to its request.
const REQUEST_ID_CHARS_MAX: usize = 128;

/// What a shell has a way in through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The API's listener: its keys have limits.
    Api,
    /// The operator's socket.
    Operator,
}

/// How the caller's key stands, once it is known.
type Told = Arc<OnceLock<Standing>>;

/// Puts the shell around the routes. No answer takes longer than `limit_s` seconds.
pub fn shell(routes: Router<App>, app: App, door: Door, limit_s: u64) -> Router {
    let routes = routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state((app.clone(), door), receive))
        .layer(middleware::from_fn(measure))
        .with_state(app.clone());
    let without_slash = Router::new().fallback_service(routes).layer(middleware::from_fn(drop_last_slash));
    Router::new()
        .fallback_service(without_slash)
        .layer(middleware::from_fn_with_state((app, limit_s), number))
}

async fn no_such_path(uri: Uri) -> Error {
    let list = if problems::is_second(uri.path()) { "/api/v2/openapi.json" } else { "/v1/openapi.json" };
    Error::NotFound(format!("there is no path {}; {list} lists them", uri.path()))
}

async fn no_such_method(request: Request) -> Error {
    Error::Method { method: request.method().to_string(), path: request.uri().path().to_owned() }
}

/// Gives the request an id, tells it back, and sees that an answer comes in any case.
async fn number(State((app, limit_s)): State<(App, u64)>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let told = Told::default();
    request.extensions_mut().insert(told.clone());
    let given =
        request.headers().get(REQUEST_ID).filter(|id| id.len() <= REQUEST_ID_CHARS_MAX && !id.is_empty());
    let id = given.cloned().unwrap_or_else(|| fresh_id(app.clock.random()));
    let second = problems::is_second(&path)
        .then(|| RequestId::mint(app.clock.now(), [app.clock.random(), app.clock.random()]));
    let handled = tokio::spawn(tokio::time::timeout(Duration::from_secs(limit_s), next.run(request)));
    let mut response = match AssertUnwindSafe(handled).0.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Error::TooLong { limit_s }.into_response(),
        Err(panic) => Error::ours("answer a request", panic).into_response(),
    };
    let id = match second {
        None => id,
        Some(second) => {
            response = problems::dress(response, path, second, told.get().copied(), app.clock.now());
            HeaderValue::from_str(&second.to_string()).expect("the digits of an id are a header value")
        }
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

/// Counts the request under its route, and takes its time.
async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let answering = Answering::begin(request.method(), route);
    let response = next.run(request).await;
    answering.end(response.status());
    response
}

/// Finds the caller, sees that its key may call now, and lets a request with an idempotency key do its work
/// once.
async fn receive(State((app, door)): State<(App, Door)>, request: Request, next: Next) -> Result<Response> {
    let Some(mut caller) = caller_of(&app, request.uri().path(), request.headers()).await? else {
        return Ok(next.run(request).await);
    };
    if door == Door::Api {
        take_turn(&app, &caller, &request)?;
    }
    if !request.headers().contains_key("idempotency-key") {
        return Ok(next.run(with_caller(request, caller)).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = extract::bytes(Request::new(body)).await?;
    let once = Once::of(&caller.api_key, &parts.method, parts.uri.path(), &parts.headers, &bytes)?;
    let request = Request::from_parts(parts, Body::from(bytes));
    let Some(once) = once else { return Ok(next.run(with_caller(request, caller)).await) };
    let _turn = app.running.begin(&once)?;
    if let Some(mut answer) = once.answer(&app).await? {
        if problems::is_second(request.uri().path()) {
            // What a POST makes there is answered so, the second time too.
            *answer.status_mut() = StatusCode::CREATED;
        }
        return Ok(answer);
    }
    caller.once = Some(once);
    Ok(next.run(with_caller(request, caller)).await)
}

/// Takes the request from what the caller's key may make.
fn take_turn(app: &App, caller: &super::Caller, request: &Request) -> Result<()> {
    let Some(standing) = app.rates.take(&caller.api_key) else { return Ok(()) };
    if let Some(told) = request.extensions().get::<Told>() {
        // A request has one caller: nothing was told before.
        let _ = told.set(standing);
    }
    let requests_s = app.config.limits.requests_s.unwrap_or(Limits::REQUESTS_S);
    standing.retry_s.map_or(Ok(()), |retry_s| Err(Error::TooMany { requests_s, retry_s }))
}

fn with_caller(mut request: Request, caller: super::Caller) -> Request {
    request.extensions_mut().insert(caller);
    request
}
