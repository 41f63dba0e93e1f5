//! A guest, as its user reaches it.

use std::path::PathBuf;
use std::process::{Command, Output};

/// How long a command in a guest may take, in seconds.
const COMMAND_S: u32 = 60;

/// A guest at an address that the host reaches.
#[derive(Debug, Clone)]
pub struct Guest {
    pub address: String,
    pub key: PathBuf,
}

impl Guest {
    /// Runs a command, which must succeed, and answers with its trimmed words.
    pub fn run(&self, command: &str) -> String {
        self.run_within(COMMAND_S, command)
    }

    /// The same, for a command that may take so many seconds.
    pub fn run_within(&self, seconds: u32, command: &str) -> String {
        let output = self.ssh(seconds, command);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {command}: {}: {told}", self.address, output.status);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Whether the guest lets this user in.
    pub fn lets_in(&self) -> bool {
        self.ssh(COMMAND_S, "true").status.success()
    }

    /// Which of these pages (`ADDRESS:PORT/PATH`) the guest reaches, all asked for at the same time.
    pub fn reaches(&self, pages: &[String]) -> Vec<String> {
        let ask = |page: &String| {
            format!("(timeout 4 wget -qO /dev/null http://{page} 2>/dev/null && echo {page}) & ")
        };
        self.list(pages.iter().map(ask).collect())
    }

    /// Which of these hosts answer the guest's ping.
    pub fn pings(&self, hosts: &[String]) -> Vec<String> {
        let ask = |host: &String| format!("(sudo ping -c 1 -W 4 {host} >/dev/null 2>&1 && echo {host}) & ");
        self.list(hosts.iter().map(ask).collect())
    }

    fn list(&self, asked: String) -> Vec<String> {
        let mut answered: Vec<_> =
            self.run(&format!("{asked} wait; true")).lines().map(str::to_owned).collect();
        answered.sort();
        answered
    }

    fn ssh(&self, seconds: u32, command: &str) -> Output {
        let mut ssh = Command::new("timeout");
        ssh.arg(seconds.to_string()).args(["ssh", "-F", "none", "-i"]).arg(&self.key);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=20",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("paperspace@{}", self.address)).arg(command).output().unwrap()
    }
}
