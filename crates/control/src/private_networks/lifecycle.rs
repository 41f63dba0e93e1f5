//! How a private network comes to its host, stays there, and goes.

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};
use deckle_engine::seen::NetworkSeen;
use deckle_engine::specs::NetworkSpec;

use super::service;
use super::store::{self, Intent, Model, Trouble};
use crate::app::App;
use crate::error::Result;
use crate::progress::Words;
use crate::reconciler::{Next, Object};
use crate::shared_drives;

/// How long a network that could not be made or removed is left alone, in milliseconds.
const PAUSE_MS: i64 = 1000;

/// One step towards what is wanted of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make it, or mend it.
    Ensure,
    /// Wait until its deleted drives are gone from their host.
    AwaitDrives,
    /// Remove what is left of it.
    Remove,
    /// Say that it is as it should be.
    Settle,
    /// Say that nothing of it is left.
    Forget,
}

/// The whole policy, as a pure function: no clock, no database, no host.
pub fn next(intent: Intent, seen: NetworkSeen, has_drives: bool) -> Step {
    match (intent, seen) {
        (Intent::Present, NetworkSeen::Whole) => Step::Settle,
        (Intent::Present, NetworkSeen::Absent | NetworkSeen::Broken) => Step::Ensure,
        (Intent::Gone, _) if has_drives => Step::AwaitDrives,
        (Intent::Gone, NetworkSeen::Absent) => Step::Forget,
        (Intent::Gone, NetworkSeen::Whole | NetworkSeen::Broken) => Step::Remove,
    }
}

/// Looks at a network and takes one step.
pub async fn visit(app: &App, id: &PrivateNetworkId) -> Result<Next> {
    let row = store::find(app.store.read(), id).await?.filter(|row| !row.forgotten);
    let Some(row) = row else { return Ok(Next::Never) };
    match take_step(app, &row).await? {
        Ok(next) => Ok(next),
        Err(error) => {
            let trouble = Trouble { told: error.told(), lasts: error.is_final() };
            if row.trouble.as_ref() != Some(&trouble.told) {
                tracing::warn!(network.id = %id, error = trouble.told, "a network is not as it should be");
            }
            let tx = app.store.begin().await?;
            store::tell(&*tx, &row, &trouble, app.clock.now()).await?;
            app.progress.stumbled(&Object::PrivateNetwork(id.clone()), app.clock.now());
            tx.commit().await?;
            Ok(Next::In(if trouble.lasts { app.config.limits.pause_s_max * 1000 } else { PAUSE_MS }))
        }
    }
}

async fn take_step(app: &App, row: &Model) -> Result<Result<Next, deckle_engine::Error>> {
    let object = Object::PrivateNetwork(row.id.0.clone());
    let note = |words| app.progress.note(&object, words, row.trouble.is_some(), app.clock.now());
    let engine = app.engine(&row.region)?;
    let spec = service::spec(app.store.read(), row).await?;
    let seen = match engine.look_network(&spec).await {
        Ok(seen) => seen,
        Err(error) => {
            note("looks at the network on its host".into());
            return Ok(Err(error));
        }
    };
    let drives = match row.intent.0 {
        Intent::Gone => shared_drives::service::left_in(app.store.read(), &row.id.0).await?,
        Intent::Present => Vec::new(),
    };
    let step = next(row.intent.0, seen, !drives.is_empty());
    note(words(step, &drives));
    if row.settled && step == Step::Ensure {
        tracing::warn!(network.id = %row.id.0, ?seen, "a settled network is not as it should be");
    }
    let acted = match step {
        Step::Ensure => engine.ensure_network(&spec).await,
        Step::Remove => engine.remove_network(&spec.network).await,
        // The last of them wakes the network.
        Step::AwaitDrives => return Ok(Ok(Next::In(app.config.limits.pause_s_max * 1000))),
        Step::Settle => return settle(app, row, &spec).await.map(Ok),
        Step::Forget => return forget(app, row).await.map(Ok),
    };
    Ok(acted.and_then(|()| match app.patience.lost(&object, row.intent.0 as i64, &format!("{step:?}")) {
        None => Ok(Next::Now),
        Some(times) => {
            let why = format!("its host said {times} times that it was done, and does not show it");
            Err(deckle_engine::Error::passing(format!("{step:?} {}", row.id.0), why))
        }
    }))
}

/// A step in words for people who wait for the network, of which those drives are left.
fn words(step: Step, drives: &[SharedDriveId]) -> Words {
    match step {
        Step::Ensure => "makes the network whole".into(),
        Step::AwaitDrives => {
            let drives: Vec<_> = drives.iter().map(SharedDriveId::as_str).collect();
            format!("waits until its deleted shared drives are gone: {}", drives.join(", ")).into()
        }
        Step::Remove => "removes the network".into(),
        Step::Settle => "finds the network as it should be".into(),
        Step::Forget => "forgets the network".into(),
    }
}

/// Says that the host has what is wanted, if that is still what was looked for.
async fn settle(app: &App, row: &Model, looked_for: &NetworkSpec) -> Result<Next> {
    let object = Object::PrivateNetwork(row.id.0.clone());
    app.patience.renew(&object);
    if !row.settled || row.trouble.is_some() {
        let tx = app.store.begin().await?;
        if service::spec(&*tx, row).await? != *looked_for {
            return Ok(Next::Now);
        }
        store::settle(&*tx, row).await?;
        tx.commit().await?;
    }
    app.progress.renew(&object);
    Ok(Next::Settled)
}

async fn forget(app: &App, row: &Model) -> Result<Next> {
    let tx = app.store.begin().await?;
    store::forget(&*tx, row).await?;
    let object = Object::PrivateNetwork(row.id.0.clone());
    app.patience.renew(&object);
    tx.commit().await?;
    app.progress.renew(&object);
    Ok(Next::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_this_table() {
        let mut rows = Vec::new();
        for intent in [Intent::Present, Intent::Gone] {
            for seen in [NetworkSeen::Absent, NetworkSeen::Broken, NetworkSeen::Whole] {
                let steps = [false, true].map(|has_drives| format!("{:?}", next(intent, seen, has_drives)));
                rows.push(format!("{intent:?}, {seen:?}: {}", steps.join(" / ")));
            }
        }
        assert_eq!(
            rows.join("\n"),
            "\
Present, Absent: Ensure / Ensure
Present, Broken: Ensure / Ensure
Present, Whole: Settle / Settle
Gone, Absent: Forget / AwaitDrives
Gone, Broken: Remove / AwaitDrives
Gone, Whole: Remove / AwaitDrives"
        );
    }
}
