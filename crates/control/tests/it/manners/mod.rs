//! What every request and every answer has in common, whatever the noun.

mod bodies;
mod errors;
mod every_route;
