//! A real server: `deckle serve` with pretended machines, on a free port, on a world's state folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use crate::world::World;

/// How a server is started.
pub const SERVE: &str = "serve --engine emulator --pace quick --listen 127.0.0.1:0";

/// A server that runs until it is ended, or until its story is over.
pub struct Server {
    process: Child,
    log: std::path::PathBuf,
    /// Where it listens.
    pub url: String,
    /// What it printed until it listened.
    pub said: String,
}

impl Server {
    /// Starts one, and waits until it listens.
    pub fn start(world: &World, line: &str) -> Self {
        let log = world.home().join("serve.log");
        let mut command = world.command(line);
        let mut process = command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let begins = said.len();
            let read = out.read_line(&mut said).unwrap();
            assert!(read > 0, "the server ended: {}", fs::read_to_string(&log).unwrap());
            if let Some(url) = said[begins..].trim_end().strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        Self { process, log, url, said }
    }

    /// What it printed, as the output of a command that goes on.
    pub fn said(&self) -> Output {
        let stdout = self.said.clone().into_bytes();
        Output { status: ExitStatus::from_raw(0), stdout, stderr: Vec::new() }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks it to end, as a service manager does, and waits for its end.
    pub fn end(mut self) -> ExitStatus {
        self.signal("TERM");
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        if std::thread::panicking() {
            eprintln!("the log of the server:\n{log}");
        } else {
            let odd = log.lines().find(|line| line.contains("WARN") || line.contains("ERROR"));
            assert_eq!(odd, None, "nothing odd was to happen");
        }
    }
}
