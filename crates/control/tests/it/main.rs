//! The control plane through its rim: HTTP in, the whole world out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod accessors;
mod accord;
mod bad_input;
mod broken_host;
mod contract;
mod custom_templates;
mod desktops;
mod drift;
mod dump;
mod events;
mod firewall_rules;
mod gpu_chances;
mod gpus;
mod hooked;
mod hostup;
mod idempotency;
mod limits;
mod lists;
mod machines;
mod manners;
mod moves;
mod networks;
mod protection;
mod public_ips;
mod quotas;
mod retention;
mod rooms;
mod seals;
mod shared_drives;
mod snapshots;
mod startup_scripts;
mod teams;
mod templates;
mod transfers;
mod update;
mod upgrades;
mod usage;
mod waiting;
mod world;
