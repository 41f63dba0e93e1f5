//! GPUs of a host: which machine has which, and which ones nobody gets.
//!
//! ```text
//!            a machine gets its place              it gives its place back
//!   free ──────────────────────────────▶ used ───────────────────────────────▶ free
//!     │                                   │
//!     │ the host does not show it, or says that it failed
//!     ▼                                   ▼
//!   quarantined ◀──────────── used and quarantined: its machine keeps it to the end
//!     │
//!     │ `deckle admin gpu release`: reset, and seen sound
//!     ▼
//!   free; forgotten where the host does not show it
//! ```
//!
//! What the host merely is not set up for is *blocked*: that is looked at each time, and kept in no row.
//!
//! **Invariants**
//! - A device is a row, with at most one machine. A machine has its devices for exactly as long as it has
//!   its place: both change in one transaction.
//! - A device is given to a machine only if the look of that moment shows it sound, and no other machine
//!   runs with it.
//! - A quarantine ends by an operator's word alone.

mod choice;
pub mod service;
mod store;

pub use choice::{Device, short_of};
