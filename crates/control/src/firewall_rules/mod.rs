//! Firewall rules: what may pass to and from the machines of a network, or one machine.
//!
//! A rule has no life of its own: it is part of what a network is to be on its host, a private one or the
//! one that a machine has to itself. A change of the rules unsettles that network, and its visit brings
//! them all into force at once.
//!
//! **Invariant**: a machine is not plugged in before its rules are in force: the visit that plugs it in
//! compares its network with them first.

pub mod http;
pub mod service;
mod store;
