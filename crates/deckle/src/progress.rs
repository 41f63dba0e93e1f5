//! What is said on standard error while something goes on: one living line on a terminal, else plain
//! lines, and those only when there is something new.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The frames of the sign of life.
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// How often a living line is drawn again.
pub const FRAME: Duration = Duration::from_millis(100);

/// A line of progress.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    living: bool,
    said: String,
}

impl Progress {
    /// A line that nothing was said on yet.
    pub fn begin() -> Self {
        let living =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self { begun: Instant::now(), living, said: String::new() }
    }

    /// Says how far it is: `headline` is worth a line of a log, `detail` only a living one.
    pub fn say(&mut self, headline: &str, detail: &str) {
        if self.living {
            let tick = self.begun.elapsed().as_millis() / FRAME.as_millis();
            let frame = FRAMES[(tick % 10) as usize];
            let seconds = self.begun.elapsed().as_secs();
            let gap = if detail.is_empty() { "" } else { ", " };
            // A terminal that is gone is no reason to stop the work.
            let _ = write!(io::stderr(), "\r\x1b[2K{frame} {headline}{gap}{detail} ({seconds} s)");
        } else if self.said != headline {
            let _ = writeln!(io::stderr(), "{headline}");
            headline.clone_into(&mut self.said);
        }
    }

    /// Says something that is worth a line of a log. A living line says more, and says it anew.
    pub fn log(&self, line: &str) {
        if !self.living {
            let _ = writeln!(io::stderr(), "  {line}");
        }
    }

    /// Takes a living line away; what comes next starts on a clean one.
    pub fn clear(&mut self) {
        if self.living {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
