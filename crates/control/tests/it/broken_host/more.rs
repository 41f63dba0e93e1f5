//! The same sweeps for drives and firewall rules, beside a machine that runs and stays as it is.

use std::collections::BTreeMap;

use deckle_engine::emulator::{Call, Fuse};
use serde_json::{Value, json};

use crate::world::{World, sweep_step};

/// What is done before the order, the order itself, and what of the world differs at the end.
struct Change {
    /// Whether the machine has its network to itself.
    alone: bool,
    before: &'static [&'static str],
    order: &'static str,
    /// What clients see besides the machine and the network.
    told: &'static str,
    /// What the host's line of the machine's network says after its range, and after its machine.
    rules: &'static str,
    shares: &'static str,
    drives: &'static str,
}

const CHANGES: &[Change] = &[
    Change {
        alone: false,
        before: &[],
        order: "create",
        told: "shared drives:\n  sd1 data ny2 1 GiB in n1 at \\\\10.64.0.2\\sd1 as sd1\n",
        rules: "",
        shares: "; sd1 with password 1",
        drives: "\ndrives:\n  sd1: 1 GiB",
    },
    Change {
        alone: false,
        before: &["create"],
        order: "resize",
        told: "shared drives:\n  sd1 data ny2 2 GiB in n1 at \\\\10.64.0.2\\sd1 as sd1\n",
        rules: "",
        shares: "; sd1 with password 1",
        drives: "\ndrives:\n  sd1: 2 GiB",
    },
    Change {
        alone: false,
        before: &["create"],
        order: "rotate-password",
        told: "shared drives:\n  sd1 data ny2 1 GiB in n1 at \\\\10.64.0.2\\sd1 as sd1\n",
        rules: "",
        shares: "; sd1 with password 2",
        drives: "\ndrives:\n  sd1: 1 GiB",
    },
    Change {
        alone: false,
        before: &["create"],
        order: "delete",
        told: "",
        rules: "",
        shares: "",
        drives: "",
    },
    Change {
        alone: false,
        before: &[],
        order: "allow in network",
        told: "firewall rules:\n  n1 Inbound Tcp 22-22 0.0.0.0/0\n",
        rules: ", 1 firewall rules",
        shares: "",
        drives: "",
    },
    Change {
        alone: true,
        before: &[],
        order: "allow machine",
        told: "firewall rules:\n  ps1 Inbound Tcp 22-22 0.0.0.0/0\n",
        rules: ", 1 firewall rules",
        shares: "",
        drives: "",
    },
    Change {
        alone: false,
        before: &[],
        order: "allow machine",
        told: "firewall rules:\n  ps1 Inbound Tcp 22-22 0.0.0.0/0\n",
        rules: ", 1 firewall rules",
        shares: "",
        drives: "",
    },
    Change {
        alone: false,
        before: &["allow in network"],
        order: "forbid",
        told: "",
        rules: "",
        shares: "",
        drives: "",
    },
    Change {
        alone: true,
        before: &["allow machine"],
        order: "forbid",
        told: "",
        rules: "",
        shares: "",
        drives: "",
    },
];

impl Change {
    /// A network, a machine that runs; what is done before is done.
    async fn prepared(&self) -> World {
        let world = World::new().await;
        let network = world.ok("POST /v1/private-networks", json!({"name": "lab", "region": "ny2"})).await;
        let network = if self.alone { Value::Null } else { network["id"].clone() };
        world.create(json!({"networkId": network})).await;
        world.settle().await;
        for order in self.before {
            give(&world, order).await;
            world.settle().await;
        }
        world
    }

    /// The world at the end: machines run on, and nothing differs but what was ordered.
    fn end(&self) -> String {
        let Self { alone, before: _, order: _, told, rules, shares, drives } = self;
        let (place, networks) = match alone {
            false => (
                "in n1 10.64.0.3",
                format!("  n1: 10.64.0.0/24{rules}; ps1 at 10.64.0.3 (MAC) as ps1 web{shares}"),
            ),
            true => (
                "alone 172.31.255.254",
                format!(
                    "  n1: 10.64.0.0/24\n  ps1: 172.31.255.252/30{rules}; ps1 at 172.31.255.254 (MAC) as ps1 web"
                ),
            ),
        };
        format!(
            "\
machines:
  ps1 web ready C2 ny2 {place} none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
{told}events:
  create of ps1: done
taken: 1 places, 0 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
{networks}
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers{drives}"
        )
    }
}

