//! Machines: what everything else is for.
//!
//! ```text
//!                 create                                       start
//!   (none) ──────────────▶ ON ◀───────────────────────────────────────┐
//!                │         │ │ restart: boots_wanted + 1               │
//!                │         │ └──────▶ ON                               │
//!   startOnCreate: false   │ stop, a failed start,                     │
//!                │         │ a guest that switches itself off,         │
//!                │         │ a time that is over                       │
//!                └───────▶ OFF ────────────────────────────────────────┤
//!                          │                                           │
//!       a failed create    │ delete                                    │
//!   ON, OFF ───▶ BLANK ────┼───────────────────────────────────────────┘
//!               (off, and  ▼
//!          nothing of it  GONE ──▶ forgotten: the row is kept as deleted
//!           on its host)
//! ```
//!
//! A machine that is to be in another network (`moving_to`) stays in its own, for every look, until nothing of
//! it is left there. Then one write says that it is in the other one: there is always one place to look for it.
//!
//! The words are intents: what was asked for. What is there is looked up; [`policy`] says which one step
//! leads from there to the intent, [`lifecycle`] takes it, and the next look is the only memory.
//!
//! **Invariants**
//! - An intent changes only together with the events that say so, in one transaction.
//! - A disk is made once: a row says that it was made *before* anything is written to it, and a made disk
//!   that is not seen is lost: told, never made again.
//! - An off machine has a disk on its host and nothing else.
//! - What is billed of a machine changes with its row: each write of the row tells the meter in its transaction.
//! - Each change of what is wanted of a machine counts as an order: what a visit found before it is void.

pub mod accessors;
mod accord;
mod desktops;
pub mod http;
pub mod lifecycle;
mod metering;
mod namesakes;
mod placement;
pub mod policy;
pub mod service;
mod sight;
mod slots;
mod store;
mod views;
mod words;

pub use store::Model as MachineRow;
