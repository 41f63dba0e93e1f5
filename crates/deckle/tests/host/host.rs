//! This machine's kernel: what an installation has on it, and how that is wiped away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long the kernel may take to bury a killed process.
const BURIED: Duration = Duration::from_secs(20);

/// An installation: its tag, and the folder that its processes name in their command lines.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'a> {
    pub tag: &'a str,
    pub state: &'a Path,
}

impl Installation<'_> {
    /// Everything that it has on the host, but for its state folder: empty when it has left.
    pub fn leftovers(self) -> Vec<String> {
        let mut left = Vec::new();
        left.extend(self.processes().into_iter().map(|(pid, line)| format!("process {pid} {line}")));
        left.extend(self.namespaces().into_iter().map(|name| format!("namespace {name}")));
        left.extend(self.links().into_iter().map(|name| format!("link {name}")));
        left.extend(self.tables().into_iter().map(|name| format!("table {name}")));
        left.extend(self.mounts().into_iter().map(|at| format!("mount {at}")));
        left.extend(self.loops().into_iter().map(|device| format!("loop device {device}")));
        for folder in ["machines", "networks", "templates"].map(|name| self.state.join(name)) {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| format!("file {}", entry.path().display())));
        }
        left
    }

    /// Wipes it off the host as a reboot does: its files stay.
    pub fn wipe(self) {
        for (pid, _) in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let began = Instant::now();
        while !self.processes().is_empty() && began.elapsed() < BURIED {
            std::thread::sleep(Duration::from_millis(10));
        }
        for at in self.mounts().iter().rev() {
            try_run("umount", &["--lazy", at]);
        }
        for device in self.loops() {
            try_run("losetup", &["--detach", &device]);
        }
        let _ = fs::remove_dir_all(self.run());
        for name in self.links() {
            try_run("ip", &["link", "delete", &name]);
        }
        for name in self.namespaces() {
            try_run("ip", &["netns", "delete", &name]);
        }
        for name in self.tables() {
            try_run("nft", &["delete", "table", "inet", &name]);
        }
    }

    /// Removes what belongs to no object: the host's packet rules.
    pub fn remove_table(self) {
        run("nft", &["delete", "table", "inet", &format!("deckle_{}", self.tag)]);
    }

    /// What lies no longer than the host's boot.
    fn run(self) -> PathBuf {
        PathBuf::from(format!("/run/deckle-{}", self.tag))
    }

    /// The loop devices of its drives.
    fn loops(self) -> Vec<String> {
        let listed = said("losetup", &["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
        let folder = self.state.join("drives").display().to_string();
        let devices = listed.lines().filter(|line| line.contains(&folder));
        devices.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
    }

    /// The processes whose command lines name its folders.
    pub fn processes(self) -> Vec<(i32, String)> {
        let marks = [self.state, &self.run()].map(|folder| folder.display().to_string());
        let ids = fs::read_dir("/proc").unwrap().flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let named = ids.filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            marks.iter().any(|mark| line.contains(mark)).then_some((pid, line))
        });
        named.collect()
    }

    fn namespaces(self) -> Vec<String> {
        let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(&format!("deckle-{}-", self.tag))).collect()
    }

    fn links(self) -> Vec<String> {
        let names = fs::read_dir("/sys/class/net").unwrap().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(&format!("dk{}", self.tag))).collect()
    }

    fn tables(self) -> Vec<String> {
        let listed = said("nft", &["list", "tables", "inet"]);
        let names = listed.split_whitespace().filter(|word| *word == format!("deckle_{}", self.tag));
        names.map(str::to_owned).collect()
    }

    fn mounts(self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let ours =
            |at: &&str| [self.state, &self.run()].iter().any(|folder| Path::new(at).starts_with(folder));
        points.filter(ours).map(str::to_owned).collect()
    }
}

/// The IPv4 addresses of this host.
pub fn addresses() -> Vec<String> {
    let listed = said("ip", &["-4", "-o", "address", "show"]);
    let addresses = listed.lines().filter_map(|line| line.split_whitespace().nth(3)?.split('/').next());
    addresses.map(str::to_owned).collect()
}

/// Waits until something holds.
pub fn wait<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    const PAUSE: Duration = Duration::from_millis(100);
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "in vain for {limit:?}: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Runs a program that must succeed, and answers with what it said.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program that may fail.
pub fn try_run(program: &str, args: &[&str]) {
    let _ = Command::new(program).args(args).output();
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
