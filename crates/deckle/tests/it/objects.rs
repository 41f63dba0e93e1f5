//! Objects of the API as a server would answer them.

use serde_json::{Value, json};

const MOMENT: &str = "2026-11-21T10:00:00.000Z";

/// A machine.
pub fn machine(id: &str, name: &str, state: &str) -> Value {
    json!({
        "id": id, "name": name, "state": state, "os": "Debian 12", "machineType": "C4",
        "agentType": "LinuxHeadless", "cpus": 2, "ram": 4_294_967_296_u64,
        "storageTotal": 53_687_091_200_u64, "storageUsed": 1_610_612_736_u64, "region": "ny2",
        "privateIp": "10.64.21.3", "networkId": "nwhoe4oxk2", "publicIp": null, "publicIpType": "none",
        "autoShutdownEnabled": true, "autoShutdownTimeout": 24, "autoShutdownForce": false,
        "autoSnapshotEnabled": false, "autoSnapshotFrequency": null, "autoSnapshotSaveCount": null,
        "updatesPending": false, "restorePointEnabled": false, "restorePointFrequency": null,
        "restorePointSnapshotId": null, "usageRate": 0.04, "storageRate": 5.0, "dtCreated": MOMENT,
        "dtModified": MOMENT, "dtDeleted": null, "reservation": null
    })
}

/// An event of the machine `ps8rgduy2k`.
pub fn event(name: &str, state: &str, error: Option<&str>) -> Value {
    json!({
        "id": "ev4k2m9x0a", "name": name, "state": state, "machineId": "ps8rgduy2k", "dtCreated": MOMENT,
        "dtStarted": null, "dtFinished": null, "error": error
    })
}

/// What that event waits for: a step that began long ago.
pub fn event_detail(step: &str, error: Option<(&str, u64)>) -> Value {
    let failed = error.map(|_| MOMENT);
    json!({
        "eventId": "ev4k2m9x0a", "state": "in progress", "step": step, "since": "2020-02-20T10:00:00.000Z",
        "lastError": error.map(|(error, _)| error), "dtLastError": failed,
        "nextTry": MOMENT, "failures": error.map_or(0, |(_, failures)| failures), "dtFinished": null
    })
}

/// An order on the machine `ps8rgduy2k`, just given.
pub fn ordered(name: &str, state: &str) -> Value {
    json!({"event": event(name, "new", None), "data": machine("ps8rgduy2k", "first", state)})
}

/// A template of an operating system.
pub fn template(id: &str, name: &str) -> Value {
    json!({
        "id": id, "name": name, "agentType": "LinuxHeadless", "operatingSystemLabel": "Debian 12",
        "defaultSizeGb": 10, "dtCreated": MOMENT,
        "availableMachineTypes": [
            {"machineTypeLabel": "C1", "isAvailable": true},
            {"machineTypeLabel": "C4", "isAvailable": true}
        ]
    })
}

/// The last page of a list.
pub fn page(items: &[Value]) -> Value {
    json!({"hasMore": false, "items": items})
}

/// A page with others after it.
pub fn page_before(next: &str, items: &[Value]) -> Value {
    json!({"hasMore": true, "nextPage": next, "items": items})
}
