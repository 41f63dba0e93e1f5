//! Usage: what was billed, from when to when, and at which price.
//!
//! An interval is opened and closed in the very transaction that changes what is billed, at the clock's moment:
//! the stores and services of other nouns say what is billed of an object from now on ([`meter`]). To bill
//! another kind of thing: a word of [`UsageKind`](deckle_api::usage::UsageKind), the period of its price in
//! [`Rate`](amounts::Rate), its price of today in [`meter::Meter::price`], and a call where its row begins and
//! ends.
//!
//! **Invariants**
//! - An object has at most one open interval of a kind, and the schema says so too.
//! - Seconds are those of the grid of whole seconds, and an amount is the difference of two values of one
//!   function of time: the usage of a window is the sum of the usage of its parts, to the last digit.
//! - What a month's closed intervals came to is added up as they close, in the same transaction.

mod amounts;
pub mod http;
pub mod meter;
pub mod service;
mod store;

pub use meter::Meter;
