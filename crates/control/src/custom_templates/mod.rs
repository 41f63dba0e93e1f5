//! Custom templates: what a team makes of its machines' disks, to make more machines from.
//!
//! ```text
//!   ordered ──▶ WANTED ──▶ MADE ──▶ READY ──▶ deleted, its image on its host ──▶ deleted, its image gone
//!                 │          │        delete                          its own visit removes it
//!                 └────┬─────┘ given up: its event failed, or another order took its place
//!                      ▼
//!                  GIVEN UP ──▶ forgotten: no row is left
//! ```
//!
//! Calls to a host for one machine are never made at the same time, so the machine's visits make the image
//! and remove the one that was given up, a step each. From then on the template is its own: it needs neither the
//! machine nor its disk.
//!
//! **Invariants**
//! - A row is there before its image is, and until its image is removed.
//! - A template becomes ready in the transaction that ends its event as done. Nothing is made from it before.
//! - The image of a deleted template stays until every machine that was ordered from it has its disk.

pub mod http;
pub mod lifecycle;
pub mod service;
mod store;
