//! A peer for tests: says and hears what it is told to, once.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// One turn of a conversation.
#[derive(Debug, Clone, Copy)]
pub enum Talk {
    /// Says this.
    Says(&'static str),
    /// Says these bytes.
    Bytes(&'static [u8]),
    /// Reads a line.
    Hears,
    /// Reads a `guest-sync-delimited` and answers it rightly.
    Syncs,
    /// Says letters without an end.
    Floods,
    /// Says nothing until the other hangs up.
    Hangs,
}

/// A socket with a peer behind it.
pub struct Peer {
    /// Where it listens.
    pub socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// A peer that takes one caller and goes through the turns.
    pub fn new(turns: impl IntoIterator<Item = Talk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let turns: Vec<Talk> = turns.into_iter().collect();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut from = BufReader::new(stream.try_clone().unwrap());
            let mut to = stream;
            for turn in turns {
                take(turn, &mut from, &mut to);
            }
        });
        Self { socket, _folder: folder }
    }
}

fn take(turn: Talk, from: &mut impl BufRead, to: &mut impl Write) {
    let mut line = Vec::new();
    match turn {
        Talk::Says(text) => drop(to.write_all(text.as_bytes())),
        Talk::Bytes(bytes) => drop(to.write_all(bytes)),
        Talk::Hears => drop(from.read_until(b'\n', &mut line)),
        Talk::Syncs => {
            from.read_until(b'\n', &mut line).unwrap();
            let start = line.iter().position(|byte| *byte == b'{').unwrap();
            let asked: serde_json::Value = serde_json::from_slice(&line[start..]).unwrap();
            let answer = format!("{{\"return\":{}}}\n", asked["arguments"]["id"]);
            drop(to.write_all(&[&[0xff], answer.as_bytes()].concat()));
        }
        Talk::Floods => while to.write_all(&[b'a'; 4096]).is_ok() {},
        Talk::Hangs => drop(from.read_to_end(&mut line)),
    }
}
