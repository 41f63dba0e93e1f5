//! QEMU's monitor: commands in, answers out, events passed over.
//!
//! QEMU serves one client a socket, and a second waits without a greeting: a conversation is short, and has
//! a deadline.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::lines::{Broken, Lines};

/// How long QEMU may take to greet and to answer one command.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A conversation with one QEMU.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines,
    asked: u64,
}

/// What QEMU says of the guest's processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// The guest has shut down.
    Shutdown,
    /// A write failed for want of room, and the guest waits.
    IoError,
    /// The guest has brought its processor to a state that it cannot leave.
    InternalError,
    /// Its guest has not begun: what it is started with is not all handed over.
    Prelaunch,
    /// It runs, or is about to.
    #[serde(other)]
    Running,
}

impl Qmp {
    /// Connects, and has QEMU greet.
    pub async fn open(socket: &Path, limit: Duration) -> Result<Self, Broken> {
        let mut lines = Lines::open(socket, limit).await?;
        let greeting = lines.value().await?;
        if greeting.get("QMP").is_none() {
            return Err(Broken::Garbage("it is no greeting"));
        }
        let mut qmp = Self { lines, asked: 0 };
        qmp.ask("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// Gives a command and waits for its answer.
    pub async fn ask(&mut self, command: &str, arguments: Value) -> Result<Value, Broken> {
        self.ask_within(ANSWER_MAX, command, arguments).await
    }

    /// The same for a command that takes its time.
    pub async fn ask_within(
        &mut self,
        limit: Duration,
        command: &str,
        arguments: Value,
    ) -> Result<Value, Broken> {
        self.lines.within(limit);
        let asked = self.number(command, arguments);
        self.lines.send_value(&asked).await?;
        self.answer(command).await
    }

    /// Gives QEMU a descriptor under a name.
    pub async fn hand(&mut self, name: &str, descriptor: BorrowedFd<'_>) -> Result<(), Broken> {
        self.lines.within(ANSWER_MAX);
        let asked = self.number("getfd", json!({ "fdname": name }));
        self.lines.send_with(format!("{asked}\n").as_bytes(), descriptor).await?;
        self.answer("getfd").await.map(|_| ())
    }

    fn number(&mut self, command: &str, arguments: Value) -> Value {
        self.asked += 1;
        json!({ "execute": command, "arguments": arguments, "id": self.asked })
    }

    async fn answer(&mut self, command: &str) -> Result<Value, Broken> {
        const SKIPPED_MAX: usize = 1000;
        let id = self.asked;
        for _ in 0..SKIPPED_MAX {
            let mut said = self.lines.value().await?;
            if said.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            return match said.get("error") {
                Some(error) => Err(refusal(command, error)),
                None => Ok(said["return"].take()),
            };
        }
        Err(Broken::Garbage("it never comes"))
    }

    /// How the guest is.
    pub async fn run_state(&mut self) -> Result<RunState, Broken> {
        let mut said = self.ask("query-status", json!({})).await?;
        serde_json::from_value(said["status"].take()).map_err(|_| Broken::Garbage("it has no status"))
    }

    /// Whether something in the guest has the port behind a character device open.
    pub async fn is_open(&mut self, device: &str) -> Result<bool, Broken> {
        let said = self.ask("query-chardev", json!({})).await?;
        let mut devices = said.as_array().into_iter().flatten();
        let found = devices.find(|it| it["label"] == device).ok_or(Broken::Garbage("a device is missing"))?;
        Ok(found["frontend-open"] == true)
    }
}

fn refusal(command: &str, error: &Value) -> Broken {
    let said = error["desc"].as_str().unwrap_or("it gave no reason").to_owned();
    Broken::Refused { command: command.to_owned(), said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::vm::peer::{Peer, Talk};

    const GREETING: Talk = Talk::Says("{\"QMP\":{}}\n");
    const READY: Talk = Talk::Says("{\"return\":{},\"id\":1}\n");

    #[tokio::test]
    async fn events_and_stale_answers_are_passed_over() {
        let answer = "{\"event\":\"RESET\"}\n{\"return\":1,\"id\":1}\n\
                      {\"return\":{\"status\":\"io-error\"},\"id\":2}\n";
        let peer = Peer::new([GREETING, Talk::Hears, READY, Talk::Hears, Talk::Says(answer)]);
        let mut qmp = Qmp::open(&peer.socket, ANSWER_MAX).await.unwrap();
        assert_eq!(qmp.run_state().await.unwrap(), RunState::IoError);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_qemu_s_words() {
        let no = "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no such device\"},\"id\":2}\n";
        let peer = Peer::new([GREETING, Talk::Hears, READY, Talk::Hears, Talk::Says(no)]);
        let mut qmp = Qmp::open(&peer.socket, ANSWER_MAX).await.unwrap();
        let refused = qmp.ask("device_del", json!({})).await.unwrap_err();
        assert_eq!(refused.to_string(), "device_del: no such device");
    }

    #[tokio::test]
    async fn a_qemu_that_does_not_greet_is_not_waited_for() {
        let peer = Peer::new([Talk::Hangs]);
        let opened = Qmp::open(&peer.socket, Duration::from_millis(50)).await;
        assert!(matches!(opened, Err(Broken::TooLate)), "{opened:?}");
    }

    #[tokio::test]
    async fn garbage_and_endless_lines_end_the_conversation() {
        let peer = Peer::new([Talk::Says("who is there?\n")]);
        assert!(matches!(Qmp::open(&peer.socket, ANSWER_MAX).await, Err(Broken::Garbage(_))));
        let peer = Peer::new([Talk::Floods]);
        assert!(matches!(Qmp::open(&peer.socket, ANSWER_MAX).await, Err(Broken::Garbage(_))));
        let peer = Peer::new([]);
        assert!(matches!(Qmp::open(&peer.socket, ANSWER_MAX).await, Err(Broken::Socket(_))));
    }
}
