//! The agent in the guest: who it says it is. It is the guest's, so every word of it may be a lie.
//!
//! **Invariants**: an answer counts only after a sync with our own number, so that one to an earlier caller
//! is never taken for ours; what is shown of an answer is short, and holds no control characters.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::lines::{Broken, Lines};
use crate::seen::AgentSeen;

/// How long the agent may take for a whole conversation.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long it may take to hold file systems still, or to let them go on.
const HOLD_MAX: Duration = Duration::from_secs(5);
/// The agent sends this byte before its answer to a sync; it stands in no JSON text.
const MARK: u8 = 0xff;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OsNamed {
    pretty_name: Option<String>,
    kernel_release: Option<String>,
}

/// Asks the agent behind a port that the guest has open.
pub async fn look(socket: &Path, sync: u32) -> AgentSeen {
    look_within(socket, sync, ANSWER_MAX).await
}

async fn look_within(socket: &Path, sync: u32, limit: Duration) -> AgentSeen {
    match ask(socket, sync, limit).await {
        Ok(os) => AgentSeen::Answers { os },
        Err(error) => {
            tracing::debug!(%error, "a guest agent does not answer");
            AgentSeen::Opened
        }
    }
}

/// Has the guest write its file systems out and hold them still; whether it may do so, now or later: then
/// [`thaw`] must follow. An agent that does not answer at all is not asked.
pub async fn freeze(socket: &Path, sync: u32) -> bool {
    let told = match open(socket, sync).await {
        Ok(mut lines) => command(&mut lines, "guest-fsfreeze-freeze").await,
        Err(error) => {
            tracing::info!(%error, "an agent that does not answer cannot hold its guest still");
            return false;
        }
    };
    if let Err(error) = told {
        tracing::info!(%error, "the guest is not held still");
    }
    true
}

/// Has the guest's file systems go on. One that is not held still is left alone.
pub async fn thaw(socket: &Path, sync: u32) -> Result<(), Broken> {
    let mut lines = open(socket, sync).await?;
    match command(&mut lines, "guest-fsfreeze-thaw").await {
        // It has no such command, so it never held anything still.
        Ok(_) | Err(Broken::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn open(socket: &Path, sync: u32) -> Result<Lines, Broken> {
    let mut lines = Lines::open(socket, HOLD_MAX).await?;
    synchronise(&mut lines, sync).await?;
    Ok(lines)
}

async fn ask(socket: &Path, sync: u32, limit: Duration) -> Result<Option<String>, Broken> {
    let mut lines = Lines::open(socket, limit).await?;
    synchronise(&mut lines, sync).await?;
    command(&mut lines, "guest-ping").await?;
    match command(&mut lines, "guest-get-osinfo").await {
        Ok(said) => Ok(serde_json::from_value(said).ok().and_then(name)),
        // An agent may have the command switched off, and answers all the same.
        Err(Broken::Refused { .. }) => Ok(None),
        Err(broken) => Err(broken),
    }
}

/// Throws away what an earlier caller left, up to the answer that carries our number.
async fn synchronise(lines: &mut Lines, sync: u32) -> Result<(), Broken> {
    const STALE_MAX: usize = 8;
    let asked = json!({ "execute": "guest-sync-delimited", "arguments": { "id": sync } });
    // The mark first: it ends whatever half of a command an earlier caller has sent.
    lines.send(&[&[MARK][..], asked.to_string().as_bytes(), b"\n"].concat()).await?;
    for _ in 0..STALE_MAX {
        lines.until(MARK).await?;
        let said = lines.value().await;
        if said.is_ok_and(|said| said["return"] == sync) {
            return Ok(());
        }
    }
    Err(Broken::Garbage("the agent does not synchronise"))
}

async fn command(lines: &mut Lines, name: &str) -> Result<Value, Broken> {
    lines.send_value(&json!({ "execute": name })).await?;
    let mut said = lines.value().await?;
    match said.get("error") {
        Some(error) => Err(Broken::Refused { command: name.to_owned(), said: error.to_string() }),
        None => Ok(said["return"].take()),
    }
}

/// `Debian GNU/Linux 12 (bookworm), kernel 6.1.0-28-cloud-amd64`.
fn name(info: OsNamed) -> Option<String> {
    const SHOWN_MAX: usize = 200;
    let kernel = info.kernel_release.map(|release| format!("kernel {release}"));
    let parts: Vec<String> = [info.pretty_name, kernel].into_iter().flatten().collect();
    let text: String = parts.join(", ").chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::vm::peer::{Peer, Talk};

    const PONG: Talk = Talk::Says("{\"return\":{}}\n");

    async fn seen(turns: impl IntoIterator<Item = Talk>) -> AgentSeen {
        look_within(&Peer::new(turns).socket, 42, Duration::from_millis(500)).await
    }

    #[tokio::test]
    async fn a_true_agent_tells_its_system_and_kernel() {
        let info = "{\"return\":{\"pretty-name\":\"Debian GNU/Linux 12\\u0007 (bookworm)\",\
                    \"kernel-release\":\"6.1.0\",\"id\":\"debian\"}}\n";
        let stale = Talk::Bytes(b"{\"return\":[]}\n\xff{\"return\":7}\n");
        let turns = [stale, Talk::Syncs, Talk::Hears, PONG, Talk::Hears, Talk::Says(info)];
        let os = Some("Debian GNU/Linux 12 (bookworm), kernel 6.1.0".to_owned());
        assert_eq!(seen(turns).await, AgentSeen::Answers { os });
    }

    #[tokio::test]
    async fn an_agent_without_the_command_answers_all_the_same() {
        let no = Talk::Says("{\"error\":{\"class\":\"CommandNotFound\"}}\n");
        let turns = [Talk::Syncs, Talk::Hears, PONG, Talk::Hears, no];
        assert_eq!(seen(turns).await, AgentSeen::Answers { os: None });
    }

    #[tokio::test]
    async fn whoever_may_be_held_still_is_let_go() {
        let no = Talk::Says("{\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"}}\n");
        let done = Talk::Says("{\"return\":1}\n");
        for (turns, held) in [
            (vec![Talk::Syncs, Talk::Hears, done], true),
            (vec![Talk::Syncs, Talk::Hears, no], true),
            (vec![Talk::Syncs, Talk::Hears], true),
            (vec![], false),
        ] {
            assert_eq!(freeze(&Peer::new(turns.clone()).socket, 42).await, held, "{turns:?}");
        }
        for answer in [done, no] {
            thaw(&Peer::new([Talk::Syncs, Talk::Hears, answer]).socket, 42).await.unwrap();
        }
        thaw(&Peer::new([Talk::Syncs, Talk::Hears]).socket, 42).await.unwrap_err();
    }

    #[tokio::test]
    async fn an_agent_that_hangs_floods_or_talks_nonsense_is_only_open() {
        for turns in [
            vec![Talk::Hangs],
            vec![Talk::Floods],
            vec![Talk::Says("hello\n")],
            vec![Talk::Bytes(b"\xff{\"return\":7}\n"), Talk::Hangs],
            vec![Talk::Syncs, Talk::Hears, PONG, Talk::Hears, Talk::Floods],
            vec![],
        ] {
            assert_eq!(seen(turns.clone()).await, AgentSeen::Opened, "{turns:?}");
        }
    }
}
