//! `deckle serve` as a process: started, killed, started again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Start {
    pub config: PathBuf,
    pub state: PathBuf,
    pub log: PathBuf,
    pub database: Option<String>,
    /// Whether every address of the host leads to the API.
    pub listens_everywhere: bool,
    /// The search path for programs, where it is not the tests' own.
    pub path: Option<String>,
}

/// A server that serves.
pub struct Server {
    child: Child,
    /// Where its API is.
    pub api: SocketAddr,
    /// Open, because a server that cannot say something ends.
    _says: BufReader<ChildStdout>,
}

impl Server {
    /// Starts one, and waits until it serves.
    pub fn start(start: &Start) -> Self {
        let listen = if start.listens_everywhere { "0.0.0.0:0" } else { "127.0.0.1:0" };
        let log = File::options().create(true).append(true).open(&start.log).unwrap();
        let mut command = deckle(&start.state);
        command.args(["serve", "--listen", listen, "--config"]).arg(&start.config);
        command.args(start.database.iter().flat_map(|url| ["--database", url]));
        command.envs(start.path.iter().map(|path| ("PATH", path)));
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let port = says.by_ref().lines().map_while(Result::ok).find_map(|line| port_of(&line));
        let Some(port) = port else {
            let status = child.wait().unwrap();
            panic!("the server does not serve ({status}): {}", tail(&start.log));
        };
        Self { child, api: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), _says: says }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Ends it from one instant to the next.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, which it must do cleanly.
    pub fn end(&mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the server ended with {status}");
    }
}

/// The port in `listening on http://ADDRESS:PORT`.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("listening on ")?.rsplit_once(':')?.1.parse().ok()
}

/// The binary, for that state folder.
pub fn deckle(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deckle"));
    for name in ["DECKLE_URL", "DECKLE_API_KEY", "PAPERSPACE_API_URL", "PAPERSPACE_API_KEY", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.env("DECKLE_STATE", state).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    const LINES: usize = 40;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
