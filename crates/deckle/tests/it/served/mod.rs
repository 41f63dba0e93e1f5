//! The stories that are told to a real server, `deckle serve --engine emulator`: each has its own.

mod machines;
mod metrics;
mod networks;
mod nouns;
mod operator;
mod policies;
mod snapshots;
mod start;
mod tls;

use std::fs;

use crate::server::{SERVE, Server};
use crate::world::World;

/// A world with a server of its own, and its first key in `owner.key`, where the client finds it.
fn world(story: &'static str) -> (World, Server) {
    let mut world = World::nowhere(story);
    let server = Server::start(&world, SERVE);
    world.go_to(&server.url);
    world.stands_for("KEY", &owner_key(&world));
    (world, server)
}

fn owner_key(world: &World) -> String {
    fs::read_to_string(world.state().join("owner.key")).unwrap().trim().to_owned()
}
