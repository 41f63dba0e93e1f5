//! One request on a connection of its own: TCP, TLS over it, or a unix socket.
//!
//! It knows nothing of the API: no keys, no retries, no error bodies.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// How long a connection may take to come about.
const CONNECT_SECONDS_MAX: u64 = 10;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// There was no connection, so the server has seen nothing.
    #[error("cannot connect to {to}")]
    NotConnected {
        /// Where to.
        to: String,
        /// Why.
        source: io::Error,
    },
    /// The connection was lost, so the server may have acted.
    #[error("the connection to {to} was lost before the answer")]
    Lost {
        /// Where to.
        to: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Broken {
    /// Whether the server showed a certificate, and nothing here vouches for it.
    pub fn is_distrust(&self) -> bool {
        let Self::NotConnected { source, .. } = self else { return false };
        let cause = source.get_ref().and_then(|cause| cause.downcast_ref());
        matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
    }
}

/// Sends a request to the server that its address names.
pub async fn send(request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
    let to = Address::of(request.uri());
    let refused = |source| Broken::NotConnected { to: to.to_string(), source };
    let stream = within_limit(TcpStream::connect((to.host.as_str(), to.port))).await.map_err(refused)?;
    if !to.tls {
        return exchange(stream, request, &to).await;
    }
    let name = ServerName::try_from(to.host.clone()).map_err(|error| refused(io::Error::other(error)))?;
    let connector = TlsConnector::from(tls().map_err(refused)?);
    let stream = within_limit(connector.connect(name, stream)).await.map_err(refused)?;
    exchange(stream, request, &to).await
}

/// Sends a request to the server that listens on a unix socket.
pub async fn send_to_socket(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Broken> {
    let to = socket.display();
    let stream = within_limit(UnixStream::connect(socket))
        .await
        .map_err(|source| Broken::NotConnected { to: to.to_string(), source })?;
    exchange(stream, request, &to).await
}

async fn within_limit<T>(connect: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
    timeout(limit, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut request: Request<Full<Bytes>>,
    to: &impl fmt::Display,
) -> Result<Response<Incoming>, Broken> {
    let lost = |source: hyper::Error| Broken::Lost { to: to.to_string(), source: source.into() };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // The connection carries the body after this returns, and ends with it; its error shows there too.
    tokio::spawn(connection);
    let authority = request.uri().authority().map_or("localhost", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority).expect("an authority is made of header characters");
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().expect("a path of an address is an address");
    sender.send_request(request).await.map_err(lost)
}

struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl Address {
    fn of(uri: &Uri) -> Self {
        let tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Self { host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        write!(f, "{host}:{port}")
    }
}

/// The host's own trusted certificates, so that a private authority installed there counts.
fn tls() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::other("this host trusts no certificate: install the package ca-certificates"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}
