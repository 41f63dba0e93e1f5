//! Startup scripts: saved texts that machines run as root at the end of their boot.
//!
//! A machine has one script at most, and takes it up at its next start: what runs is never touched. What came
//! of it there is kept in [`runs`].
//!
//! **Invariants**
//! - A script's text is sealed at rest and never shown again: scripts carry tokens.
//! - A script that is to run once is not served to a machine that became ready with it, whatever was changed
//!   or assigned since.

pub mod http;
pub mod runs;
pub mod service;
mod store;

/// The longest script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 16 * 1024;
