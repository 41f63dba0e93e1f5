//! The second dialect: the rows of private networks, told as HostUp's v2 API tells them.
//!
//! **Invariant**: views only. Nothing is kept here, and what both dialects do is done by the noun's service.

pub mod http;
mod query;
mod service;
mod views;
