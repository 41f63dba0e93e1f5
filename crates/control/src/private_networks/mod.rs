//! Private networks: machines in one see each other, and nothing of any other network.
//!
//! ```text
//!            create                       delete
//!   (none) ─────────▶ present, unsettled ─────────▶ gone, unsettled ──▶ forgotten
//!                        │        ▲                  (nothing on the host,
//!              on the    ▼        │ drift             its range is free again)
//!              host   present, settled
//! ```
//!
//! A request is answered at once: the row and its range are there. The host follows.

pub mod http;
pub mod lifecycle;
pub mod service;
mod store;

pub use store::{Intent as NetworkIntent, Model as NetworkRow, Seen as NetworkSeen};
