//! A host that breaks, a server that dies, a request that comes between: each ends as if nothing had been.

mod accord;
mod changes;
mod disks;
mod faults;
mod killed;
mod more;
mod orders;
mod races;
mod sweep;
mod templates;
mod vain;

pub use orders::order;

use crate::world::World;

/// What is asked of a world, and the world that it must end in.
trait Story {
    /// What it tells of.
    fn name(&self) -> &str;

    /// The world at the end.
    fn end(&self) -> &str;

    /// A world in which everything is ready for it, and the ids of what is there.
    async fn prepared(&self) -> (World, Vec<String>);

    /// Asks for it.
    async fn give(&self, world: &World, ids: &[String]);
}
