//! The Linux engine on a real kernel, with real programs. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod vm;
