//! Which processes of a server have which clients, as `smbstatus` tells it.

use std::collections::{BTreeMap, BTreeSet};

use deckle_api::ids::SharedDriveId;
use serde::Deserialize;

/// Whose processes are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Clients of the share.
    Mounting,
    /// Those too that have come in and mount nothing: they may have come in for the share.
    AlsoIdle,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    sessions: BTreeMap<String, Session>,
    tcons: BTreeMap<String, Mounting>,
}

#[derive(Debug, Deserialize)]
struct Session {
    session_id: String,
    server_id: Server,
}

#[derive(Debug, Deserialize)]
struct Mounting {
    service: String,
    session_id: String,
    server_id: Server,
}

#[derive(Debug, Deserialize)]
struct Server {
    pid: String,
}

/// The numbers of the processes; none where the answer makes no sense.
pub fn of(said: &[u8], drive: &SharedDriveId, which: Which) -> Option<BTreeSet<u32>> {
    const NO_SHARE: &str = "IPC$";
    let status: Status = serde_json::from_slice(said).ok()?;
    let busy: BTreeSet<&str> = status
        .tcons
        .values()
        .filter(|mounting| mounting.service != NO_SHARE)
        .map(|mounting| mounting.session_id.as_str())
        .collect();
    let mounting = status.tcons.values().filter(|mounting| mounting.service == drive.as_str());
    let idle = status.sessions.values().filter(|session| !busy.contains(session.session_id.as_str()));
    let idle = idle.filter(|_| which == Which::AlsoIdle).map(|session| &session.server_id);
    let servers = mounting.map(|mounting| &mounting.server_id).chain(idle);
    servers.map(|server| server.pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_apart_by_share() {
        let said = br#"{"sessions": {
              "1": {"session_id": "1", "server_id": {"pid": "11", "vnn": "0"}, "username": "a"},
              "2": {"session_id": "2", "server_id": {"pid": "12"}}, "3": {"session_id": "3", "server_id": {"pid": "13"}}},
            "tcons": {
              "7": {"service": "sda", "session_id": "1", "server_id": {"pid": "11"}},
              "8": {"service": "sdb", "session_id": "2", "server_id": {"pid": "12"}},
              "9": {"service": "IPC$", "session_id": "3", "server_id": {"pid": "13"}}}}"#;
        let told = |drive: &str, which| of(said, &drive.parse().unwrap(), which).unwrap();
        assert_eq!(told("sda", Which::Mounting), BTreeSet::from([11]));
        assert_eq!(told("sda", Which::AlsoIdle), BTreeSet::from([11, 13]));
        assert_eq!(told("sdc", Which::Mounting), BTreeSet::new());
    }

    #[test]
    fn a_server_without_clients_has_none_and_nonsense_tells_nothing() {
        let drive = "sda".parse().unwrap();
        assert_eq!(of(br#"{"version": "4.17"}"#, &drive, Which::AlsoIdle), Some(BTreeSet::new()));
        assert_eq!(of(b"smbstatus only works as root!", &drive, Which::AlsoIdle), None);
    }
}
