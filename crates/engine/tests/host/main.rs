//! The Linux engine on a real kernel, with real programs: needs root, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "what fails here fails its test")]

#[macro_use]
#[path = "../contract/mod.rs"]
mod contract;

mod drives;
mod linux_contract;
mod net;
mod vm;
