//! Snapshots of a disk that a guest works on.
//!
//! **Invariants**: whatever happens while a guest's file systems are held still, they are told to go on: after
//! [`HELD_MAX`] at the latest, also when the caller is gone, and where the server itself is killed in between
//! or the guest does not hear, at each look at the machine, by a mark in the folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use deckle_api::ids::SnapshotId;
use serde_json::json;
use tokio::time::timeout;

use super::lines::Broken;
use super::qmp::{ANSWER_MAX, Qmp, RunState};
use super::running::Running;
use super::{agent, sync};
use crate::linux::disk::absent_ok;
use crate::linux::folder::Folder;

/// How long a guest is held still at most, once it is.
const HELD_MAX: Duration = Duration::from_secs(10);
/// How long QEMU may take for a change of snapshots. The largest of disks take a second or two.
const CHANGE_MAX: Duration = Duration::from_secs(120);
/// How often a guest is asked to go on before the next look must.
const THAW_TRIES: usize = 3;

impl Running {
    /// Takes a snapshot of the disk, with the guest's file systems held still where its agent can do that. Says
    /// for how long the disk took no writes.
    pub async fn take_snapshot(&self, folder: &Folder, snapshot: &SnapshotId) -> Result<Duration, Broken> {
        let (folder, snapshot) = (folder.clone(), snapshot.clone());
        // On its own: a caller that stops waiting must not leave the guest held.
        let taken = tokio::spawn(async move { take(&folder, &snapshot).await });
        taken.await.unwrap_or_else(|gone| Err(Broken::Socket(std::io::Error::other(gone))))
    }

    /// Removes a snapshot of the disk.
    pub async fn remove_snapshot(&self, folder: &Folder, snapshot: &SnapshotId) -> Result<(), Broken> {
        let mut qmp = Qmp::open(&folder.qmp(), ANSWER_MAX).await?;
        let told = json!({ "device": "disk", "name": snapshot.as_str() });
        qmp.ask_within(CHANGE_MAX, "blockdev-snapshot-delete-internal-sync", told).await.map(|_| ())
    }
}

async fn take(folder: &Folder, snapshot: &SnapshotId) -> Result<Duration, Broken> {
    let mut qmp = Qmp::open(&folder.qmp(), ANSWER_MAX).await?;
    let held = hold_still(&mut qmp, folder).await?;
    let mut paused = std::pin::pin!(pause(&mut qmp, snapshot));
    if !held {
        return paused.await;
    }
    let in_time = timeout(HELD_MAX, &mut paused).await;
    let_go(folder).await;
    match in_time {
        Ok(paused) => paused,
        Err(_) => paused.await,
    }
}

/// The snapshot itself: QEMU does nothing else meanwhile.
async fn pause(qmp: &mut Qmp, snapshot: &SnapshotId) -> Result<Duration, Broken> {
    let begun = Instant::now();
    let told = json!({ "device": "disk", "name": snapshot.as_str() });
    qmp.ask_within(CHANGE_MAX, "blockdev-snapshot-internal-sync", told).await?;
    Ok(begun.elapsed())
}

/// Has the guest hold its file systems still, if it runs and its agent can; whether it must be let go. The
/// snapshot of one that cannot is as after a power cut, which file systems are made for.
async fn hold_still(qmp: &mut Qmp, folder: &Folder) -> Result<bool, Broken> {
    if qmp.run_state().await? != RunState::Running || !qmp.is_open("agent").await? {
        return Ok(false);
    }
    fs::write(folder.held(), "")?;
    let held = agent::freeze(&folder.agent(), sync()).await;
    if !held {
        absent_ok(fs::remove_file(folder.held()))?;
    }
    Ok(held)
}

/// Has the guest go on; where it does not hear, the mark stays for the next look.
async fn let_go(folder: &Folder) {
    for _ in 0..THAW_TRIES {
        match thaw(folder).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(folder = %folder.path().display(), %error, "the guest stays held"),
        }
    }
}

/// Lets a guest go that a crash of the server, or a deaf agent, has left held.
pub async fn let_go_if_held(folder: &Folder) {
    if is_there(&folder.held())
        && let Err(error) = thaw(folder).await
    {
        tracing::warn!(folder = %folder.path().display(), %error, "the guest stays held");
    }
}

async fn thaw(folder: &Folder) -> Result<(), Broken> {
    agent::thaw(&folder.agent(), sync()).await?;
    Ok(absent_ok(fs::remove_file(folder.held()))?)
}

fn is_there(mark: &Path) -> bool {
    fs::symlink_metadata(mark).is_ok()
}
