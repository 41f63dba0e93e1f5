//! Commands inside a guest, through its agent.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::vm::place::{Place, eventually};

/// Runs a shell command in the guest, and returns what it said.
pub async fn inside(place: &Place, command: &str) -> String {
    let told = json!({ "path": "/bin/sh", "arg": ["-c", command], "capture-output": true });
    let pid = asked(place, "guest-exec", told)["pid"].clone();
    let mut said = Value::Null;
    eventually(command, async || {
        said = asked(place, "guest-exec-status", json!({ "pid": pid }));
        said["exited"] == true
    })
    .await;
    let output = BASE64_STANDARD.decode(said["out-data"].as_str().unwrap_or_default()).unwrap();
    String::from_utf8(output).unwrap().trim().to_owned()
}

/// What the agent answers.
pub fn asked(place: &Place, command: &str, arguments: Value) -> Value {
    let socket = place.paths.machine(&place.machine).join("agent.sock");
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let sync = json!({ "execute": "guest-sync-delimited", "arguments": { "id": 77 } });
    stream.write_all(&[&[0xff][..], sync.to_string().as_bytes(), b"\n"].concat()).unwrap();
    let mut said = BufReader::new(stream.try_clone().unwrap());
    let mut line = Vec::new();
    while !String::from_utf8_lossy(&line).contains("77") {
        line.clear();
        said.read_until(b'\n', &mut line).unwrap();
    }
    writeln!(stream, "{}", json!({ "execute": command, "arguments": arguments })).unwrap();
    line.clear();
    said.read_until(b'\n', &mut line).unwrap();
    let mut answer: Value = serde_json::from_slice(&line).unwrap();
    assert!(answer.get("error").is_none(), "{command}: {answer}");
    answer["return"].take()
}
