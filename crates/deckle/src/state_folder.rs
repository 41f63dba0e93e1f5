//! Where this host's server keeps its state, as far as a client of it must know.

use std::env;
use std::path::PathBuf;

/// The state folder: the one asked for, else `DECKLE_STATE`, else `/var/lib/deckle` for root and
/// `~/.local/state/deckle` for others.
pub fn or_default(asked: Option<PathBuf>) -> PathBuf {
    asked.or_else(|| given("DECKLE_STATE").map(PathBuf::from)).unwrap_or_else(usual)
}

/// A variable of the environment that is set and not empty.
pub fn given(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn usual() -> PathBuf {
    match env::home_dir() {
        Some(home) if !is_root() => home.join(".local/state/deckle"),
        _ => PathBuf::from("/var/lib/deckle"),
    }
}

/// `/proc/self` belongs to the effective user.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}
