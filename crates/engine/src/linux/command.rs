//! The one place that starts programs.
//!
//! **Invariants**: arguments are lists, never text for a shell; every run has a limit of time and of
//! output; what a program says is parsed by the caller once, into a type.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, mkdir, setgid, setgroups, setsid, setuid};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::error::{Error, Result};

/// How long a program may take that only talks to the kernel.
pub const PROMPT: Duration = Duration::from_secs(20);

/// What is kept of each of a program's two outputs, in bytes.
const OUTPUT_MAX: u64 = 4 << 20;

/// A program to run to its end.
#[derive(Debug)]
pub struct Run {
    command: Command,
    shown: String,
    input: Option<Vec<u8>>,
    limit: Duration,
    user: Option<(u32, u32)>,
    locked_memory: Option<u64>,
}

/// What a program is shut into, for good: a network namespace, a sight of the host's files in which `/etc`
/// is another folder and a folder is alone where it lies, and a plain user who has no capability and can get
/// none.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The file of the network namespace.
    pub network: PathBuf,
    /// The folder that is seen as `/etc`.
    pub etc: PathBuf,
    /// The folder whose neighbours are not seen.
    pub alone: PathBuf,
    /// The user's number, and the group's.
    pub uid: u32,
}

/// How a program ended badly.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It is not installed, or could not be started.
    #[error("{program} cannot be started")]
    NotStarted {
        /// The program's name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It said no.
    #[error("`{shown}` failed ({status}): {said}")]
    Said {
        /// The command line.
        shown: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The last of what it wrote to its standard error.
        said: String,
    },
    /// It did not end in time and was stopped.
    #[error("`{shown}` took longer than {limit:?}")]
    TooLong {
        /// The command line.
        shown: String,
        /// The time that it had.
        limit: Duration,
    },
}

/// A program, found on the path.
pub fn run(program: &str) -> Run {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true).env("LC_ALL", "C");
    Run { command, shown: program.to_owned(), input: None, limit: PROMPT, user: None, locked_memory: None }
}

impl Run {
    /// One argument more.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// What the program reads from its standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(bytes.into());
        self
    }

    /// How long it may take; [`PROMPT`] otherwise.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Another user to run as, who has no further groups, no capabilities (they go with root's user id),
    /// and nothing of this process's environment but the search path.
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self.command.current_dir("/").env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            self.command.env("PATH", path);
        }
        self
    }

    /// Has it run shut in.
    pub fn shut_in(mut self, cell: &Cell) -> Self {
        let (network, etc, uid) = (c_path(&cell.network), c_path(&cell.etc), cell.uid);
        let alone = [cell.alone.parent().unwrap_or(&cell.alone), &cell.alone].map(c_path);
        self.command.current_dir("/").env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            self.command.env("PATH", path);
        }
        // Why: namespaces are entered, and rights given up, by the child itself between fork and exec.
        // SAFETY: the closure only makes system calls; it takes no lock and allocates nothing.
        unsafe { self.command.pre_exec(move || enter(&network, &etc, &alone, uid)) };
        self
    }

    /// How much memory it may keep from being moved or swapped, in bytes, where it is [launched](Self::launch).
    pub fn locked_memory(mut self, bytes: Option<u64>) -> Self {
        self.locked_memory = bytes;
        self
    }

    /// The command itself, for what this type has no word for (a user, a namespace).
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Runs it and answers with what it wrote to its standard output.
    pub async fn output(self) -> std::result::Result<Vec<u8>, Failure> {
        let shown = self.shown.clone();
        let limit = self.limit;
        let output = tokio::time::timeout(limit, self.finish())
            .await
            .map_err(|_| Failure::TooLong { shown: shown.clone(), limit })??;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = last_of(&output.stderr);
        Err(Failure::Said { shown, status: output.status, said })
    }

    /// Runs it; a failure is one that [passes](Error::Passing).
    pub async fn done(self, act: impl Into<String>) -> Result<Vec<u8>> {
        self.output().await.map_err(|failure| Error::passing(act, failure))
    }

    /// Starts it as a program that outlives this one: in a session of its own, with what it says in
    /// `said`, and with none of this process's descriptors but the `kept` ones, under their own numbers.
    /// Another user's has a network namespace of its own, with nothing in it.
    pub fn launch(mut self, said: File, kept: &[OwnedFd]) -> std::result::Result<Child, Failure> {
        let numbers: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        let program = self.shown.split(' ').next().unwrap_or_default().to_owned();
        let not_started = |source| Failure::NotStarted { program, source };
        let (user, locked_memory) = (self.user, self.locked_memory);
        match said.try_clone() {
            Ok(twin) => self.command.stdout(said).stderr(twin).kill_on_drop(false),
            Err(source) => return Err(not_started(source)),
        };
        // Why: only between fork and exec can a child leave this session and pass descriptors on without
        // another child, forked at the same moment by another thread, getting them too.
        // SAFETY: the closure only makes system calls; it takes no lock and allocates nothing.
        unsafe { self.command.pre_exec(move || part_from_parent(&numbers, user, locked_memory)) };
        self.command.spawn().map_err(not_started)
    }

    async fn finish(mut self) -> std::result::Result<Output, Failure> {
        let program = self.shown.split(' ').next().unwrap_or_default().to_owned();
        let not_started = |source| Failure::NotStarted { program: program.clone(), source };
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some((uid, gid)) = self.user {
            self.command.uid(uid).gid(gid);
        }
        let mut child = self.command.spawn().map_err(not_started)?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, self.input) {
                // A program may end without reading all of it: its exit status says how that went.
                let _ = stdin.write_all(&input).await;
            }
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr, (), status) = tokio::join!(bounded(stdout), bounded(stderr), feed, child.wait());
        Ok(Output { stdout, stderr, status: status.map_err(not_started)? })
    }
}

