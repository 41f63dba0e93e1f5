//! Public addresses: those that teams have claimed, and those that machines hold while they are on.
//!
//! ```text
//!               claim                 assign
//!   (free) ───────────▶ a team's ───────────────▶ a team's, leads to a machine
//!     ▲ │                 │  ▲                       │
//!     │ │     release     │  │ unassign, the         │ release
//!     │ └◀────────────────┘  │ machine's deletion    │
//!     │                      └───────────────────────┤
//!     └◀─────────────────────────────────────────────┘
//!     │   power-on
//!     └─────────────────▶ a machine's, until its power-off (dynamic)
//! ```
//!
//! A row says who holds an address, and a machine's row which one it holds: both change in one transaction.
//! The machine's visits lead the address to it, and take it away where it leads and is not held.
//!
//! **Invariant**: an address that a host may still lead to a machine that it was taken from is given to nobody
//! else. Who takes it writes that down, and the visit that sees it gone strikes it out.

pub mod http;
mod pools;
pub mod service;
mod store;
