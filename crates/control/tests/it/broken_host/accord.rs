//! What machines do by themselves, broken in every way: they shut down, have a snapshot taken, go back.

use serde_json::{Value, json};

use super::{Story, order};
use crate::world::World;

/// A machine, what happens to it, and the world at the end.
pub struct ByItself {
    pub name: &'static str,
    pub machine: fn() -> Value,
    /// How long it has been there, in seconds, with all that it has done meanwhile.
    pub lived_s: i64,
    /// What is ordered then, or how many seconds pass.
    pub given: Given,
    pub end: &'static str,
}

pub enum Given {
    Seconds(i64),
    Order(&'static str),
    GuestPowersOff,
}

impl Story for ByItself {
    fn name(&self) -> &str {
        self.name
    }

    fn end(&self) -> &str {
        self.end
    }

    async fn prepared(&self) -> (World, Vec<String>) {
        let world = World::new().await;
        let id = world.create((self.machine)()).await;
        world.settle().await;
        world.pass_seconds(self.lived_s);
        world.live_seconds(1).await;
        (world, vec![id.to_string()])
    }

    async fn give(&self, world: &World, ids: &[String]) {
        let id = ids[0].parse().unwrap();
        match self.given {
            Given::Order(verb) => return drop(order(world, verb, &id).await),
            Given::Seconds(seconds) => world.pass_seconds(seconds),
            Given::GuestPowersOff => {
                world.host.guest_powers_off(&id);
                world.pass_seconds(60);
            }
        }
        // What nobody has ordered is waited for all the same.
        world.run("UPDATE machines SET settled = FALSE").await;
    }
}

pub const BY_ITSELF: &[ByItself] = &[
    ByItself {
        name: "a shutdown",
        machine: || json!({"autoShutdownEnabled": true}),
        lived_s: 0,
        given: Given::Seconds(3601),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none, off after 1 h
networks: none
events:
  create of ps1: done
  stop of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    ByItself {
        name: "a shutdown by force",
        machine: || json!({"autoShutdownEnabled": true, "autoShutdownForce": true}),
        lived_s: 0,
        given: Given::Seconds(3601),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none, off after 1 h by force
networks: none
events:
  create of ps1: done
  vm-shutdown-force of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    ByItself {
        name: "a snapshot, and one that goes for it",
        machine: || json!({"autoSnapshotEnabled": true, "autoSnapshotFrequency": "hourly"}),
        lived_s: 3600,
        given: Given::Seconds(3600),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none, hourly snapshots, 1 kept
networks: none
snapshots:
  sl1 Auto snapshot 2023-11-15 00:13 of ps1, by itself
events:
  create of ps1: done
  snapshot-create of ps1: done
  snapshot-create of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    ByItself {
        name: "a stop that takes the disk back",
        machine: || json!({"restorePointEnabled": true}),
        lived_s: 0,
        given: Given::Order("stop"),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none, goes back to sl1
networks: none
snapshots:
  sl1 Initial snapshot of ps1
events:
  create of ps1: done
  stop of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB, restore 1; off",
    },
    ByItself {
        name: "a restart that takes the disk back",
        machine: || json!({"restorePointEnabled": true}),
        lived_s: 0,
        given: Given::Order("restart"),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none, goes back to sl1
networks: none
snapshots:
  sl1 Initial snapshot of ps1
events:
  create of ps1: done
  restart of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB, restore 1; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    ByItself {
        name: "a guest that shuts down, and its disk goes back",
        machine: || json!({"restorePointEnabled": true}),
        lived_s: 0,
        given: Given::GuestPowersOff,
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none, goes back to sl1
networks: none
snapshots:
  sl1 Initial snapshot of ps1
events:
  create of ps1: done
  stop of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB, restore 1; off",
    },
];
