//! The real binary, its HTTP API and the Linux engine, with real guests: needs root and QEMU, and leaves
//! nothing behind.
//!
//! `DECKLE_SMALL_GUEST` names the image that `images/small/build.sh` makes, `DECKLE_DEBIAN_TEMPLATE` the one
//! of `images/debian-12/build.sh`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod addresses;
mod broken;
mod by_itself;
mod copies;
mod debian;
mod desktop;
mod drift;
mod drives;
mod guest;
mod host;
mod http;
mod kill;
mod kill_networks;
mod kill_snapshots;
mod networks;
mod outside;
mod reboot;
mod server;
mod snapshots;
mod templates;
mod uninstall;
mod upgrades;
mod world;
