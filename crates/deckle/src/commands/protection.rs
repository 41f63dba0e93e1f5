//! Protection against deletion: the same for each noun that has it.

use anyhow::Result;
use deckle_api::protections::{Protection, SetProtection};

use crate::Cli;
use crate::output::Shown;

/// Protects the object at a path against deletion, or no longer.
pub async fn set(cli: &Cli, object: &str, is_protected: bool) -> Result<()> {
    let wanted = SetProtection { is_protected: Some(is_protected) };
    let answer = cli.client()?.put(&format!("{object}/protection"), &wanted).await?;
    cli.output.one::<Protection>(&answer)
}

impl Shown for Protection {
    const COLUMNS: &'static [&'static str] = &["PROTECTED"];

    fn cells(&self) -> Vec<String> {
        vec![self.is_protected.to_string()]
    }
}
