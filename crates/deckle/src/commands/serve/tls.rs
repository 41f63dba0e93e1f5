//! TLS on the API's listener, with the certificate that the settings name.
//!
//! **Invariant**: a handshake takes as long as its client likes, up to a limit, and holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::serve::Listener;
use deckle_control::config::Tls;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes may be under way; who comes later waits for one of them.
const HANDSHAKES_MAX: usize = 1024;

/// A certificate that was read.
pub struct Certificate {
    files: Tls,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads it, and the key that belongs to it.
    pub fn read(files: &Tls) -> Result<Self> {
        Ok(Self { files: files.clone(), config: Arc::new(read(files)?) })
    }
}

/// Connections whose handshake is done.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    certified: watch::Receiver<Arc<ServerConfig>>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

/// Puts TLS over a listener. The certificate is read again at each SIGHUP.
pub fn listen(tcp: TcpListener, certificate: Certificate) -> Result<TlsListener> {
    let (renewed, certified) = watch::channel(certificate.config);
    let hangups = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    tokio::spawn(renew(certificate.files, hangups, renewed));
    Ok(TlsListener { tcp, certified, handshakes: JoinSet::new() })
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let has_room = self.handshakes.len() < HANDSHAKES_MAX;
            tokio::select! {
                (stream, peer) = Listener::accept(&mut self.tcp), if has_room => {
                    let acceptor = TlsAcceptor::from(self.certified.borrow().clone());
                    self.handshakes.spawn(shake_hands(acceptor, stream, peer));
                }
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = ended {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A client that fails is told by TLS itself, and is no event of this server's.
async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(TlsStream<TcpStream>, SocketAddr)> {
    match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some((stream, peer)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a handshake failed");
            None
        }
        Err(_) => None,
    }
}

async fn renew(files: Tls, mut hangups: Signal, renewed: watch::Sender<Arc<ServerConfig>>) {
    while hangups.recv().await.is_some() {
        match read(&files) {
            Ok(config) => {
                renewed.send_replace(Arc::new(config));
                tracing::info!("the certificate is read again");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the certificate cannot be read again; the one before stays in use");
            }
        }
    }
}

fn read(files: &Tls) -> Result<ServerConfig> {
    let reading = || format!("read the certificate {}", files.certificate.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate).with_context(reading)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().with_context(reading)?;
    if chain.is_empty() {
        bail!("{} has no certificate in PEM", files.certificate.display());
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("read the key of the certificate {}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("use the certificate {}", files.certificate.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
