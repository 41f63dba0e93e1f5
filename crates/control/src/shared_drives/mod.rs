//! Shared drives: files that the machines of one private network share over SMB.
//!
//! ```text
//!            create                          delete
//!   (none) ─────────▶ present, unsettled ─────────────▶ gone, unsettled ──▶ forgotten
//!                        │        ▲                     (not shared, its     (nothing on the host)
//!       image made and   ▼        │ resize, rotate,      bytes destroyed)
//!       shared          present, settled  or drift
//! ```
//!
//! A request is answered at once: the row is there, with all that a guest needs to mount the drive. The
//! host follows.
//!
//! **Invariants**: an image is made once, and a made one that is not seen is lost; a drive's blocks are
//! reserved, so no more is promised than a host has free; its password is sealed at rest and never logged.

pub mod http;
pub mod lifecycle;
mod policy;
pub mod service;
mod store;
