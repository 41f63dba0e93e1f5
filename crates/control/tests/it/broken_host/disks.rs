//! Changes of machines' disks: snapshots that are taken, that go, and that disks go back to.

use serde_json::{Value, json};

use super::changes::{Asked, Change};
use crate::world::machine;

const ON: Asked = ("POST /v1/machines", || machine(json!({})));
const OFF: Asked = ("POST /v1/machines", || machine(json!({"startOnCreate": false})));
const GOOD: Asked = ("POST /v1/snapshots", || json!({"name": "good", "machineId": "$0"}));
const LATER: Asked = ("POST /v1/snapshots", || json!({"name": "later", "machineId": "$0"}));

pub const OF_DISKS: &[Change] = &[
    Change {
        name: "a snapshot of a running machine",
        before: &[ON],
        asked: GOOD,
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
snapshots:
  sl1 good of ps1
events:
  create of ps1: done
  snapshot-create of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "a snapshot of a machine that is off",
        before: &[OFF],
        asked: GOOD,
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none
networks: none
snapshots:
  sl1 good of ps1
events:
  create of ps1: done
  snapshot-create of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB; off",
    },
    Change {
        name: "a snapshot of a running machine that goes",
        before: &[ON, GOOD, LATER],
        asked: ("DELETE /v1/snapshots/$1", || Value::Null),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
snapshots:
  sl1 later of ps1
events:
  create of ps1: done
  snapshot-create of ps1: done
  snapshot-create of ps1: done
  snapshot-delete of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB; on, boot 1, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "a restore of a running machine",
        before: &[ON, GOOD, LATER],
        asked: ("POST /v1/snapshots/$1/restore", || json!({})),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
snapshots:
  sl1 good of ps1
  sl2 later of ps1
events:
  create of ps1: done
  snapshot-create of ps1: done
  snapshot-create of ps1: done
  snapshot-restore of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB, snapshot sl2 of 50 GiB, restore 1; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers",
    },
    Change {
        name: "a restore of a machine that is off",
        before: &[OFF, GOOD],
        asked: ("POST /v1/snapshots/$1/restore", || json!({})),
        end: "\
machines:
  ps1 web off C2 ny2 alone 172.31.255.254 none
networks: none
snapshots:
  sl1 good of ps1
events:
  create of ps1: done
  snapshot-create of ps1: done
  snapshot-restore of ps1: done
taken: 0 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks: none
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB, restore 1; off",
    },
    Change {
        name: "a restore of a running machine, and a snapshot before it",
        before: &[ON, GOOD],
        asked: ("POST /v1/snapshots/$1/restore", || json!({"createSnapshotBeforeRestore": true})),
        end: "\
machines:
  ps1 web ready C2 ny2 alone 172.31.255.254 none
networks: none
snapshots:
  sl1 good of ps1
  sl2 Before the restore of good of ps1
events:
  create of ps1: done
  snapshot-create of ps1: done
  snapshot-restore of ps1: done
taken: 1 places, 0 public addresses, 0 networks
templates:
  t0nspur5: 3 GiB
networks:
  ps1: 172.31.255.252/30; ps1 at 172.31.255.254 (02:67:75:dc:77:01) as ps1 web
machines:
  ps1: 50 GiB on t0nspur5, snapshot sl1 of 50 GiB, snapshot sl2 of 50 GiB, restore 1; on, boot 2, 1 vCPUs, 1 GiB, leased, agent answers",
    },
];
