//! `qemu-img`, shut in: it reads what strangers wrote.
//!
//! **Invariants**: it runs as an unprivileged user without groups, in a network namespace without
//! interfaces, as the first of a namespace of processes that end with it, with bounds on its processor time, its memory, the files that it writes and its own time;
//! and it is always told the format, so that a guest cannot choose one by what it writes.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::command::{self, Failure, Run};
use super::super::vm::arguments::refcount_cache_bytes;
use crate::error::Error;

const MEMORY_MAX: u64 = 4 << 30;

/// What one run may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The user that it runs as.
    pub uid: u32,
    /// The largest file that it may write, in bytes.
    pub file_bytes_max: u64,
    /// How long it may take.
    pub time: Duration,
}

/// A run of `qemu-img` inside its bounds.
pub fn confined(bounds: &Bounds) -> Run {
    let uid = bounds.uid;
    command::run("unshare")
        .args(["--net", "--pid", "--fork", "--kill-child", "--", "setpriv", "--pdeathsig=KILL"])
        .args([format!("--reuid={uid}"), format!("--regid={uid}")])
        .args(["--clear-groups", "--no-new-privs", "--", "prlimit"])
        .arg(format!("--cpu={}", bounds.time.as_secs()))
        .arg(format!("--as={MEMORY_MAX}"))
        .arg(format!("--fsize={}", bounds.file_bytes_max))
        .args(["--core=0", "--", "qemu-img"])
        .limit(bounds.time)
}

/// A run on files that are all root's own work.
pub fn trusted(time: Duration) -> Run {
    command::run("qemu-img").limit(time)
}

/// An absolute path cannot be taken for an option, nor for one of QEMU's own protocols: `nbd:…`.
pub fn shown(file: &Path) -> String {
    format!("file:{}", file.display())
}

/// A machine's disk, with every file named here: what its header says is not followed. `template` is the image
/// under it, left out where its bytes are not needed. The cache holds the whole refcount table: without it, a
/// snapshot of a large disk takes seconds.
pub fn disk(disk: &Path, template: Option<&Path>, size_bytes: u64) -> String {
    let file = |path: &Path| json!({ "driver": "file", "filename": path });
    let backing = template.map(|image| json!({ "driver": "qcow2", "file": file(image), "backing": null }));
    let told = json!({ "driver": "qcow2", "file": file(disk), "backing": backing,
        "refcount-cache-size": refcount_cache_bytes(size_bytes) });
    format!("json:{told}")
}

/// A failure that no other try mends when the disk is full, and one that passes otherwise.
pub fn told(act: String, failure: Failure) -> Error {
    let full = |said: &str| said.contains("No space left on device") || said.contains("File too large");
    match &failure {
        Failure::Said { said, .. } if full(said) => Error::lasting(act, failure),
        _ => Error::passing(act, failure),
    }
}
