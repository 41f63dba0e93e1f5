//! A client that costs next to nothing: one connection, one request at a time, no threads of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// How long the server may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Where a server is, and the key to it.
#[derive(Debug, Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub key: String,
}

/// A connection that is kept open.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Client {
    pub fn new(door: &Door) -> Result<Self> {
        let stream = TcpStream::connect(door.address).context("connect to the server")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let head = format!(
            "Host: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
            door.address, door.key
        );
        Ok(Self { stream: BufReader::new(stream), head })
    }

    /// The bytes of a GET's answer.
    pub fn fetch(&mut self, path: &str) -> Result<Vec<u8>> {
        self.exchange("GET", path, "")
    }

    pub fn get(&mut self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.fetch(path)?)?)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(&self.exchange("POST", path, &body.to_string())?)?)
    }

    pub fn delete(&mut self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.exchange("DELETE", path, "")?)?)
    }

    /// The body of an answer with status 200; any other one is an error.
    fn exchange(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let request =
            format!("{method} {path} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        let answer = self.stream.get_mut().write_all(request.as_bytes());
        let answer = answer.map_err(anyhow::Error::from).and_then(|()| self.answer());
        let (status, answer) = answer.with_context(|| format!("{method} {path}"))?;
        if status != 200 {
            bail!("{method} {path} answered {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.context("the answer begins with no status")?;
        let mut length = None;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
        }
        let length: usize = length.context("the answer does not tell its length")?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the server closed the connection");
        Ok(line)
    }
}
