//! Deckle's words: ids, requests, views and error codes, as they travel on the wire.
//!
//! **Invariant**: pure data. Nothing here reads a clock for a decision, opens a file or a socket, or
//! knows of a store or a host.

pub mod ids;
pub mod time;

pub use time::Timestamp;
