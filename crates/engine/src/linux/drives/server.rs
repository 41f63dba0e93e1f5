//! The server of a network's drives: one smbd in the network's namespace.
//!
//! It is a plain user without capabilities, in a cell whose `/etc` lists that user under each drive's own
//! name, and where no other network's folder is seen. All its files lie in the network's folder in memory, and it is found again by them.
//!
//! **Invariant**: a process counts as one of the server's only if it is an smbd whose command line names the
//! network's own configuration, and is ended only then.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};
use tokio::time::{Instant, sleep};

use super::{clients, conf, mounts, users};
use crate::error::{Error, Result};
use crate::linux::command::{self, Cell};
use crate::linux::disk::absent_ok;
use crate::linux::folder::unless_absent;
use crate::linux::net::{Gate, PORT};
use crate::linux::paths::Paths;
use crate::linux::process::Process;
use crate::linux::vm::Cgroups;
use crate::specs::{HostNetwork, ShareSpec};

/// How long it may take from its start until it listens.
const STARTED_MAX: Duration = Duration::from_secs(15);
/// What all its processes may take of the host's memory, the files in it that they keep included: some 7 MiB for
/// each.
const MEMORY_BYTES: u64 = 2 << 30;
/// The pause before another try to unmount what is busy.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// How long one of its processes may take to be gone.
const ENDED_MAX: Duration = Duration::from_secs(5);

/// The server of one network's drives, there or not.
#[derive(Debug, Clone)]
pub struct Server {
    /// The network.
    pub network: PrivateNetworkId,
    /// Where its files lie, and the drives are mounted.
    pub folder: PathBuf,
    /// Where it is reached.
    pub gate: Gate,
    name: String,
    cgroups: Cgroups,
}

impl Server {
    /// The server of a network.
    pub fn of(paths: &Paths, network: &PrivateNetworkId) -> Self {
        Self {
            network: network.clone(),
            folder: paths.served(network),
            gate: Gate::of(paths, network),
            name: paths.namespace(&HostNetwork::Private(network.clone())),
            cgroups: Cgroups::of(paths),
        }
    }

    /// Where a drive is mounted.
    pub fn mounted(&self, drive: &SharedDriveId) -> PathBuf {
        self.folder.join("drives").join(drive.as_str())
    }

    /// Makes its folders, for a server that runs as `uid`.
    pub fn prepare(&self, uid: u32) -> Result<()> {
        self.prepare_at(uid).map_err(|error| self.failed("make the folders of", error))
    }

    /// The user that it runs as, as its folder has it from the moment on that it is mounted.
    pub fn uid(&self) -> Result<Option<u32>> {
        let seen = users::of(&self.folder);
        seen.map_err(|error| self.failed("look at", error))
    }

    /// The shares that are kept, whether or not they are served.
    pub fn shares(&self) -> Result<Vec<SharedDriveId>> {
        let named = unless_absent(fs::read_dir(self.folder.join("shares")))
            .and_then(|entries| {
                let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
                entries.into_iter().flatten().map(name).collect::<io::Result<Vec<_>>>()
            })
            .map_err(|error| self.failed("look at the shares of", error))?;
        let id = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(".conf")?.parse().ok();
        Ok(named.iter().filter_map(id).collect())
    }

    /// The configuration of a share as it is served; none where it is not.
    pub fn share(&self, drive: &SharedDriveId) -> Result<Option<String>> {
        let listed = self.read("shares.conf")?.is_some_and(|index| conf::is_indexed(&index, drive));
        if !listed {
            return Ok(None);
        }
        self.read(&format!("shares/{drive}.conf"))
    }

    /// The process that takes connections, if it lives, in its network, at an address that is there.
    pub async fn serving(&self) -> Result<Option<Process>> {
        let Some(process) = self.running()? else { return Ok(None) };
        let Some(address) = listens_at(process.pid) else { return Ok(None) };
        Ok(self.gate.has(address).await?.then_some(process))
    }

    /// Makes it run at an address, and answers with the process that takes connections. Its configuration is
    /// changed while none runs, so that one that runs has read what stands there, wherever a crash came.
    pub async fn ensure(&self, address: Ipv4Addr, uid: u32) -> Result<Process> {
        let text = conf::server(&self.folder, address);
        if self.read("smb.conf")?.is_some_and(|held| held == text)
            && let Some(process) = self.serving().await?
        {
            return Ok(process);
        }
        self.end().await?;
        self.write("smb.conf", &text)?;
        self.start(uid).await
    }

