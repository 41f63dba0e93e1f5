//! HTTP as far as these tests speak it: one question, one answer, one connection.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: longer than a server lets a request run.
const ANSWER: Duration = Duration::from_secs(70);

/// Something to ask.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub method: &'a str,
    pub path: &'a str,
    /// Header lines.
    pub headers: Vec<String>,
    pub body: String,
}

impl<'a> Question<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, headers: Vec::new(), body: String::new() }
    }

    /// Asks it, and answers with the status and the body's text.
    pub fn ask(&self, server: SocketAddr) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&server, CONNECT)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let Self { method, path, headers, body } = self;
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{more}\
             Content-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        parse(&answer).ok_or_else(|| Error::new(ErrorKind::UnexpectedEof, "the answer broke off"))
    }
}

/// A body that is JSON.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_none_or(|length| body.len() == length).then(|| (status, body.to_owned()))
}
