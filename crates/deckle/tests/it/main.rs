//! The command line, seen from outside: what is typed, what is printed, what is sent.
//!
//! A transcript is a file under `tests/transcripts/STORY/`, named after the command line that it
//! records, and compared byte for byte. `UPDATE_GOLDEN=1 cargo test -p deckle` writes them anew: read
//! the difference before it is committed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod administration;
mod canned;
mod curl;
mod images;
mod machines;
mod objects;
mod retries;
mod served;
mod server;
mod shell;
mod targets;
mod usage;
mod world;
