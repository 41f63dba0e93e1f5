//! Lines from a peer that may be slow, dead or hostile.
//!
//! **Invariant**: no wait without a limit, and never more than [`LINE_MAX`] bytes of a line are kept.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

/// The longest answer that is taken, in bytes.
const LINE_MAX: u64 = 256 * 1024;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Nobody listens, or the peer hung up.
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    /// No answer in time.
    #[error("there was no answer in time")]
    TooLate,
    /// An answer that is none.
    #[error("the answer is not understood: {0}")]
    Garbage(&'static str),
    /// The peer understood and said no.
    #[error("{command}: {said}")]
    Refused {
        /// What was asked.
        command: String,
        /// The peer's words.
        said: String,
    },
}

/// A conversation over a unix socket, with one deadline for all of it.
#[derive(Debug)]
pub struct Lines {
    stream: BufReader<UnixStream>,
    deadline: Instant,
}

impl Lines {
    /// Connects; everything up to the last answer must be done within `limit`.
    pub async fn open(socket: &Path, limit: Duration) -> Result<Self, Broken> {
        let deadline = Instant::now() + limit;
        let stream =
            timeout_at(deadline, UnixStream::connect(socket)).await.map_err(|_| Broken::TooLate)??;
        Ok(Self { stream: BufReader::new(stream), deadline })
    }

    /// Sets a new deadline.
    pub fn within(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let sent = timeout_at(self.deadline, self.stream.get_mut().write_all(bytes)).await;
        Ok(sent.map_err(|_| Broken::TooLate)??)
    }

    /// Sends a value as one line.
    pub async fn send_value(&mut self, value: &Value) -> Result<(), Broken> {
        self.send(format!("{value}\n").as_bytes()).await
    }

    /// The next line as a value.
    pub async fn value(&mut self) -> Result<Value, Broken> {
        let line = self.until(b'\n').await?;
        serde_json::from_slice(&line).map_err(|_| Broken::Garbage("it is not JSON"))
    }

    /// All bytes up to and with `end`.
    pub async fn until(&mut self, end: u8) -> Result<Vec<u8>, Broken> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE_MAX);
        let read = timeout_at(self.deadline, bounded.read_until(end, &mut line)).await;
        read.map_err(|_| Broken::TooLate)??;
        match line.last() {
            Some(last) if *last == end => Ok(line),
            _ if line.len() as u64 == LINE_MAX => Err(Broken::Garbage("it has no end")),
            _ => Err(Broken::Socket(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}
