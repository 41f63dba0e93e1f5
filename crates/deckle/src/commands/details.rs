//! What objects wait for: the same for each noun that has a life on a host.

use anyhow::Result;
use deckle_api::details::Detail;

use crate::Cli;
use crate::output::{Shown, or_dash};

/// Shows how the object at a path fares on its host.
pub async fn show(cli: &Cli, object: &str) -> Result<()> {
    cli.output.one::<Detail>(&cli.client()?.get(&format!("{object}/detail")).await?)
}

impl Shown for Detail {
    const COLUMNS: &'static [&'static str] =
        &["READY", "STEP", "SINCE", "LAST ERROR", "FAILED", "FAILURES", "NEXT TRY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.is_ready.to_string(),
            or_dash(self.step.as_ref()),
            or_dash(self.since),
            or_dash(self.last_error.as_ref()),
            or_dash(self.dt_last_error),
            self.failures.to_string(),
            or_dash(self.next_try),
        ]
    }
}
