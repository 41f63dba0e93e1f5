//! Custom templates that are made, used and deleted.

use serde_json::{Value, json};

use super::changes::Change;
use crate::world::machine;

const MACHINE: &str = "POST /v1/machines";
const TEMPLATE: &str = "POST /v1/custom-templates";

fn off() -> Value {
    machine(json!({"startOnCreate": false}))
}

fn golden() -> Value {
    json!({"name": "golden", "machineId": "$0"})
}

pub const TEMPLATES: &[Change] = &[
    Change {
        name: "a template of a machine",
        before: &[(MACHINE, off)],
        asked: (TEMPLATE, golden),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none
networks: none
custom templates:
  t1 golden Ubuntu 22.04 ny2 50 GB of ps1 for 10 types
events:
  create of ps1: done
  template-create of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
  t1: 50 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    Change {
        name: "a machine of a template",
        before: &[(MACHINE, off), (TEMPLATE, golden)],
        asked: (MACHINE, || machine(json!({"templateId": "$1", "startOnCreate": false}))),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none
  ps2 web off C2 ny2 alone 172.31.255.254 none
networks: none
custom templates:
  t1 golden Ubuntu 22.04 ny2 50 GB of ps1 for 10 types
events:
  create of ps1: done
  template-create of ps1: done
  create of ps2: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
  t1: 50 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off
  ps2: 50 GiB on t1; off",
    },
    Change {
        name: "the end of a template",
        before: &[(MACHINE, off), (TEMPLATE, golden)],
        asked: ("DELETE /v1/custom-templates/$1", || Value::Null),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none
networks: none
events:
  create of ps1: done
  template-create of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5; off",
    },
    Change {
        name: "the end of a template's machine",
        before: &[(MACHINE, off), (TEMPLATE, golden)],
        asked: ("DELETE /v1/machines/$0", || Value::Null),
        end: "\
machines: none
networks: none
custom templates:
  t1 golden Ubuntu 22.04 ny2 50 GB of ps1 for 10 types
events:
  create of ps1: done
  template-create of ps1: done
  deactivate of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
  t1: 50 GiB
networks: none
machines: none",
    },
];