/// A session of its own; every descriptor but the standard three and the kept ones closes at exec. The
/// namespace and the limit come before the user, who may not make the one or raise the other.
fn part_from_parent(kept: &[RawFd], user: Option<(u32, u32)>, locked_memory: Option<u64>) -> io::Result<()> {
    setsid()?;
    if let Some(bytes) = locked_memory {
        setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes)?;
    }
    if let Some((uid, gid)) = user {
        unshare(CloneFlags::CLONE_NEWNET)?;
        become_user(uid, gid)?;
    }
    // Why: the standard library has no call for a range of descriptors, nor one that keeps some of them.
    // SAFETY: both calls only change flags of descriptors; a number that is not open is an error.
    unsafe {
        let all_but_three = libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
        Errno::result(all_but_three)?;
        for number in kept {
            Errno::result(libc::fcntl(*number, libc::F_SETFD, 0))?;
        }
    }
    Ok(())
}

/// What is mounted and unmounted on the host later is so in the cell too; the other way round nothing is.
fn enter(network: &CStr, etc: &CStr, alone: &[CString; 2], uid: u32) -> io::Result<()> {
    let none: Option<&CStr> = None;
    let namespace = open(network, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    setns(namespace, CloneFlags::CLONE_NEWNET)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some(etc), c"/etc", none, MsFlags::MS_BIND, none)?;
    // A cache of the host's accounts would be asked before the files are.
    match mount(Some(etc), c"/run/nscd", none, MsFlags::MS_BIND, none) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    leave_alone(alone)?;
    become_user(uid, uid)?;
    Ok(prctl::set_no_new_privs()?)
}

/// Covers what a folder lies in with an empty one, and has the folder in that, with all that is and will be
/// mounted below it.
fn leave_alone([around, folder]: &[CString; 2]) -> io::Result<()> {
    let none: Option<&CStr> = None;
    chdir(folder.as_c_str())?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(none, around.as_c_str(), Some(c"tmpfs"), flags, Some(c"size=64k,mode=0711"))?;
    mkdir(folder.as_c_str(), Mode::S_IRWXU)?;
    mount(Some(c"."), folder.as_c_str(), none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    Ok(chdir(c"/")?)
}

/// Capabilities go with root's user id.
fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    setgroups(&[])?;
    setgid(gid.into())?;
    Ok(setuid(uid.into())?)
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path of ours holds no zero byte")
}

/// What a program says, up to a bound; the rest is read, so that the program can end, and thrown away.
async fn bounded(said: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut said) = said else { return kept };
    // A pipe that breaks has said what it had to say: the exit status tells the rest.
    let _ = (&mut said).take(OUTPUT_MAX).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut said, &mut tokio::io::sink()).await;
    kept
}

/// The end of what a program said, short enough for a log line.
fn last_of(bytes: &[u8]) -> String {
    const KEPT: usize = 500;
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(KEPT)..]);
    text.trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_reads_its_input_and_its_answer_comes_back() {
        let said = run("cat").input("words").output().await;
        assert_eq!(said.ok().as_deref(), Some(&b"words"[..]));
    }

    #[tokio::test]
    async fn a_failure_tells_what_the_program_said() {
        let failure = run("ls").arg("/no/such/folder").output().await.unwrap_err().to_string();
        assert!(failure.contains("`ls /no/such/folder` failed"), "{failure}");
        assert!(failure.contains("No such file"), "{failure}");
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_is_heard_up_to_a_bound() {
        let said = run("head").args(["-c", "20M", "/dev/zero"]).output().await.unwrap();
        assert_eq!(said.len() as u64, OUTPUT_MAX);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_stopped() {
        let run = run("sleep").arg("600").limit(Duration::from_millis(50));
        assert!(matches!(run.output().await, Err(Failure::TooLong { .. })));
    }

    #[tokio::test]
    async fn a_launched_program_has_the_kept_descriptors_alone_and_a_session_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let kept = File::open("/dev/null").unwrap();
        let _not_kept = File::open("/dev/zero").unwrap();
        let said = File::create(folder.path().join("said")).unwrap();
        let script = "readlink /proc/$$/fd/*; cut -d' ' -f1,6 /proc/$$/stat";
        let mut child = run("sh").args(["-c", script]).launch(said, &[kept.into()]).unwrap();
        assert!(child.wait().await.unwrap().success());
        let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(said.matches("/dev/null").count(), 2, "standard input and the kept one: {said}");
        assert!(!said.contains("/dev/zero") && !said.contains("socket"), "{said}");
        let (pid, session) = said.lines().last().and_then(|line| line.split_once(' ')).unwrap();
        assert_eq!(pid, session);
    }

    #[tokio::test]
    async fn a_launched_program_may_lock_as_much_memory_as_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let said = File::create(folder.path().join("said")).unwrap();
        let locked = run("sh").args(["-c", "ulimit -l; ulimit -H -l"]).locked_memory(Some(4 << 20));
        assert!(locked.as_user(70_000, 70_000).launch(said, &[]).unwrap().wait().await.unwrap().success());
        let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(said, "4096\n4096\n", "in KiB, the soft and the hard one");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_named() {
        let failure = run("no-such-program").output().await.unwrap_err();
        assert_eq!(failure.to_string(), "no-such-program cannot be started");
    }
}
