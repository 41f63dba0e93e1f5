//! A pretend host: the contract of [`Engine`](crate::Engine) without hardware, for demonstrations, for
//! automation that wants the API and no GPU, and for every test of the control plane.
//!
//! It is stricter than a host where a control plane could go wrong unseen: an address that is given
//! twice, a start without a disk or a network, a disk below its template's size are final errors. Tests
//! reach into it with [levers](Emulator#levers) and read all of it with [`Emulator::dump`].
//!
//! **Invariants**: the world lies behind one mutex, and no call waits while it holds it. Time is passed in:
//! a guest comes up and halts by what the clock says at the look, and nothing runs in between. With a
//! state folder the world outlives the process; a call that changed it returns after the change is in its
//! file.

mod console;
mod drives;
mod dump;
mod engine;
mod fuse;
mod gpus;
mod guest;
mod image;
mod levers;
mod machines;
mod networks;
mod shelf;
mod snapshots;
#[cfg(test)]
mod tests;
mod transfers;
mod world;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deckle_api::Timestamp;
use deckle_api::ids::TemplateId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use fuse::{Call, Fault, Fuse};
pub use gpus::PretendedGpus;
pub use guest::Pace;
use levers::Levers;
use shelf::Shelf;
use world::World;

use crate::error::Result;
use crate::seen::{Capacity, Loss};

/// What tells the emulator the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a pretended host is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How long its guests take.
    pub pace: Pace,
    /// What its machines may take together; unlimited where it is absent. Disks count in full.
    pub capacity: Option<Capacity>,
    /// Its GPUs. Left out: every wish for some is granted, unless it has a capacity: then it has none.
    pub gpus: Option<Vec<PretendedGpus>>,
    /// Where its world is kept. Left out: in memory only.
    pub state: Option<PathBuf>,
}

/// A pretended host.
pub struct Emulator {
    inside: Mutex<Inside>,
    clock: Clock,
    pace: Pace,
    /// What was lost.
    lost: UnboundedSender<Loss>,
    losses: tokio::sync::Mutex<UnboundedReceiver<Loss>>,
}

/// What the mutex guards.
struct Inside {
    world: World,
    levers: Levers,
    shelf: Option<Shelf>,
}

impl Emulator {
    /// A host in memory whose guests are up at the first look.
    pub fn new(clock: Clock) -> Self {
        Self::with(Pace::Instant, World::new(None), None, clock)
    }

    /// A host as the settings say, with the world that its state folder holds.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self> {
        let Settings { pace, capacity, gpus, state } = settings;
        let mut world = World::new(capacity);
        world.gpus = gpus.as_deref().map(gpus::made_up);
        let shelf = state.map(Shelf::open).transpose()?;
        if let Some(shelf) = &shelf {
            shelf.load(&mut world)?;
        }
        Ok(Self::with(pace, world, shelf, clock))
    }

    /// The same host with these templates, each with its size in bytes, besides those that it has.
    #[must_use]
    pub fn with_templates(self, templates: impl IntoIterator<Item = (TemplateId, u64)>) -> Self {
        {
            let mut inside = self.inside();
            for (id, size_bytes) in templates {
                inside.world.add_template(id, size_bytes);
            }
        }
        self
    }

    fn with(pace: Pace, world: World, shelf: Option<Shelf>, clock: Clock) -> Self {
        let inside = Inside { world, levers: Levers::default(), shelf };
        let (lost, losses) = unbounded_channel();
        Self { inside: Mutex::new(inside), clock, pace, lost, losses: tokio::sync::Mutex::new(losses) }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call of the contract: counts it, breaks it where a fuse says so, and keeps its effect.
    fn call<T>(&self, call: Call, act: impl FnOnce(&mut Inside, Timestamp) -> Result<T>) -> Result<T> {
        let now = self.now();
        let mut inside = self.inside();
        inside.levers.before(call)?;
        let answer = act(&mut inside, now)?;
        inside.keep()?;
        inside.levers.after(call)?;
        Ok(answer)
    }
}

impl Inside {
    /// Writes what has changed since the last time. What cannot be written is tried again by the next call.
    fn keep(&mut self) -> Result<()> {
        match &self.shelf {
            Some(shelf) => shelf.keep(&mut self.world),
            None => {
                self.world.changed.clear();
                Ok(())
            }
        }
    }
}
