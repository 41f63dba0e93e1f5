//! Taking an installation off its host, but for what holds users' bytes: before an uninstall, or when a
//! host is to be quiet. The next start of the server brings everything back.

use std::collections::BTreeSet;
use std::time::Duration;

use deckle_api::ids::MachineId;
use tokio::time::{Instant, sleep};

use super::engine::Linux;
use crate::Engine;
use crate::error::Result;
use crate::seen::{HostThing, Power};
use crate::specs::HostNetwork;

/// How long guests have to shut down before their power is cut.
const CLEAN_STOP: Duration = Duration::from_secs(30);
/// How often they are asked.
const PRESS_EVERY: Duration = Duration::from_secs(3);

impl Linux {
    /// Shuts every machine down, removes every network, unmounts every drive, gives GPUs back to the drivers
    /// that had them, and takes the host's packet rules back. Disks, drives' images and templates stay. No
    /// server has the state folder meanwhile.
    pub async fn clear(&self) -> Result<()> {
        let things = self.look_things().await?;
        let machines = machines(&things);
        self.shut_down(&machines).await?;
        for network in networks(&things) {
            self.remove_network(&network).await?;
        }
        self.part_drives().await?;
        self.give_gpus_back().await?;
        self.remove_host_rules().await
    }

    async fn shut_down(&self, machines: &BTreeSet<MachineId>) -> Result<()> {
        let end = Instant::now() + CLEAN_STOP;
        while Instant::now() < end && self.press_those_on(machines).await? {
            sleep(PRESS_EVERY).await;
        }
        for machine in machines {
            self.cut_power(machine).await?;
        }
        Ok(())
    }

    /// Presses the power button of each machine that is on; whether there was one.
    async fn press_those_on(&self, machines: &BTreeSet<MachineId>) -> Result<bool> {
        let mut any = false;
        for machine in machines {
            let seen = self.look_machine(machine, &HostNetwork::Own(machine.clone())).await?;
            if matches!(seen.power, Power::On { .. }) {
                self.press_power_button(machine).await?;
                any = true;
            }
        }
        Ok(any)
    }
}

fn machines(things: &[HostThing]) -> BTreeSet<MachineId> {
    things.iter().filter_map(|thing| thing.of.parse().ok()).collect()
}

/// The networks that have a name on the host: a machine's own one is named after the machine.
fn networks(things: &[HostThing]) -> BTreeSet<HostNetwork> {
    let own = |thing: &HostThing| thing.of.parse().map(HostNetwork::Own).ok();
    let private = |thing: &HostThing| thing.of.parse().map(HostNetwork::Private).ok();
    things.iter().filter_map(|thing| own(thing).or_else(|| private(thing))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_found_by_their_names() {
        let thing = |of: &str| HostThing { kind: "link".into(), name: String::new(), of: of.into() };
        let things = [thing("psabc"), thing("nabc"), thing("tabc"), thing("psabc")];
        let found: Vec<_> = networks(&things).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["nabc", "psabc"]);
        assert_eq!(machines(&things).len(), 1);
    }
}
