//! One loop that visits objects: it looks, decides one step, acts, and starts over.
//!
//! What is to be visited, and when, is kept in memory only: the rows know what is not settled, and at a
//! start every object is visited. A visit's next one is decided by its outcome; a write wakes its objects
//! at once.
//!
//! **Invariants**: an object has one visit at a time, and none while an operator's act has its turn; a wake
//! meanwhile is a visit afterwards; no more than `limits.visits` visits run together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deckle_api::Timestamp;
use deckle_api::ids::{MachineId, PrivateNetworkId, SharedDriveId, TemplateId};
use deckle_engine::Engine;
use deckle_engine::seen::Loss;
use deckle_engine::specs::HostNetwork;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::app::App;
use crate::clock::Clock;
use crate::error::Result;
use crate::{custom_templates, machines, meters, private_networks, retention, shared_drives};

/// An object with a life on a host, or another thing that is looked after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A private network.
    PrivateNetwork(PrivateNetworkId),
    /// A shared drive.
    SharedDrive(SharedDriveId),
    /// A machine.
    Machine(MachineId),
    /// All rows that are kept for a time only.
    Housekeeping,
    /// A custom template that is deleted.
    CustomTemplate(TemplateId),
}

impl Object {
    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PrivateNetwork(_) => "private network",
            Self::SharedDrive(_) => "shared drive",
            Self::Machine(_) => "machine",
            Self::Housekeeping => "housekeeping",
            Self::CustomTemplate(_) => "custom template",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrivateNetwork(id) => id.fmt(f),
            Self::SharedDrive(id) => id.fmt(f),
            Self::Machine(id) => id.fmt(f),
            Self::Housekeeping => f.write_str(self.kind()),
            Self::CustomTemplate(id) => id.fmt(f),
        }
    }
}

/// When an object is to be visited again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: a step was taken.
    Now,
    /// After so many milliseconds: something takes its time, or failed.
    In(i64),
    /// When drift is looked for: it is settled.
    Settled,
    /// Never: nothing of it is left.
    Never,
}

/// The visits to come. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Wakes(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    visits: Mutex<Visits>,
    changed: Notify,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Visits {
    due: BTreeSet<(Timestamp, Object)>,
    when: HashMap<Object, Timestamp>,
    running: HashSet<Object>,
    woken: HashSet<Object>,
    claimed: HashMap<Object, (String, Timestamp)>,
}

impl Visits {
    fn plan(&mut self, object: Object, at: Timestamp) {
        match self.when.insert(object.clone(), at) {
            Some(planned) if planned <= at => {
                self.when.insert(object, planned);
            }
            planned => {
                if let Some(planned) = planned {
                    self.due.remove(&(planned, object.clone()));
                }
                self.due.insert((at, object));
            }
        }
    }
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, Visits> {
        self.0.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an object visited as soon as can be.
    pub fn wake(&self, object: Object) {
        self.plan(object, Timestamp(0));
    }

    fn plan(&self, object: Object, at: Timestamp) {
        let mut visits = self.lock();
        if visits.running.contains(&object) {
            visits.woken.insert(object);
        } else {
            visits.plan(object, at);
            self.0.changed.notify_one();
        }
    }

    /// Takes the object that is due first, if one is due at `now`.
    fn take(&self, now: Timestamp) -> Option<Object> {
        let mut visits = self.lock();
        let (at, _) = visits.due.first()?;
        if *at > now {
            return None;
        }
        let (_, object) = visits.due.pop_first()?;
        visits.when.remove(&object);
        visits.running.insert(object.clone());
        Some(object)
    }

    /// Takes an object's turn, once nobody else has it: there is no visit until the turn is given back by
    /// dropping it, and then there is one at once. The words tell people what a visit waits for meanwhile.
    pub async fn claim(&self, object: Object, words: &str, clock: &dyn Clock) -> Claim {
        loop {
            let freed = self.0.freed.notified();
            if self.claim_now(&object, words, clock) {
                return Claim { wakes: self.clone(), object };
            }
            freed.await;
        }
    }

    /// What visits to an object wait for, and since when, while its turn is claimed.
    pub fn claimed(&self, object: &Object) -> Option<(String, Timestamp)> {
        self.lock().claimed.get(object).cloned()
    }

    fn claim_now(&self, object: &Object, words: &str, clock: &dyn Clock) -> bool {
        let mut visits = self.lock();
        if !visits.running.insert(object.clone()) {
            return false;
        }
        visits.claimed.insert(object.clone(), (words.to_owned(), clock.now()));
        if let Some(planned) = visits.when.remove(object) {
            visits.due.remove(&(planned, object.clone()));
        }
        true
    }

    fn give_back(&self, object: Object, next: Option<Timestamp>) {
        let mut visits = self.lock();
        visits.running.remove(&object);
        visits.claimed.remove(&object);
        let woken = visits.woken.remove(&object);
        if let Some(at) = if woken { Some(Timestamp(0)) } else { next } {
            visits.plan(object, at);
            self.0.changed.notify_one();
        }
        self.0.freed.notify_waiters();
    }

    /// How many objects wait for a visit that is due, and how many are being visited.
    pub fn waiting_and_running(&self, now: Timestamp) -> (usize, usize) {
        let visits = self.lock();
        (visits.due.iter().take_while(|(at, _)| *at <= now).count(), visits.running.len())
    }

    /// When an object is visited next: `now` where its visit is due or under way. Nobody knows while its turn is
    /// claimed.
    pub fn next_of(&self, object: &Object, now: Timestamp) -> Option<Timestamp> {
        let visits = self.lock();
        if visits.running.contains(object) {
            return (!visits.claimed.contains_key(object)).then_some(now);
        }
        visits.when.get(object).map(|at| (*at).max(now))
    }

    /// When the next visit is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lock().due.first().map(|(at, _)| *at)
    }
}

