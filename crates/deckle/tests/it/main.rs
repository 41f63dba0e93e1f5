//! The command line, seen from outside: what is typed, what is printed, what is sent.
//!
//! A transcript is a file under `tests/transcripts/STORY/`, named after the command line that it
//! records, and compared byte for byte. `UPDATE_GOLDEN=1 cargo test -p deckle` writes them anew: read
//! the difference before it is committed.

mod administration;
mod canned;
mod images;
mod machines;
mod objects;
mod retries;
mod shell;
mod targets;
mod world;
