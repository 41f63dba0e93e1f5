//! Notice of the processes on this host that end by themselves: servers of networks, and virtual machines.
//!
//! **Invariant**: a process is watched once, however often it is named. What was ended on purpose is noticed
//! too: it costs one look.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::process::Process;
use crate::seen::Loss;

/// The processes that are watched, and those that have ended.
#[derive(Debug, Clone)]
pub struct Losses {
    watched: Arc<Mutex<HashSet<Process>>>,
    ended: UnboundedSender<Loss>,
    losses: Arc<tokio::sync::Mutex<UnboundedReceiver<Loss>>>,
}

impl Default for Losses {
    fn default() -> Self {
        let (ended, losses) = unbounded_channel();
        Self { watched: Arc::default(), ended, losses: Arc::new(tokio::sync::Mutex::new(losses)) }
    }
}

impl Losses {
    /// Has the end of a process noticed, as that loss.
    pub fn watch(&self, process: Process, loss: &Loss) {
        if !self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(process) {
            return;
        }
        let (losses, loss) = (self.clone(), loss.clone());
        tokio::spawn(async move {
            if let Err(error) = process.end().await {
                tracing::warn!(?loss, pid = process.pid, %error, "the end of a process cannot be waited for");
            }
            losses.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&process);
            // Nobody waits once the engine is gone.
            let _ = losses.ended.send(loss);
        });
    }

    /// Waits for the next end of a watched process.
    pub async fn next(&self) -> Loss {
        match self.losses.lock().await.recv().await {
            Some(loss) => loss,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::command;
    use crate::specs::HostNetwork;

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed_once() {
        let nowhere = std::fs::File::create("/dev/null").unwrap();
        let mut child = command::run("sleep").arg("600").launch(nowhere, &[]).unwrap();
        let process = Process::of_pid(child.id().unwrap()).unwrap().unwrap();
        let loss = Loss::Server(HostNetwork::Private("nlost".parse().unwrap()));
        let losses = Losses::default();
        losses.watch(process, &loss);
        losses.watch(process, &loss);
        child.start_kill().unwrap();
        assert_eq!(losses.next().await, loss);
        child.wait().await.unwrap();
        let second = tokio::time::timeout(std::time::Duration::from_millis(50), losses.next());
        assert!(second.await.is_err(), "one end is one loss");
    }
}
