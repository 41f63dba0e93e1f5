//! `deckle admin uninstall-host`: this host, as it was before Deckle came, but for what users have stored.

use std::path::Path;

use anyhow::{Result, anyhow};
use clap::Args;
use deckle_engine::linux::Linux;
use deckle_engine::seen::HostThing;

use crate::commands::serve;

/// Shuts all machines down and takes everything of the installation off this host but its state folder:
/// networks, rules, mounts, kernel settings. Without `--yes` it says what it would do. Disks, drives, templates
/// and the database stay. It refuses while a server runs
#[derive(Debug, Args)]
pub struct UninstallHost {
    /// Do it
    #[arg(short, long)]
    yes: bool,
}

impl UninstallHost {
    /// Does it, or says what it would do.
    pub async fn run(&self, state: &Path) -> Result<()> {
        let settings = serve::config(None, state)?.linux;
        let told = |fault: deckle_engine::Error| anyhow!(fault.told());
        let things = Linux::uninstallable(settings.clone()).await.map_err(told)?;
        if !self.yes {
            print!("{}", plan(state, &things));
            return Ok(());
        }
        let _lock = serve::lock(state).await?;
        Linux::uninstall(settings).await.map_err(told)?;
        eprintln!("nothing of {} is on this host any more but the folder itself", state.display());
        eprintln!("{}", what_stays(state));
        Ok(())
    }
}

fn plan(state: &Path, things: &[HostThing]) -> String {
    let mut text = format!("--yes would take off this host what {} has on it:\n", state.display());
    for HostThing { kind, name, .. } in things {
        text += &format!("  {kind} {name}\n");
    }
    if things.is_empty() {
        text += "  nothing: it has left before\n";
    }
    text + "  and what only Deckle has set of the kernel, if no other installation is here\n"
        + &what_stays(state)
        + "\n"
}

fn what_stays(state: &Path) -> String {
    let state = state.display();
    format!(
        "disks, drives, templates and the database stay in {state} (a database elsewhere stays there); to destroy \
         them for good: rm -r {state}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_each_thing_and_what_stays() {
        let thing =
            |kind: &str, name: &str| HostThing { kind: kind.into(), name: name.into(), of: String::new() };
        let text =
            plan(Path::new("/s"), &[thing("namespace", "deckle-abc-na"), thing("process", "dnsmasq 7")]);
        let wanted = "--yes would take off this host what /s has on it:\n  namespace deckle-abc-na\n  process dnsmasq 7\n  \
            and what only Deckle has set of the kernel, if no other installation is here\n\
            disks, drives, templates and the database stay in /s (a database elsewhere stays there); to destroy them \
            for good: rm -r /s\n";
        assert_eq!(text, wanted);
    }
}
