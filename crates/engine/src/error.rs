//! What an engine says when it could not do what it was asked.

/// A call's outcome.
pub type Result<T> = std::result::Result<T, Error>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The failed act, and whether asking again can help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// May succeed when it is tried again: a process that was busy, a wait that was too long.
    #[error("{act}")]
    Passing {
        /// What was tried, and on what: `start QEMU for ps1…`.
        act: String,
        /// Why it failed.
        #[source]
        source: Source,
    },
    /// Will fail again until someone changes something: no space, no such device, a bad image.
    #[error("{act}")]
    Final {
        /// What was tried, and on what.
        act: String,
        /// Why it failed.
        #[source]
        source: Source,
    },
}

impl Error {
    /// An error that the next try may not meet.
    pub fn passing(act: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Passing { act: act.into(), source: source.into() }
    }

    /// An error that another try will meet again.
    pub fn lasting(act: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Final { act: act.into(), source: source.into() }
    }

    /// Whether it is of no use to try again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Final { .. })
    }

    /// The act and every cause, in one line for an event or a log.
    pub fn told(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
