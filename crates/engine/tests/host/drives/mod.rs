//! Shared drives as their clients find them: `smbclient` in a guest's namespace, behind the guest's port.

mod clients;
mod copies;
mod growth;
mod guests;
mod mending;
mod negotiation;
mod traces;
mod world;
