//! Accessors: members of a team that may use a machine that is not theirs.
//!
//! An administrator gives access and takes it. The user that made a machine has access without being listed.
//! Whoever has access may start the machine, stop it and read its console, and logs in with its SSH keys,
//! which the machine gets at each power-on.
//!
//! **Invariant**: an accessor is a member of the machine's team; the schema says so too.

pub mod http;
pub mod service;
mod store;
