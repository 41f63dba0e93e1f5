//! Notice of the servers on this host that end by themselves.
//!
//! **Invariant**: a process is watched once, however often it is named. What was ended on purpose is noticed
//! too: it costs one look.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::process::Process;
use crate::specs::HostNetwork;

/// The servers that are watched, and those that have ended.
#[derive(Debug, Clone)]
pub struct Losses {
    watched: Arc<Mutex<HashSet<Process>>>,
    ended: UnboundedSender<HostNetwork>,
    losses: Arc<tokio::sync::Mutex<UnboundedReceiver<HostNetwork>>>,
}

impl Default for Losses {
    fn default() -> Self {
        let (ended, losses) = unbounded_channel();
        Self { watched: Arc::default(), ended, losses: Arc::new(tokio::sync::Mutex::new(losses)) }
    }
}

impl Losses {
    /// Has the end of a network's server noticed.
    pub fn watch(&self, process: Process, network: &HostNetwork) {
        if !self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(process) {
            return;
        }
        let (losses, network) = (self.clone(), network.clone());
        tokio::spawn(async move {
            if let Err(error) = process.end().await {
                tracing::warn!(%network, pid = process.pid, %error, "a server's end cannot be waited for");
            }
            losses.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&process);
            // Nobody waits once the engine is gone.
            let _ = losses.ended.send(network);
        });
    }

    /// Waits for the next end of a watched server.
    pub async fn next(&self) -> HostNetwork {
        match self.losses.lock().await.recv().await {
            Some(network) => network,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::command;

    #[tokio::test]
    async fn the_end_of_a_server_is_noticed_once() {
        let nowhere = std::fs::File::create("/dev/null").unwrap();
        let mut child = command::run("sleep").arg("600").launch(nowhere, &[]).unwrap();
        let process = Process::of_pid(child.id().unwrap()).unwrap().unwrap();
        let network = HostNetwork::Private("nlost".parse().unwrap());
        let losses = Losses::default();
        losses.watch(process, &network);
        losses.watch(process, &network);
        child.start_kill().unwrap();
        assert_eq!(losses.next().await, network);
        child.wait().await.unwrap();
        let second = tokio::time::timeout(std::time::Duration::from_millis(50), losses.next());
        assert!(second.await.is_err(), "one end is one loss");
    }
}