    /// Serves a share with the spec's password; who came in with another one is sent away.
    pub async fn ensure_share(&self, spec: &ShareSpec, uid: u32) -> Result<()> {
        let drive = &spec.drive;
        let text = conf::share(spec, &self.mounted(drive));
        if self.share(drive)?.as_ref() == Some(&text) {
            return Ok(());
        }
        self.write_users(Some(&spec.username), uid)?;
        self.set_password(spec).await?;
        self.end_clients(drive, clients::Which::AlsoIdle).await?;
        self.write(&format!("shares/{drive}.conf"), &text)?;
        self.write_index(|_| true)?;
        self.reload().await
    }

    async fn hide_share(&self, drive: &SharedDriveId) -> Result<()> {
        self.write_index(|share| share != drive)?;
        self.reload().await
    }

    /// Takes a share away, and its user.
    pub async fn remove_share(&self, drive: &SharedDriveId) -> Result<()> {
        self.hide_share(drive).await?;
        if self.running()?.is_some() {
            self.control(&["smbd", "close-share", drive.as_str()]).await?;
        }
        if let Some(share) = self.read(&format!("shares/{drive}.conf"))?
            && let (Some(user), Some(uid)) = (conf::user_in(&share), self.uid()?)
        {
            // It fails for a user who is gone already, which is what is wanted.
            let _ = self.tool("pdbedit")?.args(["-x", "-u", user]).output().await;
            let file = self.folder.join(format!("shares/{drive}.conf"));
            absent_ok(fs::remove_file(file)).map_err(|error| self.failed("write", error))?;
            self.write_users(None, uid)?;
        }
        Ok(())
    }

    /// Ends those processes that serve clients of a share.
    pub async fn end_clients(&self, drive: &SharedDriveId, which: clients::Which) -> Result<()> {
        if self.running()?.is_none() {
            return self.end().await;
        }
        // In the cell it is a plain user's; root's name, which it asks for, it has in a namespace of users.
        let said = self.tool("unshare")?.args(["--user", "--map-root-user", "smbstatus"]);
        let said = said.args(["--json", "--configfile"]).arg(self.conf_file()).output().await;
        let told = said.ok().and_then(|said| clients::of(&said, drive, which));
        for process in self.processes()? {
            let ends = match &told {
                Some(told) => told.contains(&process.pid),
                // Where nobody can tell them apart, all clients come again.
                None => is_client(process.pid),
            };
            if ends {
                self.kill(process).await?;
            }
        }
        Ok(())
    }

    /// Ends those processes that have something open below `path`.
    pub async fn end_holders(&self, path: &Path) -> Result<()> {
        for process in self.processes()? {
            if holds(process.pid, path) {
                self.kill(process).await?;
            }
        }
        Ok(())
    }

    /// Ends every process of it, those too whose parent is gone.
    pub async fn end(&self) -> Result<()> {
        // One that is being ended may have made another: none is made once none is there.
        loop {
            let processes = self.processes()?;
            if processes.is_empty() {
                return Ok(());
            }
            for process in processes {
                self.kill(process).await?;
            }
        }
    }

    /// Ends it, and removes all its files. Nothing is mounted in them.
    pub async fn remove(&self) -> Result<()> {
        self.end().await?;
        self.cgroups.release_server(&self.network);
        if self.gate.is_there() {
            self.gate.resume().await?;
            self.gate.close().await?;
        }
        let unmounted = self.unmount().await;
        let removed = unmounted.and_then(|()| {
            absent_ok(fs::remove_dir_all(&self.folder))?;
            // Other networks' files may lie there.
            let _ = self.folder.parent().map(fs::remove_dir);
            Ok(())
        });
        removed.map_err(|error| self.failed("remove the files of", error))
    }

