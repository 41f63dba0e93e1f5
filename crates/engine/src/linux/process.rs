//! A live process, told from all others that ever had its number.
//!
//! **Invariant**: nothing is signalled by number alone: a descriptor of the process is opened, its start
//! time is compared, and then the descriptor is signalled. A zombie is dead.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use super::folder::unless_absent;

/// A process by its number and its start time in clock ticks since the host's boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it was started.
    pub started: u64,
}

impl Process {
    /// The live process with that number.
    pub fn of_pid(pid: u32) -> io::Result<Option<Self>> {
        let stat = unless_absent(fs::read_to_string(format!("/proc/{pid}/stat")))?;
        Ok(stat.and_then(|stat| started_unless_dead(&stat)).map(|started| Self { pid, started }))
    }

    /// Every live process of a user that has `text` in its command line.
    pub fn all(uid: Option<u32>, text: &str) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for pid in pids()? {
            if let Some(process) = Self::of_pid(pid)?
                && process.is_of(uid)?
                && process.command_line()?.contains(text)
            {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// Whether it still lives.
    pub fn lives(&self) -> io::Result<bool> {
        Ok(Self::of_pid(self.pid)? == Some(*self))
    }

    /// Its command line, a zero byte after each word; empty once it is ending.
    pub fn command_line(&self) -> io::Result<String> {
        command_line(self.pid)
    }

    fn is_of(&self, uid: Option<u32>) -> io::Result<bool> {
        let folder = unless_absent(fs::metadata(format!("/proc/{}", self.pid)))?;
        Ok(uid.is_none() || folder.map(|folder| folder.uid()) == uid)
    }

    /// Kills it, and waits until it is gone.
    pub async fn kill(&self, limit: Duration) -> io::Result<()> {
        let Some(descriptor) = self.descriptor()? else { return Ok(()) };
        // Why: the standard library cannot signal a descriptor, and a number may have a new owner by now.
        // SAFETY: the descriptor is open, and a null pointer means that no further facts are sent along.
        let sent = unsafe {
            let none = std::ptr::null::<libc::siginfo_t>();
            libc::syscall(libc::SYS_pidfd_send_signal, descriptor.as_raw_fd(), libc::SIGKILL, none, 0)
        };
        match nix::errno::Errno::result(sent) {
            Ok(_) | Err(nix::errno::Errno::ESRCH) => gone(descriptor, limit).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for its end, however long that takes.
    pub async fn end(&self) -> io::Result<()> {
        match self.descriptor()? {
            Some(descriptor) => ended(descriptor).await,
            None => Ok(()),
        }
    }

    /// Waits until it is gone.
    pub async fn wait(&self, limit: Duration) -> io::Result<()> {
        match self.descriptor()? {
            Some(descriptor) => gone(descriptor, limit).await,
            None => Ok(()),
        }
    }

    /// A descriptor of this very process, if it lives.
    fn descriptor(&self) -> io::Result<Option<OwnedFd>> {
        // Why: the standard library opens a descriptor only of a child that it starts itself.
        // SAFETY: the call takes plain numbers and gives a descriptor that is nobody else's yet.
        let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) };
        let number = match nix::errno::Errno::result(opened) {
            Ok(number) => number,
            Err(nix::errno::Errno::ESRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Why: the call's answer is a number, to be closed when it is done with.
        // SAFETY: the kernel has just given it to us; a descriptor always fits in an i32.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number as i32) };
        Ok(self.lives()?.then_some(descriptor))
    }
}

async fn gone(process: OwnedFd, limit: Duration) -> io::Result<()> {
    match tokio::time::timeout(limit, ended(process)).await {
        Ok(ended) => ended,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("it still runs after {limit:?}"))),
    }
}

async fn ended(process: OwnedFd) -> io::Result<()> {
    // Why: a process's descriptor becomes readable at its end, and tokio has no safe call to wait for that.
    // SAFETY: an owned descriptor stays open and the same for as long as the waiting one holds it.
    let process = unsafe { AsyncFd::register_with_interest(process, tokio::io::Interest::READABLE) }?;
    process.readable().await.map(|_| ())
}

/// Lets this process open as many files as the host allows it: each look at a machine takes a few.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// The numbers of all processes.
pub fn pids() -> io::Result<Vec<u32>> {
    let number = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).transpose()
    };
    fs::read_dir("/proc")?.filter_map(number).collect()
}

/// The command line of whichever process has that number: a zero byte after each word, empty for none.
pub fn command_line(pid: u32) -> io::Result<String> {
    let line = unless_absent(fs::read(format!("/proc/{pid}/cmdline")))?;
    Ok(String::from_utf8_lossy(&line.unwrap_or_default()).into_owned())
}

/// The start time in `/proc/PID/stat`, whose second field is a name in brackets that may hold anything.
///
/// A first thread that is a zombie has not let go of the files yet while others are still ending.
fn started_unless_dead(stat: &str) -> Option<u64> {
    const STATE: usize = 0;
    const THREADS: usize = 17;
    const STARTED: usize = 19;
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let ended = matches!(*fields.get(STATE)?, "Z" | "X" | "x");
    if ended && fields.get(THREADS)?.parse::<u32>().ok()? <= 1 {
        return None;
    }
    fields.get(STARTED)?.parse().ok()
}

/// The name of the boot that the host is in: a number and a start time mean nothing in another one.
pub fn host_boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::command;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let rest = |state: &str, threads: u32| {
            format!("7 (a) S (b)) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 18 4242 99")
        };
        assert_eq!(started_unless_dead(&rest("S", 1)), Some(4242));
        assert_eq!(started_unless_dead(&rest("Z", 2)), Some(4242), "a thread of it still holds the disk");
        assert_eq!(started_unless_dead(&rest("Z", 1)), None);
    }

    #[tokio::test]
    async fn a_killed_process_is_gone_and_one_with_another_start_is_left_alone() {
        let nowhere = fs::File::create("/dev/null").unwrap();
        let mut child = command::run("sleep").arg("600").launch(nowhere, &[]).unwrap();
        let process = Process::of_pid(child.id().unwrap()).unwrap().unwrap();
        let other = Process { started: process.started + 1, ..process };
        other.kill(Duration::from_secs(5)).await.unwrap();
        assert!(process.lives().unwrap());

        process.kill(Duration::from_secs(5)).await.unwrap();
        assert!(!process.lives().unwrap(), "a zombie is dead");
        child.wait().await.unwrap();
        process.wait(Duration::from_secs(5)).await.unwrap();
    }
}
