//! Teams, their members and their keys. A team is what everything belongs to.
//!
//! There are no operations of the API for them: an operator makes them, over the admin socket.

pub mod service;
mod store;

pub use store::teams::Model as TeamRow;
