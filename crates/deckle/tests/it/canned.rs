//! A server of canned answers, given in turn, that remembers what it was asked.
//!
//! It is for what a real server does not do when asked: hang up, answer in pieces, be of another kind.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a request is answered with.
pub enum Answer {
    /// A status, headers, and a body.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// As much of a body as is given, of one that was announced to be longer.
    BrokenOff { announced: usize, body: Vec<u8> },
    /// Nothing: the connection is closed.
    HangUp,
}

/// JSON that is a success.
pub fn ok(body: Value) -> Answer {
    json(200, body)
}

/// JSON with a status.
pub fn json(status: u16, body: Value) -> Answer {
    Answer::Whole(status, vec![("content-type", "application/json".to_owned())], body.to_string().into())
}

/// An error of the API.
pub fn error(status: u16, code: &str, message: &str) -> Answer {
    json(status, serde_json::json!({"code": code, "message": message}))
}

/// What the server was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `METHOD target`.
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// The server.
pub struct Canned {
    /// Where it is; empty for one on a unix socket.
    pub url: String,
    wanted: Vec<&'static str>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Requests in the order that they come in, each with its answer.
pub type Script = Vec<(&'static str, Answer)>;

impl Canned {
    /// A server on a port of loopback.
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(url, script, move || listener.accept().unwrap().0)
    }

    /// A server on a unix socket.
    pub fn on_socket(socket: &Path, script: Script) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        Self::serve(String::new(), script, move || listener.accept().unwrap().0)
    }

    fn serve<S: Read + Write>(url: String, script: Script, accept: impl Fn() -> S + Send + 'static) -> Self {
        let wanted = script.iter().map(|(line, _)| *line).collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        thread::spawn(move || {
            let mut script = script.into_iter();
            loop {
                let mut stream = accept();
                let request = hear(&mut stream);
                let line = request.line.clone();
                heard.lock().unwrap().push(request);
                let answer = match script.next() {
                    Some((wanted, answer)) if wanted == line => answer,
                    _ => error(500, "INTERNAL_SERVER_ERROR", &format!("{line} was not expected")),
                };
                tell(&mut stream, answer);
            }
        });
        Self { url, wanted, asked }
    }

    /// Waits until it was asked this, for ten seconds at most.
    pub fn wait_for(&self, line: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        while !self.asked.lock().unwrap().iter().any(|asked| asked.line == line) {
            assert!(Instant::now() < end, "nobody asked {line}");
            thread::yield_now();
        }
    }

    /// What it was asked, which must be what was expected, no more and no less.
    pub fn asked(self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap().clone();
        let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
        assert_eq!(lines, self.wanted);
        asked
    }
}

fn hear(stream: &mut impl Read) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: HashMap<_, _> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let line = lines[0].rsplit_once(' ').unwrap().0.to_owned();
    Asked { line, headers, body: String::from_utf8(body).unwrap() }
}

/// A client that has gone is none of the server's business.
fn tell(stream: &mut impl Write, answer: Answer) {
    let (status, headers, length, body) = match answer {
        Answer::HangUp => return,
        Answer::Whole(status, headers, body) => (status, headers, body.len(), body),
        Answer::BrokenOff { announced, body } => (200, Vec::new(), announced, body),
    };
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&body));
}
