//! Where a command talks to the kernel: the host itself, or one of its network namespaces.
//!
//! **Invariant**: what runs for a namespace changes nothing on the host. A thread that entered one never
//! runs anything else afterwards.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::linux::command::{Run, run};
use crate::linux::folder::unless_absent;

const NAMESPACES: &str = "/run/netns";

/// The host, or a namespace by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Host,
    Inside(String),
}

impl Place {
    /// The program `ip`, about this place.
    pub(super) fn ip(&self) -> Run {
        match self {
            Self::Host => run("ip"),
            Self::Inside(namespace) => run("ip").args(["-n", namespace]),
        }
    }

    /// A program that runs in this place.
    pub(super) fn run(&self, program: &str) -> Run {
        match self {
            Self::Host => run(program),
            Self::Inside(namespace) => {
                run("nsenter").arg(format!("--net={}", file_of(namespace).display())).arg(program)
            }
        }
    }

    /// Whether the place is really there: a name that nothing is mounted on is not.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Host => true,
            Self::Inside(namespace) => {
                let kernel = fs::metadata("/proc/self/ns/net").map(|file| file.dev());
                let named = fs::metadata(file_of(namespace)).map(|file| file.dev());
                matches!((kernel, named), (Ok(kernel), Ok(named)) if kernel == named)
            }
        }
    }

    /// Whether something bears the place's name, a namespace or not.
    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Inside(namespace) if file_of(namespace).exists())
    }

    /// Whether a process is in this place.
    pub(super) fn holds(&self, process: u32) -> bool {
        let file = match self {
            Self::Host => PathBuf::from("/proc/self/ns/net"),
            Self::Inside(namespace) => file_of(namespace),
        };
        let here = fs::metadata(file).map(|file| file.ino());
        let there = fs::metadata(format!("/proc/{process}/ns/net")).map(|file| file.ino());
        matches!((here, there), (Ok(here), Ok(there)) if here == there)
    }

    /// Makes the namespace, unless it is there.
    pub(super) async fn ensure(&self) -> Result<()> {
        let Self::Inside(namespace) = self else { return Ok(()) };
        if self.is_there() {
            return Ok(());
        }
        self.forget_name(namespace)?;
        run("ip").args(["netns", "add", namespace]).done(format!("make the namespace {namespace}")).await?;
        Ok(())
    }

    /// Removes the namespace, and its name.
    pub(super) async fn remove(&self) -> Result<()> {
        let Self::Inside(namespace) = self else { return Ok(()) };
        if self.is_there() {
            let act = format!("remove the namespace {namespace}");
            run("ip").args(["netns", "delete", namespace]).done(act).await?;
        }
        self.forget_name(namespace)
    }

    /// Runs `act` on a thread of its own that has entered this place.
    pub(super) async fn enter<T: Send + 'static>(
        &self,
        told: String,
        act: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.clone();
        let (answer, answered) = oneshot::channel();
        let work = move || {
            // The caller may have gone away; then nobody waits for the answer.
            let _ = answer.send(place.go_in().and_then(|()| act()));
        };
        let thread = std::thread::Builder::new().name("namespace".to_owned()).spawn(work);
        thread.map_err(|error| Error::passing(told.clone(), error))?;
        match answered.await {
            Ok(done) => done.map_err(|error| Error::passing(told, error)),
            Err(gone) => Err(Error::passing(told, gone)),
        }
    }

    /// Sets kernel settings in this place, as far as this kernel has them.
    pub(super) async fn set(&self, settings: &'static [(&'static str, &'static str)]) -> Result<()> {
        let act = move || {
            let known = |(name, _): &&(&str, &str)| Path::new("/proc/sys/net").join(name).exists();
            settings.iter().filter(known).try_for_each(|(name, value)| {
                let file = Path::new("/proc/sys/net").join(name);
                fs::write(file, value)
            })
        };
        self.enter(format!("set the kernel's network settings in {self:?}"), act).await
    }

    /// A kernel setting in this place, if this kernel has it.
    pub(super) async fn setting(&self, name: &'static str) -> Result<Option<String>> {
        let act = move || unless_absent(fs::read_to_string(Path::new("/proc/sys/net").join(name)));
        let seen = self.enter(format!("look at the setting {name} in {self:?}"), act).await?;
        Ok(seen.map(|text| text.trim().to_owned()))
    }

    fn go_in(&self) -> std::io::Result<()> {
        let Self::Inside(namespace) = self else { return Ok(()) };
        let file = File::open(file_of(namespace))?;
        Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
    }

    /// A crash between the two steps of making a namespace leaves its name without it.
    fn forget_name(&self, namespace: &str) -> Result<()> {
        match fs::remove_file(file_of(namespace)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::passing(format!("remove the name of the namespace {namespace}"), error))
            }
            _ => Ok(()),
        }
    }
}

/// The names of all namespaces that begin with `prefix`.
pub(super) fn named(prefix: &str) -> Vec<String> {
    let names = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

pub(super) fn file_of(namespace: &str) -> PathBuf {
    Path::new(NAMESPACES).join(namespace)
}
