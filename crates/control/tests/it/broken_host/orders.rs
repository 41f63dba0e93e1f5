//! The orders that are broken in every way, and the world that each must end in.

use deckle_api::ids::MachineId;
use serde_json::{Value, json};

use super::Story;
use crate::world::World;

/// A machine, what is ordered of it, and the world at the end.
pub struct Order {
    pub machine: fn() -> Value,
    pub in_network: bool,
    pub before: &'static [&'static str],
    pub verb: &'static str,
    pub end: &'static str,
}

impl Story for Order {
    fn name(&self) -> &str {
        self.verb
    }

    fn end(&self) -> &str {
        self.end
    }

    async fn prepared(&self) -> (World, Vec<String>) {
        let world = World::new().await;
        if self.in_network {
            world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
            world.settle().await;
        }
        if self.verb == "create" {
            return (world, Vec::new());
        }
        let id = self.create(&world).await;
        world.settle().await;
        for verb in self.before {
            order(&world, verb, &id).await;
            world.settle().await;
        }
        (world, vec![id.to_string()])
    }

    async fn give(&self, world: &World, ids: &[String]) {
        match ids {
            [] => drop(self.create(world).await),
            [id, ..] => drop(order(world, self.verb, &id.parse().unwrap()).await),
        }
    }
}

impl Order {
    async fn create(&self, world: &World) -> MachineId {
        let mut changes = (self.machine)();
        if self.in_network {
            let networks = world.ok("GET /v1/private-networks", Value::Null).await;
            changes["networkId"] = networks["items"][0]["id"].clone();
        }
        world.create(changes).await
    }
}

pub async fn order(world: &World, verb: &str, id: &MachineId) -> Value {
    match verb {
        "delete" => world.ok(&format!("DELETE /v1/machines/{id}"), Value::Null).await,
        verb => world.ok(&format!("PATCH /v1/machines/{id}/{verb}"), json!({})).await,
    }
}

pub const ORDERS: &[Order] = &[
    Order {
        machine: || json!({}),
        in_network: false,
        before: &[],
        verb: "create",
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
events:
  create of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Order {
        machine: || json!({"publicIpType": "dynamic"}),
        in_network: true,
        before: &[],
        verb: "create",
        end: "\
machines:
  ps1 web ready C2 ny2 in n1 10.64.0.3 dynamic 203.0.113.1
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
events:
  create of ps1: done
taken: 1 places, 1 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24; ps1 at 10.64.0.3 (02:87:b3:41:d6:90) as ps1 web, public 203.0.113.1
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Order {
        machine: || json!({"startOnCreate": false}),
        in_network: false,
        before: &[],
        verb: "create",
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none
networks: none
events:
  create of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    Order {
        machine: || json!({"publicIpType": "dynamic"}),
        in_network: false,
        before: &["stop"],
        verb: "start",
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 dynamic 203.0.113.1
networks: none
events:
  create of ps1: done
  stop of ps1: done
  start of ps1: done
taken: 1 places, 1 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web, public 203.0.113.1
machines:
  ps1: 50 GiB on t0nspur5; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Order {
        machine: || json!({"publicIpType": "dynamic"}),
        in_network: false,
        before: &[],
        verb: "stop",
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 dynamic
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
    Order {
        machine: || json!({}),
        in_network: true,
        before: &[],
        verb: "restart",
        end: "\
machines:
  ps1 web ready C2 ny2 in n1 10.64.0.3 none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
events:
  create of ps1: done
  restart of ps1: done
taken: 1 places, 0 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24; ps1 at 10.64.0.3 (02:87:b3:41:d6:90) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Order {
        machine: || json!({"publicIpType": "dynamic"}),
        in_network: true,
        before: &[],
        verb: "delete",
        end: "\
machines: none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
events:
  create of ps1: done
  deactivate of ps1: done
taken: 0 places, 0 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24
machines: none",
    },
    Order {
        machine: || json!({}),
        in_network: false,
        before: &["stop"],
        verb: "delete",
        end: "\
machines: none
networks: none
events:
  create of ps1: done
  stop of ps1: done
  deactivate of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines: none",
    },
];
