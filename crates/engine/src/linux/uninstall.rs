//! Taking an installation off its host for good, but for what holds users' bytes.
//!
//! **Invariants**: nothing is made on the way, not even a state folder. What installations share, the kernel's
//! forwarding and a lock, goes with the last of them. It may be done again, and finishes what a crash left.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::engine::Linux;
use super::{Settings, command};
use crate::Engine;
use crate::error::{Error, Result};
use crate::seen::HostThing;

/// How long it may take altogether. Guests have 30 s of it.
const UNINSTALL_MAX: Duration = Duration::from_secs(300);

/// The mounts as this thread sees them.
const MOUNTS: &str = "/proc/thread-self/mounts";

impl Linux {
    /// What [`uninstall`](Self::uninstall) would take off this host: all that the installation has there but its
    /// files. Nothing is changed. A folder that is no installation's is a final error.
    pub async fn uninstallable(settings: Settings) -> Result<Vec<HostThing>> {
        Self::found(settings)?.look_beside_files().await
    }

    /// Shuts every machine down, and takes all that the installation has on the host off it, but for its
    /// state folder: networks, rules, mounts, and, with the last installation of a host, the kernel's setting
    /// and the lock that installations share. No server has the state folder meanwhile. An error that passes says
    /// what is left after five minutes at most.
    pub async fn uninstall(settings: Settings) -> Result<()> {
        let linux = Self::found(settings)?;
        let act = || format!("take the installation of {} off this host", linux.state().display());
        let late = |late| Error::passing(act(), late);
        timeout(UNINSTALL_MAX, linux.take_off()).await.map_err(late)??;
        let left: Vec<_> = linux.look_beside_files().await?.iter().map(told).collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::passing(act(), format!("still there: {}", left.join(", "))))
    }

    async fn take_off(&self) -> Result<()> {
        self.clear().await?;
        for mount in mounts_in(self.state())? {
            let act = format!("unmount {}", mount.display());
            command::run("umount").arg(&mount).done(act).await?;
        }
        self.leave().await
    }

    async fn look_beside_files(&self) -> Result<Vec<HostThing>> {
        let mut things = self.look_table().await?;
        things.extend(self.look_things().await?.into_iter().filter(|thing| thing.kind != "file"));
        Ok(things)
    }
}

fn told(thing: &HostThing) -> String {
    format!("{} {}", thing.kind, thing.name)
}

/// What is mounted in a folder, the innermost first.
fn mounts_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let text = fs::read(MOUNTS).map_err(|error| Error::passing("look at the host's mounts", error))?;
    Ok(parse_mounts(&text, folder))
}

fn parse_mounts(text: &[u8], folder: &Path) -> Vec<PathBuf> {
    let points = text.split(|&byte| byte == b'\n').filter_map(|line| line.split(|&byte| byte == b' ').nth(1));
    let mut points: Vec<_> = points.map(unescaped).filter(|point| point.starts_with(folder)).collect();
    points.reverse();
    points
}

/// The kernel writes what would end a word as a backslash and three octal digits.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_a_folder_are_found_innermost_first() {
        let text = b"proc /proc proc rw 0 0\n/dev/loop0 /var/lib/my\\040state/a ext4 rw 0 0\n\
            /dev/loop1 /var/lib/my\\040state/a/b ext4 rw 0 0\n/dev/loop2 /var/lib/my\\040state2 ext4 rw 0 0\n";
        let found = parse_mounts(text, Path::new("/var/lib/my state"));
        assert_eq!(found, [Path::new("/var/lib/my state/a/b"), Path::new("/var/lib/my state/a")]);
    }

    #[tokio::test]
    async fn a_folder_that_is_no_installation_s_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let settings = Settings { state: state.clone(), ..Settings::default() };
        let refused = Linux::uninstall(settings).await.unwrap_err();
        assert!(refused.is_final() && refused.told().contains("no installation"), "{}", refused.told());
        assert!(!state.exists());
    }
}
