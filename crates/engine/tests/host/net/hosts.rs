//! A host that has nothing, within this machine: links, rules, settings, mounts and `/run` of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::world::{done, ip, said};

/// Runs a test on such a host. Programs and threads that are started from it are on it too.
pub fn on_a_bare_host<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let host = move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        done("mount", &["--make-rprivate", "/"]);
        // This machine's namespaces and drives come and go meanwhile.
        let ours =
            r#"awk '$2 ~ "^/run/" { print $2 }' /proc/self/mounts | tac | xargs -r umount --lazy || true"#;
        done("sh", &["-c", ours]);
        done("mount", &["-t", "tmpfs", "tmpfs", "/run"]);
        ip("link set lo up");
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        // The first namespace of a host makes a folder that stays.
        ip("netns add first");
        ip("netns delete first");
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    };
    if let Err(failure) = thread::spawn(host).join() {
        std::panic::resume_unwind(failure);
    }
}

/// All that the kernel says of a host that a program may change, a line each.
pub fn everything() -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |what: &str, text: String| {
        lines.extend(text.lines().map(|line| format!("{what}: {}", line.trim())));
    };
    add("namespace", said("ip", &["netns", "list"]));
    add("rules", said("nft", &["list", "ruleset"]));
    add("link", said("ip", &["-o", "link", "show"]));
    add("address", said("ip", &["-o", "-4", "address", "show"]));
    add("route", said("ip", &["-4", "route", "show", "table", "all"]));
    add("policy", said("ip", &["-4", "rule", "show"]));
    add("proxy", said("ip", &["neigh", "show", "proxy"]));
    add("mount", said("cat", &["/proc/self/mounts"]));
    add("run", said("find", &["/run", "-not", "-type", "d"]));
    add("cgroup", said("find", &["/sys/fs/cgroup", "-maxdepth", "1", "-name", "deckle*"]));
    let settings = said("sysctl", &["--all", "--pattern", r"^net\."]);
    let counts = |line: &&str| !line.contains("nf_conntrack_count");
    add("setting", settings.lines().filter(counts).collect::<Vec<_>>().join("\n"));
    lines
}

/// What is on one list only, to be read by whoever has to find out why.
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

/// Loads rules as another program of the host would.
pub fn load(rules: &str) {
    let file = Path::new("/run/rules.nft");
    fs::write(file, rules).unwrap();
    done("nft", &["-f", &file.display().to_string()]);
    fs::remove_file(file).unwrap();
}

/// Does what `deckle doctor` says.
pub fn follow(cure: &str) {
    let output = Command::new("sh").args(["-ec", cure]).output().unwrap();
    assert!(output.status.success(), "{cure}: {}", String::from_utf8_lossy(&output.stderr));
}
