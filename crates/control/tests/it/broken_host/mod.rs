//! A host that breaks, a server that dies, a request that comes between: each ends as if nothing had been.

mod faults;
mod killed;
mod more;
mod orders;
mod races;
mod sweep;
mod vain;

pub use orders::order;
