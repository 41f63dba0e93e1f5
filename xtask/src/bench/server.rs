//! A server of its own for each part of a run: its folder, its process, and what it takes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::http::{Client, Door};

/// A running server. It ends, and its folder goes, when this is dropped.
#[derive(Debug)]
pub struct Server {
    deckle: PathBuf,
    state: TempDir,
    process: Child,
    engine: &'static str,
    pub door: Door,
    /// Kept open: a server may go on talking.
    _words: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(deckle: &Path, engine: &'static str) -> Result<Self> {
        Self::start_with(deckle, engine, "")
    }

    /// A server with settings of its own.
    pub fn start_with(deckle: &Path, engine: &'static str, config: &str) -> Result<Self> {
        let state = tempfile::Builder::new().prefix("deckle-bench-").tempdir()?;
        let log = File::create(state.path().join("serve.log"))?;
        // What is measured is the server, not its patience with one key.
        let file = state.path().join("bench.toml");
        fs::write(&file, format!("{config}[limits]\nrequests_s = 0\n"))?;
        let mut process = Command::new(deckle)
            .args(["serve", "--listen", "127.0.0.1:0", "--engine", engine, "--config"])
            .arg(&file)
            .arg("--state")
            .arg(state.path())
            .env_remove("DECKLE_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", deckle.display()))?;
        let mut words = BufReader::new(process.stdout.take().context("the server's output is piped")?);
        let address = match listening(&mut words) {
            Ok(address) => address,
            Err(error) => {
                process.kill()?;
                process.wait()?;
                let log = fs::read_to_string(state.path().join("serve.log")).unwrap_or_default();
                bail!("{error}; it said:\n{log}");
            }
        };
        let key = fs::read_to_string(state.path().join("owner.key")).context("read the first key")?;
        let door = Door { address: address.parse()?, key: key.trim().to_owned() };
        Ok(Self { deckle: deckle.to_owned(), state, process, engine, door, _words: words })
    }

    pub fn client(&self) -> Result<Client> {
        Client::new(&self.door)
    }

    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Runs the server's own command line as its operator.
    pub fn admin(&self, words: &[&str]) -> Result<()> {
        let mut admin = Command::new(&self.deckle);
        let ran = admin.arg("admin").args(words).env("DECKLE_STATE", self.state.path()).output();
        let ran = ran.context("run deckle admin")?;
        ensure!(ran.status.success(), "deckle admin {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(())
    }

    /// The memory that it holds, in MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let kib: f64 = kib.context("the kernel tells VmRSS")?.trim().parse()?;
        Ok(kib / 1024.0)
    }

    /// The processor time that it has used, in seconds.
    pub fn cpu_s(&self) -> Result<f64> {
        // The kernel tells it in hundredths of a second, whatever its own clock is.
        const TICKS_A_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a name stands in brackets")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS_A_SECOND)
    }

    /// What the database takes, with its log, in MiB.
    pub fn database_mib(&self) -> f64 {
        let bytes =
            |end| fs::metadata(self.state().join(format!("deckle.db{end}"))).map_or(0, |file| file.len());
        (bytes("") + bytes("-wal")) as f64 / f64::from(1 << 20)
    }

    /// Fails when the server has logged that someone must act.
    pub fn check_log(&self) -> Result<()> {
        let log = fs::read_to_string(self.state().join("serve.log"))?;
        let wrong: Vec<_> =
            log.lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).take(3).collect();
        ensure!(wrong.is_empty(), "the server warned:\n{}", wrong.join("\n"));
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            eprintln!("bench: the server, process {}, does not end: {error}", self.process.id());
        }
        if self.engine == "linux"
            && let Err(error) = self.admin(&["host", "clear", "--yes"])
        {
            eprintln!("bench: something of {} may be left: {error:#}", self.state().display());
        }
    }
}

/// Waits for the line that tells the address.
fn listening(words: &mut impl BufRead) -> Result<String> {
    for line in words.lines() {
        if let Some(address) = line?.strip_prefix("listening on http://") {
            return Ok(address.to_owned());
        }
    }
    bail!("the server ended before it listened")
}
