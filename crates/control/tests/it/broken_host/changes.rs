//! Changes of what is there: machines that move, addresses that lead elsewhere.

use serde_json::{Value, json};

use super::Story;
use crate::world::{World, machine};

/// A method with a path, and a body.
pub type Asked = (&'static str, fn() -> Value);

/// What is asked for, and the world at the end. In a line, `$0` stands for the id or the address that the
/// first line of `before` has made, and so on.
pub struct Change {
    pub name: &'static str,
    pub before: &'static [Asked],
    pub asked: Asked,
    pub end: &'static str,
}

impl Story for Change {
    fn name(&self) -> &str {
        self.name
    }

    fn end(&self) -> &str {
        self.end
    }

    async fn prepared(&self) -> (World, Vec<String>) {
        let world = World::new().await;
        let mut ids = Vec::new();
        for asked in self.before {
            let answer = ask(&world, asked, &ids).await;
            let id =
                [&answer["data"]["id"], &answer["id"], &answer["ip"]].into_iter().find_map(Value::as_str);
            ids.push(id.unwrap().to_owned());
            world.settle().await;
        }
        (world, ids)
    }

    async fn give(&self, world: &World, ids: &[String]) {
        ask(world, &self.asked, ids).await;
    }
}

async fn ask(world: &World, (line, body): &Asked, ids: &[String]) -> Value {
    let filled = |text: String| {
        ids.iter().enumerate().fold(text, |text, (nth, id)| text.replace(&format!("${nth}"), id))
    };
    let body = serde_json::from_str(&filled(body().to_string())).unwrap();
    world.ok(&filled((*line).to_owned()), body).await
}

const NETWORK: &str = "POST /v1/private-networks";
const MACHINE: &str = "POST /v1/machines";
const ADDRESS: &str = "POST /v1/public-ips";

fn lab() -> Value {
    json!({"name": "lab", "region": "ny2"})
}

fn den() -> Value {
    json!({"name": "den", "region": "ny2"})
}

fn ny2() -> Value {
    json!({"region": "ny2"})
}

pub const CHANGES: &[Change] = &[
    Change {
        name: "a move of a running machine",
        before: &[
            (NETWORK, lab),
            (NETWORK, den),
            (MACHINE, || machine(json!({"networkId": "$0", "publicIpType": "dynamic"}))),
        ],
        asked: ("PUT /v1/machines/$2", || json!({"networkId": "$1"})),
        end: "\
machines:
  ps1 web ready C2 ny2 in n1 10.64.8.3 dynamic 203.0.113.1
networks:
  n2 lab ny2 10.64.0.0/255.255.255.0
  n1 den ny2 10.64.8.0/255.255.255.0
events:
  create of ps1: done
  vm-migrate of ps1: done
taken: 1 places, 1 public addresses, 2 networks
templates:
  t0nspur5: 3 GiB
networks:
  n2: 10.64.0.0/24
  n1: 10.64.8.0/24; ps1 at 10.64.8.3 (02:6f:9b:6d:ae:6f) as ps1 web, public 203.0.113.1
machines:
  ps1: 50 GiB on t0nspur5; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "a move of a machine that is off, out of a network of its own",
        before: &[
            (NETWORK, lab),
            (MACHINE, || machine(json!({"startOnCreate": false, "publicIpType": "static"}))),
        ],
        asked: ("PUT /v1/machines/$1", || json!({"networkId": "$0"})),
        end: "\
machines:
  ps1 web off C2 ny2 in n1 10.64.0.3 static 203.0.113.1
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
addresses:
  203.0.113.1 ny2 to ps1
events:
  create of ps1: done
  vm-migrate of ps1: done
taken: 0 places, 1 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    Change {
        name: "an upgrade of a machine that is off, which moves within it",
        before: &[(NETWORK, lab), (MACHINE, || machine(json!({"startOnCreate": false})))],
        asked: ("PUT /v1/machines/$1", || json!({"machineType": "C3", "diskSize": 80, "networkId": "$0"})),
        end: "\
machines:
  ps1 web off C3 ny2 in n1 10.64.0.3 none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
events:
  create of ps1: done
  vm-upgrade of ps1: done
taken: 0 places, 0 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24
machines:
  ps1: 80 GiB on t0nspur5; off",
    },
    Change {
        name: "a new network that machines move into",
        before: &[
            (MACHINE, || machine(json!({"publicIpType": "static"}))),
            (MACHINE, || machine(json!({"name": "off", "startOnCreate": false}))),
            (MACHINE, || machine(json!({"name": "elsewhere", "region": "ca1"}))),
        ],
        asked: (NETWORK, || json!({"name": "lab", "region": "ny2", "migrateMachines": true})),
        end: "\
machines:
  ps1 web ready C2 ny2 in n1 10.64.0.3 static 203.0.113.1
  ps2 off off C2 ny2 in n1 10.64.0.4 none
  ps3 elsewhere ready C2 ca1 alone 172.31.255.254 none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
addresses:
  203.0.113.1 ny2 to ps1
events:
  create of ps1: done
  create of ps2: done
  create of ps3: done
  vm-migrate of ps1: done
  vm-migrate of ps2: done
taken: 2 places, 1 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24; ps1 at 10.64.0.3 (02:67:75:dc:77:01) as ps1 web, public 203.0.113.1
  ps3: 172.31.255.252/30; ps3 at 172.31.255.254 (02:ae:84:37:96:30) as ps3 elsewhere
machines:
  ps1: 50 GiB on t0nspur5; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers
  ps2: 50 GiB on t0nspur5; off
  ps3: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "a claim",
        before: &[],
        asked: (ADDRESS, ny2),
        end: "\
machines: none
networks: none
addresses:
  203.0.113.1 ny2 to nothing
events: none
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines: none",
    },
    Change {
        name: "an assignment to a running machine that has a dynamic address",
        before: &[(MACHINE, || machine(json!({"publicIpType": "dynamic"}))), (ADDRESS, ny2)],
        asked: ("PUT /v1/public-ips/$1", || json!({"machineId": "$0"})),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 static 203.0.113.2
networks: none
addresses:
  203.0.113.2 ny2 to ps1
events:
  create of ps1: done
taken: 1 places, 1 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web, public 203.0.113.2
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "an address that goes from one running machine to another",
        before: &[
            (NETWORK, lab),
            (ADDRESS, ny2),
            (MACHINE, || machine(json!({"networkId": "$0", "publicIpType": "static"}))),
            (MACHINE, || machine(json!({"networkId": "$0", "name": "other"}))),
            ("PUT /v1/public-ips/$1", || json!({"machineId": "$3"})),
        ],
        asked: ("PUT /v1/public-ips/$1", || json!({"machineId": "$2"})),
        end: "\
machines:
  ps1 web ready C2 ny2 in n1 10.64.0.3 static 203.0.113.1
  ps2 other ready C2 ny2 in n1 10.64.0.4 none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
addresses:
  203.0.113.1 ny2 to ps1
  203.0.113.2 ny2 to nothing
events:
  create of ps1: done
  create of ps2: done
taken: 2 places, 1 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24; ps1 at 10.64.0.3 (02:87:b3:41:d6:90) as ps1 web, public 203.0.113.1; ps2 at 10.64.0.4 (02:d0:ba:d0:da:57) as ps2 other
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers
  ps2: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "an address that is taken from a running machine",
        before: &[(MACHINE, || machine(json!({}))), (ADDRESS, ny2), ("PUT /v1/public-ips/$1", || json!({"machineId": "$0"}))],
        asked: ("PUT /v1/public-ips/$1", || json!({})),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
addresses:
  203.0.113.1 ny2 to nothing
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
    Change {
        name: "a release of an address that leads to a running machine",
        before: &[(MACHINE, || machine(json!({}))), (ADDRESS, ny2), ("PUT /v1/public-ips/$1", || json!({"machineId": "$0"}))],
        asked: ("DELETE /v1/public-ips/$1", || Value::Null),
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
    Change {
        name: "from none to static",
        before: &[(MACHINE, || machine(json!({})))],
        asked: ("PUT /v1/machines/$0", || json!({"publicIpType": "static"})),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 static 203.0.113.1
networks: none
addresses:
  203.0.113.1 ny2 to ps1
events:
  create of ps1: done
taken: 1 places, 1 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web, public 203.0.113.1
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "from static to dynamic",
        before: &[(MACHINE, || machine(json!({"publicIpType": "static"})))],
        asked: ("PUT /v1/machines/$0", || json!({"publicIpType": "dynamic"})),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 dynamic 203.0.113.2
networks: none
addresses:
  203.0.113.1 ny2 to nothing
events:
  create of ps1: done
taken: 1 places, 1 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web, public 203.0.113.2
machines:
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "from dynamic to none",
        before: &[(MACHINE, || machine(json!({"publicIpType": "dynamic"})))],
        asked: ("PUT /v1/machines/$0", || json!({"publicIpType": "none"})),
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
    Change {
        name: "a stop of a machine with a static address",
        before: &[(MACHINE, || machine(json!({"publicIpType": "static"})))],
        asked: ("PATCH /v1/machines/$0/stop", || json!({})),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 static 203.0.113.1
networks: none
addresses:
  203.0.113.1 ny2 to ps1
events:
  create of ps1: done
  stop of ps1: done
taken: 0 places, 1 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    Change {
        name: "a deletion of a machine with a static address",
        before: &[(NETWORK, lab), (MACHINE, || machine(json!({"networkId": "$0", "publicIpType": "static"})))],
        asked: ("DELETE /v1/machines/$1", || Value::Null),
        end: "\
machines: none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
addresses:
  203.0.113.1 ny2 to nothing
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
    Change {
        name: "a name that was another machine's",
        before: &[
            (NETWORK, lab),
            (MACHINE, || machine(json!({"networkId": "$0", "name": "old"}))),
            (MACHINE, || machine(json!({"networkId": "$0", "name": "new"}))),
        ],
        asked: ("PUT /v1/machines/$1", || json!({"name": "New"})),
        end: "\
machines:
  ps1 New ready C2 ny2 in n1 10.64.0.3 none
  ps2 new ready C2 ny2 in n1 10.64.0.4 none
networks:
  n1 lab ny2 10.64.0.0/255.255.255.0
events:
  create of ps1: done
  create of ps2: done
taken: 2 places, 0 public addresses, 1 networks
templates:
  t0nspur5: 3 GiB
networks:
  n1: 10.64.0.0/24; ps2 at 10.64.0.4 (02:a5:34:a6:a6:b7) as ps2; ps1 at 10.64.0.3 (02:74:76:cf:8a:4b) as ps1 new
machines:
  ps2: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers
  ps1: 50 GiB on t0nspur5; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
];
