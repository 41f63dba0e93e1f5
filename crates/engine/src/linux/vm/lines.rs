//! Lines from a peer that may be slow, dead or hostile.
//!
//! **Invariant**: no wait without a limit, and never more than [`LINE_MAX`] bytes of a line are kept.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
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

    /// Sends bytes with a descriptor, which the peer gets a copy of.
    pub async fn send_with(&mut self, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Result<(), Broken> {
        let stream = self.stream.get_ref();
        let numbers = [descriptor.as_raw_fd()];
        let carried = [ControlMessage::ScmRights(&numbers)];
        let send = || {
            let text = [IoSlice::new(bytes)];
            Ok(sendmsg::<()>(stream.as_raw_fd(), &text, &carried, MsgFlags::MSG_NOSIGNAL, None)?)
        };
        let sent = timeout_at(self.deadline, stream.async_io(Interest::WRITABLE, send)).await;
        let sent = sent.map_err(|_| Broken::TooLate)??;
        self.send(&bytes[sent..]).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[tokio::test]
    async fn a_descriptor_travels_with_its_line() {
        use nix::sys::socket::{ControlMessageOwned, recvmsg};
        use std::io::IoSliceMut;
        use std::os::fd::FromRawFd;

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("carried"), "the carried one").unwrap();
        let carried = std::fs::File::open(folder.path().join("carried")).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("sock")).unwrap();
        let mut lines = Lines::open(&folder.path().join("sock"), Duration::from_secs(5)).await.unwrap();
        lines.send_with(b"a line\n", carried.as_fd()).await.unwrap();

        let (peer, _) = listener.accept().unwrap();
        let (mut bytes, mut space) = ([0; 64], nix::cmsg_space!(std::os::fd::RawFd));
        let mut text = [IoSliceMut::new(&mut bytes)];
        let got = recvmsg::<()>(peer.as_raw_fd(), &mut text, Some(&mut space), MsgFlags::empty()).unwrap();
        let rights = got.cmsgs().unwrap().find_map(|it| match it {
            ControlMessageOwned::ScmRights(numbers) => numbers.first().copied(),
            _ => None,
        });
        let length = got.bytes;
        // Why: a descriptor arrives as a number, and only a raw one can be taken over.
        // SAFETY: the kernel has just opened it for this process, and nobody else has it.
        let mut arrived = unsafe { std::fs::File::from_raw_fd(rights.unwrap()) };
        let mut said = String::new();
        arrived.read_to_string(&mut said).unwrap();
        assert_eq!((said.as_str(), &bytes[..length]), ("the carried one", &b"a line\n"[..]));
    }
}
