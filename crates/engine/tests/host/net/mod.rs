//! Networks as their machines, and those outside, find them.
//!
//! A guest is a namespace with a kernel of its own kind of stack behind the very port that QEMU would be
//! given. All traffic stays on this machine.

mod coexistence;
mod firewall;
mod frames;
mod guard;
pub mod guest;
mod hosts;
mod isolation;
mod leases;
mod mending;
mod moves;
mod public_ips;
mod uninstall;
pub mod world;
