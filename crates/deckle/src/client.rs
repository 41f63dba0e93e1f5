//! A thin client of the API and of the operator's socket: keys, retries, and the one shape of an error.
//!
//! **Invariant**: a request that may have been acted on is sent again only where that cannot act twice:
//! a GET, or a POST with the same `Idempotency-Key`, which the API knows and the operator's socket does not.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Method, Request, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::connection::{self, Broken};
use crate::target::{Target, is_here};

/// How often a request is sent at most.
const TRIES_MAX: u32 = 5;
/// The wait before the second try; it doubles with each.
const RETRY_MS: u64 = 200;
/// The longest wait that a server may ask for before the next try.
const RETRY_AFTER_SECONDS_MAX: u64 = 30;
/// How long an answer of the API may take.
const ANSWER_SECONDS_MAX: u64 = 60;
/// How long an operator's order may take: a template is converted within it.
const ORDER_SECONDS_MAX: u64 = 3600;
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// An error that the server answered.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code}){}", hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub struct Refused {
    /// The word of the API, or the status where the body was not the API's.
    pub code: String,
    /// What the server says.
    pub message: String,
    /// What may help, where the client knows more than the server.
    pub hint: Option<&'static str>,
}

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    target: Target,
}

/// One request, as often as it is sent.
struct Order {
    method: Method,
    path: String,
    body: Bytes,
    idempotency_key: Option<String>,
}

/// What one try came to.
enum Try {
    Answered(Value),
    Refused { refused: Refused, status: StatusCode, wait: Option<Duration> },
}

impl Client {
    /// A client of a server.
    pub fn new(target: Target) -> Self {
        Self { target }
    }

    /// The host of the server, where that is another one than this.
    pub fn other_host(&self) -> Option<&str> {
        match &self.target {
            Target::Api { root, .. } if !is_here(root) => root.host(),
            _ => None,
        }
    }