    /// Unmounts its folder. A process that is just being started has for a moment what we had open there.
    async fn unmount(&self) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            match mounts::unmount(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < ENDED_MAX => {
                    sleep(BUSY_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Whether anything of it is left.
    pub fn remains(&self) -> Result<bool> {
        Ok(self.folder.exists() || !self.processes()?.is_empty())
    }

    /// The drive that its network's clients are kept from for a while, if there is one.
    pub fn paused(&self) -> Result<Option<String>> {
        self.read("paused")
    }

    /// Keeps clients away, for the sake of a drive.
    pub async fn pause(&self, drive: &SharedDriveId) -> Result<()> {
        self.write("paused", drive.as_str())?;
        if self.gate.is_there() { self.gate.pause().await } else { Ok(()) }
    }

    /// Lets clients come again.
    pub async fn resume(&self) -> Result<()> {
        if self.paused()?.is_some() && self.gate.is_there() {
            self.gate.resume().await?;
        }
        absent_ok(fs::remove_file(self.folder.join("paused"))).map_err(|error| self.failed("resume", error))
    }

    fn prepare_at(&self, uid: u32) -> io::Result<()> {
        mounts::ensure_memory(&self.folder, &self.name, uid)?;
        for name in ["drives", "shares", "etc"] {
            DirBuilder::new().recursive(true).mode(0o711).create(self.folder.join(name))?;
        }
        let etc = self.folder.join("etc");
        for (name, text) in [("group", conf::group(uid)), ("nsswitch.conf", conf::NSSWITCH.to_owned())] {
            self.write_at(&format!("etc/{name}"), &text)?;
        }
        if !etc.join("mtab").is_symlink() {
            symlink("/proc/self/mounts", etc.join("mtab"))?;
        }
        if self.read_at("shares.conf")?.is_none() {
            self.write_at("shares.conf", "")?;
        }
        for folder in [self.own()].into_iter().chain(conf::FOLDERS.map(|name| self.own().join(name))) {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            chown(&folder, Some(uid), Some(uid))?;
        }
        Ok(())
    }

    async fn start(&self, uid: u32) -> Result<Process> {
        let act = || format!("start the server of {}'s drives", self.network);
        let failed = |error: io::Error| Error::passing(act(), error);
        self.write_users(None, uid)?;
        // What the processes of an earlier one knew of each other means nothing now.
        let lock = self.own().join("lock");
        let cleared = absent_ok(fs::remove_dir_all(&lock)).and_then(|()| self.prepare_at(uid));
        cleared.map_err(failed)?;
        let said = File::create(self.folder.join("said")).map_err(failed)?;
        let run = command::run("smbd").args(["--foreground", "--no-process-group"]).arg(self.mark());
        let launched = run.shut_in(&self.cell(uid)).launch(said, &[]);
        let mut child = launched.map_err(|failure| Error::passing(act(), failure))?;
        let pid = child.id();
        // The child is ours to bury, whenever it ends: until then nobody waits for it.
        tokio::spawn(async move { child.wait().await });
        let process = pid.map(Process::of_pid).transpose().map_err(failed)?.flatten();
        let Some(process) = process else { return Err(Error::passing(act(), self.last_words())) };
        self.bound(process);
        let begun = Instant::now();
        while begun.elapsed() < STARTED_MAX && process.lives().map_err(failed)? {
            if self.running()? == Some(process) && listens_at(process.pid).is_some() {
                return Ok(process);
            }
            sleep(Duration::from_millis(10)).await;
        }
        let words = self.last_words();
        self.end().await?;
        Err(Error::passing(act(), words))
    }

    /// What it starts later is bound with it.
    fn bound(&self, process: Process) {
        // Samba's own bound counts clients; this one is for what gets out of hand.
        let processes = 2 * conf::PROCESSES_MAX;
        if self.cgroups.usable()
            && let Err(error) = self.cgroups.bound_server(&self.network, process.pid, MEMORY_BYTES, processes)
        {
            tracing::warn!(network.id = %self.network, %error, "no cgroup bounds for the server of drives");
        }
    }

    /// The process that has written down that it is the first, whether or not it can be reached.
    fn running(&self) -> Result<Option<Process>> {
        let looked = |error| self.failed("look for", error);
        let Some(text) = self.read("smbd/pid/smbd.pid")? else { return Ok(None) };
        let Some(process) = text.trim().parse().ok() else { return Ok(None) };
        let process = Process::of_pid(process).map_err(looked)?;
        let Some(process) = process else { return Ok(None) };
        let ours = self.is_ours(&process).map_err(looked)? && self.gate.holds(process.pid);
        Ok(ours.then_some(process))
    }

    fn processes(&self) -> Result<Vec<Process>> {
        let found = Process::all(None, &self.mark()).and_then(|found| {
            let ours = |process: Process| self.is_ours(&process).map(|ours| ours.then_some(process));
            found.into_iter().filter_map(|process| ours(process).transpose()).collect()
        });
        found.map_err(|error| self.failed("look for", error))
    }

    fn is_ours(&self, process: &Process) -> io::Result<bool> {
        let line = process.command_line()?;
        let mut words = line.split('\0');
        Ok(words.next() == Some("smbd") && words.any(|word| word == self.mark()))
    }

    async fn kill(&self, process: Process) -> Result<()> {
        process.kill(ENDED_MAX).await.map_err(|error| self.failed("end", error))
    }

    /// When it returns, what takes connections knows its shares.
    async fn reload(&self) -> Result<()> {
        let Some(process) = self.running()? else { return Ok(()) };
        self.control(&["smbd", "reload-config"]).await?;
        // Messages are read in turn.
        self.control(&[&process.pid.to_string(), "ping"]).await
    }

    async fn control(&self, words: &[&str]) -> Result<()> {
        let act = format!("tell the server of {}'s drives: {}", self.network, words.join(" "));
        self.tool("smbcontrol")?.args(words).done(act).await.map(|_| ())
    }

    async fn set_password(&self, spec: &ShareSpec) -> Result<()> {
        let twice = format!("{0}\n{0}\n", spec.password);
        let run = self.tool("pdbedit")?.args(["-a", "-t", "-u", &spec.username]).input(twice);
        run.done(format!("set the password of {}", spec.drive)).await.map(|_| ())
    }

    /// A program of Samba's, as the server's own user and about its configuration.
    fn tool(&self, program: &str) -> Result<command::Run> {
        let uid = self.uid()?.ok_or_else(|| {
            Error::passing(format!("tell the server of {}'s drives", self.network), "it has no folder")
        })?;
        let run = command::run(program).shut_in(&self.cell(uid));
        Ok(if program == "unshare" { run } else { run.arg(self.mark()) })
    }

    fn cell(&self, uid: u32) -> Cell {
        let folder = self.folder.clone();
        Cell { network: self.gate.file(), etc: folder.join("etc"), alone: folder, uid }
    }

    fn write_users(&self, further: Option<&str>, uid: u32) -> Result<()> {
        let mut users: BTreeSet<String> = further.map(str::to_owned).into_iter().collect();
        for share in self.shares()? {
            let text = self.read(&format!("shares/{share}.conf"))?;
            users.extend(text.as_deref().and_then(conf::user_in).map(str::to_owned));
        }
        self.write("etc/passwd", &conf::passwd(users.iter().map(String::as_str), uid))
    }

    fn write_index(&self, which: impl Fn(&SharedDriveId) -> bool) -> Result<()> {
        let mut shares = self.shares()?;
        shares.retain(which);
        shares.sort();
        self.write("shares.conf", &conf::index(&self.folder, &shares))
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        self.read_at(name).map_err(|error| self.failed("look at", error))
    }

    fn read_at(&self, name: &str) -> io::Result<Option<String>> {
        unless_absent(fs::read_to_string(self.folder.join(name)))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        self.write_at(name, text).map_err(|error| self.failed("write a file of", error))
    }

    /// A reader sees the old text or the new one.
    fn write_at(&self, name: &str, text: &str) -> io::Result<()> {
        let file = self.folder.join(name);
        let fresh = file.with_extension("new");
        fs::write(&fresh, text)?;
        fs::set_permissions(&fresh, Permissions::from_mode(0o644))?;
        fs::rename(fresh, file)
    }

    /// What belongs to the user that it runs as.
    fn own(&self) -> PathBuf {
        self.folder.join("smbd")
    }

    fn conf_file(&self) -> PathBuf {
        self.folder.join("smb.conf")
    }

    fn mark(&self) -> String {
        format!("--configfile={}", self.conf_file().display())
    }

    /// The end of what it said before it could write its log, and of its log.
    fn last_words(&self) -> String {
        const KEPT: usize = 400;
        let files = ["said", "smbd/log/smbd"].map(|name| self.folder.join(name));
        let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let from = (text.len().saturating_sub(KEPT)..=text.len()).find(|at| text.is_char_boundary(*at));
        let words = text[from.unwrap_or_default()..].trim().replace('\n', "; ");
        if words.is_empty() { "it does not listen, and says nothing".to_owned() } else { words }
    }

    fn failed(&self, verb: &str, error: io::Error) -> Error {
        Error::passing(format!("{verb} the server of {}'s drives", self.network), error)
    }
}

/// A process that serves a client bears the program's name; its helpers have names of their own.
fn is_client(pid: u32) -> bool {
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid.cast_signed())));
    let first = session.is_ok_and(|session| session.as_raw() == pid.cast_signed());
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    !first && name.trim() == "smbd"
}