/// An object's turn, taken for something else than a visit.
#[derive(Debug)]
pub struct Claim {
    wakes: Wakes,
    object: Object,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.wakes.give_back(self.object.clone(), Some(Timestamp(0)));
    }
}

/// Plans a visit to every object that has a life, and to old rows: at the start of a server.
pub async fn begin(app: &App) -> Result<()> {
    let networks = private_networks::service::to_visit(app).await?.into_iter().map(Object::PrivateNetwork);
    let drives = shared_drives::service::to_visit(app).await?.into_iter().map(Object::SharedDrive);
    let machines = machines::service::to_visit(app).await?.into_iter().map(Object::Machine);
    let templates = custom_templates::service::to_visit(app).await?.into_iter().map(Object::CustomTemplate);
    for object in networks.chain(drives).chain(machines).chain(templates).chain([Object::Housekeeping]) {
        app.store.wakes().wake(object);
    }
    Ok(())
}

/// Has what a host lost by itself visited at once, until it is dropped.
async fn mind_losses(app: App, engine: Arc<dyn Engine>) {
    loop {
        mind_loss(&app, engine.as_ref()).await;
    }
}

/// Waits until a host has lost something, and has it visited at once: a machine, or a network and the drives
/// that were shared in it. The visit tells whether that was meant to end.
pub async fn mind_loss(app: &App, engine: &dyn Engine) {
    let wakes = app.store.wakes();
    let network = match engine.next_loss().await {
        Loss::Machine(id) => return wakes.wake(Object::Machine(id)),
        Loss::Server(network) => network,
    };
    tracing::warn!(%network, "a server of a network has ended; it is started again");
    let id = match network {
        HostNetwork::Own(id) => return wakes.wake(Object::Machine(id)),
        HostNetwork::Private(id) => id,
    };
    wakes.wake(Object::PrivateNetwork(id.clone()));
    match shared_drives::service::left_in(app.store.read(), &id).await {
        Ok(drives) => drives.into_iter().for_each(|drive| wakes.wake(Object::SharedDrive(drive))),
        // They are visited all the same, when drift is looked for.
        Err(error) => {
            tracing::error!(network.id = %id, error = crate::error::chain(&error), "its drives are not known")
        }
    }
}

/// Visits one object that is due, if one is.
pub async fn visit_next(app: &App) -> bool {
    let Some(object) = app.store.wakes().take(app.clock.now()) else { return false };
    visit(app, object).await;
    true
}

/// Runs the loop until it is dropped.
pub async fn run(app: App) {
    let mut losses = JoinSet::new();
    for engine in app.engines() {
        losses.spawn(mind_losses(app.clone(), engine.clone()));
    }
    let room = Arc::new(Semaphore::new(app.config.limits.visits.max(1)));
    let wakes = app.store.wakes().clone();
    loop {
        let Ok(turn) = room.clone().acquire_owned().await else { return };
        let object = loop {
            let changed = wakes.0.changed.notified();
            match wakes.take(app.clock.now()) {
                Some(object) => break object,
                None => {
                    let pause = pause(&app);
                    let _ = tokio::time::timeout(pause, changed).await;
                }
            }
        };
        let app = app.clone();
        tokio::spawn(async move {
            visit(&app, object).await;
            drop(turn);
        });
    }
}

