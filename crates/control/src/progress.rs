//! Why it is waiting: what the last visit to each object did, in words for people.
//!
//! It is kept in memory only, as what is planned is: a start visits every object, and so it fills itself. What
//! went wrong is in the objects' rows, and when the next visit comes is the reconciler's plan.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deckle_api::Timestamp;
use deckle_api::details::Detail;
use deckle_api::ids::PrivateNetworkId;

use crate::app::App;
use crate::error::Result;
use crate::private_networks;
use crate::reconciler::Object;

/// What is told of an object that was not visited since it was ordered to be something else.
const UNSEEN: &str = "waits to be looked at";

/// What is done to each object that is not as it should be.
#[derive(Debug, Default)]
pub struct Progress(Mutex<HashMap<Object, Doing>>);

/// What a visit does, in words for people: "starts the virtual machine".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    told: String,
    network: Option<PrivateNetworkId>,
}

impl Words {
    /// The wait for a private network, which has visits of its own, and troubles.
    pub fn of_network(id: &PrivateNetworkId) -> Self {
        Self { told: format!("waits for the private network {id}"), network: Some(id.clone()) }
    }
}

impl<T: Into<String>> From<T> for Words {
    fn from(told: T) -> Self {
        Self { told: told.into(), network: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Doing {
    words: Words,
    since: Timestamp,
    looked: Timestamp,
    failures: u64,
    failed: Option<Timestamp>,
}

/// What an object's row says of its work.
#[derive(Debug, Default)]
pub struct Standing {
    /// Whether it is as it is wanted.
    pub settled: bool,
    /// What went wrong last.
    pub trouble: Option<String>,
    /// When that was found, if the row says so.
    pub dt_trouble: Option<Timestamp>,
    /// How often in a row it went wrong, if the row says so.
    pub failures: Option<u64>,
    /// When it was ordered to be what it is to be, if the row says so.
    pub ordered: Option<Timestamp>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, HashMap<Object, Doing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A visit does something to an object that stumbles over something, or does not. What goes on for several
    /// visits goes on since the first of them.
    pub fn note(&self, object: &Object, words: Words, stumbles: bool, now: Timestamp) {
        let mut objects = self.lock();
        let before = objects.remove(object);
        let goes_on = before.as_ref().filter(|before| before.words == words);
        let since = goes_on.map_or(now, |before| before.since);
        let (failures, failed) =
            before.filter(|_| stumbles).map_or((0, None), |before| (before.failures, before.failed));
        objects.insert(object.clone(), Doing { words, since, looked: now, failures, failed });
    }

    /// What a visit did went wrong.
    pub fn stumbled(&self, object: &Object, now: Timestamp) {
        if let Some(doing) = self.lock().get_mut(object) {
            doing.failures += 1;
            doing.failed = Some(now);
        }
    }

    /// The object is as it should be: nothing is done to it any more.
    pub fn renew(&self, object: &Object) {
        self.lock().remove(object);
    }

    fn of(&self, object: &Object) -> Option<Doing> {
        self.lock().get(object).cloned()
    }
}

/// How an object fares, from what its row says, what the last visit did, and what is planned.
pub async fn detail(app: &App, object: &Object, standing: Standing) -> Result<Detail> {
    let Standing { settled, trouble, dt_trouble, failures, ordered } = standing;
    if settled && trouble.is_none() {
        return Ok(Detail::ready());
    }
    let visited = app.progress.of(object);
    let doing = visited.as_ref().filter(|doing| ordered.is_none_or(|ordered| doing.looked >= ordered));
    let claimed = app.store.wakes().claimed(object);
    let (step, since) = match (claimed, doing) {
        // No visit is made meanwhile, whatever the last one did.
        (Some((words, begun)), _) => (words, Some(ordered.map_or(begun, |at| at.max(begun)))),
        (None, Some(doing)) => (told(app, &doing.words).await?, Some(doing.since)),
        (None, None) => (UNSEEN.to_owned(), ordered),
    };
    let failed = visited.as_ref().and_then(|doing| doing.failed).or(dt_trouble);
    let counted = failures.unwrap_or_else(|| visited.as_ref().map_or(0, |doing| doing.failures));
    Ok(Detail {
        is_ready: false,
        step: Some(step),
        since,
        dt_last_error: failed.filter(|_| trouble.is_some()),
        failures: if trouble.is_some() { counted } else { 0 },
        last_error: trouble,
        next_try: app.store.wakes().next_of(object, app.clock.now()),
    })
}

/// The words, with what is in the way of the network that is waited for.
async fn told(app: &App, words: &Words) -> Result<String> {
    let Words { told, network } = words;
    let Some(network) = network else { return Ok(told.clone()) };
    let trouble = private_networks::service::trouble_since(app.store.read(), network, Timestamp(0)).await?;
    Ok(trouble.map_or_else(|| told.clone(), |trouble| format!("{told}: {}", trouble.told)))
}

#[cfg(test)]
mod tests {
    use deckle_api::ids::MachineId;

    use super::*;

    #[test]
    fn what_goes_on_goes_on_since_its_first_visit() {
        let progress = Progress::default();
        let machine = Object::Machine(MachineId::mint(1));
        let mut told = Vec::new();
        for (now, words, stumbles, fails) in [
            (1, "starts", false, true),
            (2, "starts", true, true),
            (3, "starts", true, false),
            (4, "waits", true, false),
            (5, "waits", false, false),
            (6, "starts", false, true),
        ] {
            progress.note(&machine, words.into(), stumbles, Timestamp(now));
            if fails {
                progress.stumbled(&machine, Timestamp(now));
            }
            let doing = progress.of(&machine).unwrap();
            assert_eq!((doing.words.told.as_str(), doing.looked), (words, Timestamp(now)));
            told.push((doing.since.0, doing.failures, doing.failed.map(|failed| failed.0)));
        }
        let expected = [
            (1, 1, Some(1)),
            (1, 2, Some(2)),
            (1, 2, Some(2)),
            (4, 2, Some(2)),
            (4, 0, None),
            (6, 1, Some(6)),
        ];
        assert_eq!(told, expected);
        progress.renew(&machine);
        progress.stumbled(&machine, Timestamp(7));
        assert_eq!(progress.of(&machine), None);
    }
}