async fn first(world: &World, noun: &str) -> Value {
    world.ok(&format!("GET /v1/{noun}?order=asc"), Value::Null).await["items"][0].clone()
}

/// Gives an order. A look at the host that fails before anything is written is told; the order is given again.
async fn give(world: &World, order: &str) {
    let path = async |noun: &str| format!("/v1/{noun}/{}", first(world, noun).await["id"].as_str().unwrap());
    let tcp = |field: &str, id: &Value| {
        let mut wanted = json!({"direction": "inbound", "protocol": "tcp", "portFrom": 22});
        wanted[field] = id.clone();
        wanted
    };
    let (line, body) = match order {
        "create" => {
            let network = first(world, "private-networks").await;
            let body = json!({"name": "data", "size": 1, "region": "ny2", "networkId": network["id"]});
            ("POST /v1/shared-drives".to_owned(), body)
        }
        "resize" => (format!("POST {}/resize", path("shared-drives").await), json!({"size": 2})),
        "rotate-password" => (format!("POST {}/rotate-password", path("shared-drives").await), Value::Null),
        "delete" => (format!("DELETE {}", path("shared-drives").await), Value::Null),
        "allow in network" => {
            let network = first(world, "private-networks").await;
            ("POST /v1/firewall-rules".to_owned(), tcp("networkId", &network["id"]))
        }
        "allow machine" => {
            let machine = first(world, "machines").await;
            ("POST /v1/firewall-rules".to_owned(), tcp("machineId", &machine["id"]))
        }
        "forbid" => (format!("DELETE {}", path("firewall-rules").await), Value::Null),
        other => panic!("no order {other}"),
    };
    let reply = world.call(&line, body.clone()).await;
    if reply.status == 500 {
        world.ok(&line, body).await;
    } else {
        assert_eq!(reply.status, 200, "{line}: {}", reply.body);
    }
}

/// The world without what is random in it.
async fn dump(world: &World) -> String {
    let dump = world.dump().await;
    let mut parts = dump.split(" (02:");
    let begin = parts.next().unwrap_or_default().to_owned();
    parts.fold(begin, |text, part| text + " (MAC)" + part.split_once(')').map_or("", |(_, rest)| rest))
}

#[tokio::test]
async fn a_call_that_fails_once_changes_no_end_of_a_drive_or_a_firewall() {
    for change in CHANGES {
        let fuses = calls(change).await.into_iter().flat_map(|call| [Fuse::Before(call), Fuse::After(call)]);
        for fuse in fuses.step_by(sweep_step()) {
            let world = change.prepared().await;
            world.host.fail_at(Some(fuse));
            give(&world, change.order).await;
            world.settle().await;
            assert_eq!(world.host.fuse_left(), None, "{fuse:?}");
            assert_eq!(dump(&world).await, change.end(), "{fuse:?} of {}", change.order);
        }
    }
}

/// The calls that an order makes on a host that is well. The end is looked at here too.
async fn calls(change: &Change) -> Vec<Call> {
    let world = change.prepared().await;
    let before: BTreeMap<_, _> = world.host.calls().into_iter().collect();
    give(&world, change.order).await;
    world.settle().await;
    let made = world.host.calls().into_iter();
    let made = made.filter(|(call, made)| before.get(call) != Some(made)).map(|(call, _)| call).collect();
    assert_eq!(dump(&world).await, change.end(), "{}", change.order);
    made
}

#[tokio::test]
async fn a_server_killed_while_a_drive_or_a_firewall_changes_ends_in_the_same_world() {
    for change in CHANGES {
        for nth in (0..).step_by(sweep_step()) {
            let mut world = change.prepared().await;
            give(&world, change.order).await;
            let killed = world.kill_at(nth).await;
            world.settle().await;
            assert_eq!(dump(&world).await, change.end(), "killed at moment {nth} of {}", change.order);
            if !killed {
                break;
            }
        }
    }
}
