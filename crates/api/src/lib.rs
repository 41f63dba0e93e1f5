//! Deckle's words: ids, requests, views and error codes, as they travel on the wire.
//!
//! **Invariant**: pure data. Nothing here reads a clock for a decision, opens a file or a socket, or
//! knows of a store or a host.

pub mod accessors;
pub mod admin;
pub mod consoles;
pub mod custom_templates;
pub mod desktops;
pub mod details;
pub mod errors;
mod fields;
pub mod firewall_rules;
pub mod hostup;
pub mod ids;
pub mod machine_events;
pub mod machine_types;
pub mod machines;
pub mod os_templates;
pub mod paging;
pub mod private_networks;
pub mod protections;
pub mod public_ips;
pub mod regions;
pub mod sessions;
pub mod shared_drives;
pub mod sizes;
pub mod snapshots;
pub mod ssh_keys;
pub mod startup_scripts;
pub mod time;
pub mod transfers;
pub mod usage;

pub use time::Timestamp;
