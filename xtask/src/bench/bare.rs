//! A QEMU that nobody looks after: what a machine was started with, and nothing around it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use super::boot::process_in;

/// How long an answer of the agent is waited for before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// All that a start needs, laid out beforehand.
#[derive(Debug)]
pub struct Bare {
    folder: TempDir,
    line: Vec<String>,
}

impl Bare {
    /// Like the running machine of that folder: its arguments, its seed, a fresh overlay on its template.
    /// Its two sockets become QEMU's own, and its port one of QEMU's user network.
    pub fn like(machine: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("deckle-bare-").tempdir()?;
        let there = machine.to_str().context("the state folder's path is UTF-8")?;
        let here = folder.path().to_str().context("the folder's path is UTF-8")?.to_owned();
        let words = process_in(machine)?;
        let line = words.iter().map(|word| unattended(&word.replace(there, &here), &here)).collect();
        for file in ["seed.iso", "template.qcow2"] {
            fs::copy(machine.join(file), folder.path().join(file)).with_context(|| format!("copy {file}"))?;
        }
        make_overlay(folder.path())?;
        Ok(Self { folder, line })
    }

    /// From the start of QEMU until its guest's agent answers.
    pub fn boot(&self, limit: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let mut qemu = Command::new(&self.line[0])
            .args(&self.line[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.folder.path().join("qemu.log"))?)
            .spawn()
            .context("start a bare QEMU")?;
        let answered = self.await_agent(&mut qemu, begun + limit).map(|()| begun.elapsed());
        qemu.kill()?;
        qemu.wait()?;
        let words = || fs::read_to_string(self.folder.path().join("qemu.log")).unwrap_or_default();
        answered.with_context(|| format!("a bare QEMU said: {}", words()))
    }

    fn await_agent(&self, qemu: &mut Child, deadline: Instant) -> Result<()> {
        let socket = self.folder.path().join("agent.sock");
        let mut agent = loop {
            ensure!(qemu.try_wait()?.is_none(), "it has ended");
            match UnixStream::connect(&socket) {
                Ok(agent) => break agent,
                Err(error) => ensure!(Instant::now() < deadline, "connect to its agent's socket: {error}"),
            }
            thread::sleep(Duration::from_millis(1));
        };
        agent.set_read_timeout(Some(ASK_AGAIN))?;
        let asked = json!({ "execute": "guest-sync-delimited", "arguments": { "id": 1 } });
        let asked = [&[0xff][..], asked.to_string().as_bytes(), b"\n"].concat();
        while Instant::now() < deadline {
            agent.write_all(&asked)?;
            match agent.read(&mut [0; 256]) {
                Ok(0) => break,
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("its guest's agent does not answer")
    }
}

/// An argument without the descriptors that the server would have handed over.
fn unattended(word: &str, folder: &str) -> String {
    let (kind, id) = (word.split(',').next().unwrap_or_default(), |id| word.contains(id));
    match kind {
        "socket" if id("id=agent,fd=") => {
            format!("socket,id=agent,path={folder}/agent.sock,server=on,wait=off")
        }
        "socket" if id("id=qmp,fd=") => format!("socket,id=qmp,path={folder}/qmp.sock,server=on,wait=off"),
        "tap" => "user,id=nic".to_owned(),
        _ => word.to_owned(),
    }
}

fn make_overlay(folder: &Path) -> Result<()> {
    let template: PathBuf = folder.join("template.qcow2");
    let made = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .arg(&template)
        .arg(folder.join("disk.qcow2"))
        .arg("10G")
        .status()
        .context("start qemu-img")?;
    ensure!(made.success(), "qemu-img made no overlay on {}", template.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::unattended;

    #[test]
    fn only_descriptors_are_replaced() {
        let here = |word| unattended(word, "/x");
        assert_eq!(
            here("socket,id=agent,fd=13,server=on,wait=off"),
            "socket,id=agent,path=/x/agent.sock,server=on,wait=off"
        );
        assert_eq!(here("tap,id=nic,fd=11,vhost=off"), "user,id=nic");
        assert_eq!(here("virtio-net-pci,netdev=nic"), "virtio-net-pci,netdev=nic");
    }
}