/// How long nothing is due, within bounds: the clock may be set meanwhile.
fn pause(app: &App) -> Duration {
    let due = app.store.wakes().next_due();
    let micros = due.map_or(1_000_000, |at| (at.0 - app.clock.now().0).clamp(0, 1_000_000));
    Duration::from_micros(micros.unsigned_abs())
}

/// A visit under way. It ends when this is dropped, also by a panic: then the object is visited again.
struct Turn<'a> {
    app: &'a App,
    object: &'a Object,
    next_ms: Option<i64>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let next = self.next_ms.map(|pause_ms| Timestamp(self.app.clock.now().0 + pause_ms * 1000));
        self.app.store.wakes().give_back(self.object.clone(), next);
    }
}

async fn visit(app: &App, object: Object) {
    let mut turn = Turn { app, object: &object, next_ms: Some(app.config.limits.pause_s_max * 1000) };
    let outcome = match &object {
        Object::PrivateNetwork(id) => private_networks::lifecycle::visit(app, id).await,
        Object::SharedDrive(id) => shared_drives::lifecycle::visit(app, id).await,
        Object::Machine(id) => machines::lifecycle::visit(app, id).await,
        Object::Housekeeping => retention::visit(app).await,
        Object::CustomTemplate(id) => custom_templates::lifecycle::visit(app, id).await,
    };
    meters::visited(object.kind(), outcome.is_ok());
    let limits = &app.config.limits;
    turn.next_ms = match outcome {
        Ok(Next::Now) => Some(0),
        Ok(Next::In(pause_ms)) => Some(pause_ms),
        Ok(Next::Settled) => Some(limits.drift_s * 1000),
        Ok(Next::Never) => None,
        Err(error) => {
            tracing::error!(object = %object, error = crate::error::chain(&error), "a visit failed");
            Some(limits.pause_s_max * 1000)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn machine(n: u64) -> Object {
        Object::Machine(MachineId::mint(n))
    }

    #[test]
    fn a_wake_during_a_visit_is_a_visit_after_it() {
        let wakes = Wakes::default();
        wakes.wake(machine(1));
        assert_eq!(wakes.take(Timestamp(5)), Some(machine(1)));
        wakes.wake(machine(1));
        assert_eq!(wakes.take(Timestamp(5)), None);
        wakes.give_back(machine(1), None);
        assert_eq!(wakes.take(Timestamp(5)), Some(machine(1)));
    }

    #[tokio::test]
    async fn a_turn_that_is_claimed_keeps_visits_away_until_it_is_given_back() {
        let wakes = Wakes::default();
        wakes.wake(machine(1));
        assert_eq!(wakes.take(Timestamp(5)), Some(machine(1)));
        let mut waits = std::pin::pin!(wakes.claim(machine(1), "waits for an export", &SystemClock));
        assert!(futures_now(waits.as_mut()).is_none(), "a visit is under way");
        wakes.give_back(machine(1), Some(Timestamp(3)));
        assert_eq!(wakes.claimed(&machine(1)), None);
        let claim = futures_now(waits.as_mut()).expect("the visit is over");
        assert_eq!(wakes.claimed(&machine(1)).unwrap().0, "waits for an export");
        assert_eq!(wakes.next_of(&machine(1), Timestamp(5)), None);
        wakes.wake(machine(1));
        assert_eq!((wakes.take(Timestamp(5)), wakes.next_due()), (None, None));
        drop(claim);
        assert_eq!(wakes.claimed(&machine(1)), None);
        assert_eq!(wakes.take(Timestamp(0)), Some(machine(1)));
        wakes.give_back(machine(1), None);
        assert_eq!(wakes.next_due(), None);
    }

    /// What a future answers without waiting.
    fn futures_now<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn an_earlier_plan_takes_the_place_of_a_later_one() {
        let wakes = Wakes::default();
        wakes.plan(machine(1), Timestamp(90));
        wakes.plan(machine(1), Timestamp(50));
        wakes.plan(machine(1), Timestamp(70));
        assert_eq!(wakes.next_due(), Some(Timestamp(50)));
        assert_eq!(wakes.take(Timestamp(49)), None);
        assert_eq!(wakes.take(Timestamp(50)), Some(machine(1)));
        assert_eq!(wakes.next_due(), None);
    }
}