    /// Reads an object or a list.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Order::new(Method::GET, path, None)).await
    }

    /// Creates an object.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        let body = serde_json::to_vec(body).context("write the request")?;
        let mut order = Order::new(Method::POST, path, Some(body));
        if matches!(self.target, Target::Api { .. }) {
            order.idempotency_key = Some(fresh_key()?);
        }
        self.send(order).await
    }

    /// Changes an object. The same change twice is one change.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value> {
        let body = serde_json::to_vec(body).context("write the request")?;
        self.send(Order::new(Method::PUT, path, Some(body))).await
    }

    /// Orders a change that needs no body.
    pub async fn patch(&self, path: &str) -> Result<Value> {
        self.send(Order::new(Method::PATCH, path, Some(b"{}".to_vec()))).await
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.send(Order::new(Method::DELETE, path, None)).await
    }

    async fn send(&self, order: Order) -> Result<Value> {
        let mut tried = 0;
        let mut lost = false;
        loop {
            tried += 1;
            let pause = Duration::from_millis(RETRY_MS << (tried - 1));
            match self.try_once(&order).await {
                Ok(Try::Answered(value)) => return Ok(value),
                Ok(Try::Refused { refused, status, wait }) => {
                    if tried == TRIES_MAX || !is_passing(status, lost) {
                        return Err(self.explain(refused, status));
                    }
                    sleep(wait.unwrap_or(pause)).await;
                }
                Err(broken) => {
                    lost |= matches!(broken, Broken::Lost { .. });
                    if tried == TRIES_MAX || !lost || !order.may_be_sent_again() {
                        return Err(self.advise(broken));
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    async fn try_once(&self, order: &Order) -> Result<Try, Broken> {
        let limit = match self.target {
            Target::Api { .. } => ANSWER_SECONDS_MAX,
            Target::Admin { .. } => ORDER_SECONDS_MAX,
        };
        let exchange = async {
            let response = match &self.target {
                Target::Api { .. } => connection::send(self.request(order)).await?,
                Target::Admin { socket } => connection::send_to_socket(socket, self.request(order)).await?,
            };
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|source| Broken::Lost { to: self.name(), source })?.to_bytes();
            let after = head.headers.get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
            let wait = after.map(|seconds: u64| Duration::from_secs(seconds.min(RETRY_AFTER_SECONDS_MAX)));
            Ok(read(head.status, &body, wait))
        };
        let late = || Broken::Lost { to: self.name(), source: format!("no answer in {limit} s").into() };
        timeout(Duration::from_secs(limit), exchange).await.unwrap_or_else(|_| Err(late()))
    }

    fn request(&self, order: &Order) -> Request<Full<Bytes>> {
        let (address, key) = match &self.target {
            Target::Api { root, key } => (join(root, &order.path), key.as_deref()),
            Target::Admin { .. } => (order.path.clone(), None),
        };
        let mut request = Request::builder()
            .method(&order.method)
            .uri(address)
            .header(ACCEPT, "application/json")
            .header("user-agent", concat!("deckle/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        if let Some(key) = &order.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if !order.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(order.body.clone())).expect("the parts of a request were checked at the rim")
    }

    fn name(&self) -> String {
        match &self.target {
            Target::Api { root, .. } => root.to_string().trim_end_matches('/').to_owned(),
            Target::Admin { socket } => socket.display().to_string(),
        }
    }

    fn explain(&self, mut refused: Refused, status: StatusCode) -> anyhow::Error {
        if status == StatusCode::UNAUTHORIZED {
            refused.hint = Some(match self.target {
                Target::Api { key: Some(_), .. } => {
                    "the key that was sent is none of this server's, or is deleted"
                }
                _ => "no key was sent: set DECKLE_API_KEY, or run this as the server's user on its host",
            });
        }
        refused.into()
    }

    fn advise(&self, broken: Broken) -> anyhow::Error {
        let advice = match (&broken, &self.target) {
            (Broken::Lost { .. }, _) => "whether the server acted is not known: look before asking again",
            _ if broken.is_distrust() => {
                "nothing on this host vouches for that certificate: install its authority, or name it in SSL_CERT_FILE"
            }
            (_, Target::Admin { .. }) => {
                "is `deckle serve` running here? Only its user can open this socket; --state names another folder"
            }
            (_, Target::Api { root, .. }) if is_here(root) => "start the server with `deckle serve`",
            _ => "is `deckle serve` running there, and does DECKLE_URL or --url name it?",
        };
        anyhow!("{:#}\nhint: {advice}", anyhow::Error::from(broken))
    }
}

impl Order {
    fn new(method: Method, path: &str, body: Option<Vec<u8>>) -> Self {
        Self { method, path: path.to_owned(), body: body.unwrap_or_default().into(), idempotency_key: None }
    }

    fn may_be_sent_again(&self) -> bool {
        self.method == Method::GET || self.idempotency_key.is_some()
    }
}

/// Whether the same request may well succeed later. After a lost connection the first try may still be
/// under way on the server, which is then a conflict.
fn is_passing(status: StatusCode, lost: bool) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || lost && status == StatusCode::CONFLICT
}

fn read(status: StatusCode, body: &[u8], wait: Option<Duration>) -> Try {
    if !status.is_success() {
        return Try::Refused { refused: refusal(status, body), status, wait };
    }
    match serde_json::from_slice(body) {
        Ok(value) => Try::Answered(value),
        Err(error) => {
            let message = format!("the answer is not JSON: {error}; is this the address of a Deckle server?");
            let refused = Refused { code: format!("HTTP {}", status.as_u16()), message, hint: None };
            Try::Refused { refused, status, wait }
        }
    }
}

/// An error as this client reads it: a newer server may know other codes, and send other keys.
#[derive(Deserialize)]
struct Told {
    code: Option<String>,
    message: String,
}

fn refusal(status: StatusCode, body: &[u8]) -> Refused {
    let status = format!("HTTP {}", status.as_u16());
    match serde_json::from_slice(body) {
        Ok(Told { code, message }) => Refused { code: code.unwrap_or(status), message, hint: None },
        Err(_) => Refused {
            code: status,
            message: "the server refused the request, in words that are not the API's".to_owned(),
            hint: Some("does DECKLE_URL or --url name the root of a Deckle server?"),
        },
    }
}

fn join(root: &Uri, path: &str) -> String {
    format!("{}{path}", root.to_string().trim_end_matches('/'))
}

fn fresh_key() -> Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow!("ask the system for random bytes: {error}"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
