//! Snapshots of machines' disks: rows that the machine's visits make true.
//!
//! ```text
//!   ordered ──▶ PRESENT, not made ──▶ PRESENT, made ──▶ GONE, made ──▶ GONE, not made ──▶ removed ──▶ forgotten
//!                     │                            removal ordered      begun ▲                   the machine
//!                     └── given up: not shown any more ───────────────────────┘                   settles
//! ```
//!
//! Calls to a host for one machine are never made at the same time, so a snapshot has no visits of its own:
//! its machine's visits take and remove it, a step each.
//!
//! **Invariants**
//! - A row is there before its snapshot is, and stays until its snapshot is removed and the event has ended.
//! - Writing that a removal begins comes before it: a snapshot that may be half removed is never restored.
//! - A snapshot goes with its disk.

pub mod http;
pub mod service;
mod store;

pub use store::Kind;