/// Whether a process works in `path`, or has a file below it open.
fn holds(pid: u32, path: &Path) -> bool {
    let below = |link: PathBuf| fs::read_link(link).is_ok_and(|file| file.starts_with(path));
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    below(PathBuf::from(format!("/proc/{pid}/cwd"))) || files.map(|file| file.path()).any(below)
}

/// The address at which drives are served in the namespace of a process.
fn listens_at(pid: u32) -> Option<Ipv4Addr> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    table.lines().find_map(listening)
}

/// A line of the kernel's table: number, own address, other's address, state, all in hexadecimal digits.
fn listening(line: &str) -> Option<Ipv4Addr> {
    const LISTEN: &str = "0A";
    let mut words = line.split_ascii_whitespace().skip(1);
    let (own, state) = (words.next()?, words.nth(1)?);
    let (address, port) = own.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = u32::from_str_radix(address, 16).ok()?;
    (state == LISTEN && port == PORT).then(|| Ipv4Addr::from(address.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_address_is_read() {
        let line = "   0: 0208400A:01BD 00000000:0000 0A 00000000:00000000 00:00000000 00000000 2040000 0 1";
        assert_eq!(listening(line), Some(Ipv4Addr::new(10, 64, 8, 2)));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening(&line.replace(":01BD", ":0035")), None);
        assert_eq!(listening("  sl  local_address rem_address   st"), None);
    }
}
