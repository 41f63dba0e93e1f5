//! How a command ends that did not do what it was asked, and the exit code that goes with it.
//!
//! | exit code | what happened |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed: the message says why |
//! | 2 | it was asked wrongly: the message says what is missing |
//! | 130 | it was interrupted; the server goes on |

use std::process::ExitCode;

/// Something was asked that cannot be done as it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

/// The user pressed Ctrl-C while waiting.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted {
    /// What goes on, and how to look at it.
    pub hint: String,
}

/// Says why a command failed, on standard error.
pub fn tell(error: &anyhow::Error) -> ExitCode {
    if let Some(Interrupted { hint }) = error.downcast_ref() {
        eprintln!("interrupted: {hint}");
        return ExitCode::from(130);
    }
    // A message may quote what others wrote: it must not move the cursor.
    let message = format!("{error:#}").replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    eprintln!("error: {message}");
    ExitCode::from(if error.is::<Misuse>() { 2 } else { 1 })
}
