//! What shells need to complete commands.

use std::io;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::output;

/// Which shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell; for bash: deckle completions bash > /etc/bash_completion.d/deckle
    shell: Shell,
}

impl Completions {
    /// Prints the completions.
    pub fn run(&self) -> Result<()> {
        let mut text = io::Cursor::new(Vec::new());
        generate(self.shell, &mut Cli::command(), "deckle", &mut text);
        output::print(&String::from_utf8_lossy(text.get_ref()))
    }
}
