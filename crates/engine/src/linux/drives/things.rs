//! All that this installation has on the host for its drives, whoever asked for it.

use std::fs;
use std::path::Path;

use super::{looked, loops, mounts};
use crate::error::{Error, Result};
use crate::linux::folder::unless_absent;
use crate::linux::paths::Paths;
use crate::linux::process::Process;
use crate::seen::HostThing;

/// Images, devices and mounts are for drives; processes and what they keep are for networks.
pub(super) fn look(paths: &Paths) -> Result<Vec<HostThing>> {
    let (drives, run) = (paths.drives(), paths.run());
    let mut things = Vec::new();
    for folder in [&drives, &run] {
        let named = names(folder).into_iter();
        things.extend(named.map(|name| thing("file", folder.join(&name).display(), &name)));
    }
    for (device, file) in loops::below(&drives)? {
        things
            .extend(first_below(&drives, &file).map(|drive| thing("loop", device.node().display(), &drive)));
    }
    for mount in looked(mounts::below(&run))? {
        let network = first_below(&run, &mount.at).unwrap_or_default();
        let drive = first_below(&run.join(&network).join("drives"), &mount.at);
        things.push(thing("mount", mount.at.display(), &drive.unwrap_or(network)));
    }
    things.extend(processes(&run)?);
    Ok(things)
}

fn processes(run: &Path) -> Result<Vec<HostThing>> {
    let mark = format!("--configfile={}/", run.display());
    let found = Process::all(None, &mark).and_then(|found| {
        found.into_iter().map(|process| Ok((process.pid, process.command_line()?))).collect()
    });
    let found: Vec<(u32, String)> =
        found.map_err(|error: std::io::Error| Error::passing("look for servers of drives", error))?;
    let named = |(pid, line): (u32, String)| {
        let network = line.split(&mark).nth(1)?.split('/').next()?;
        line.starts_with("smbd\0").then(|| thing("process", format!("smbd {pid}"), network))
    };
    Ok(found.into_iter().filter_map(named).collect())
}

/// The first part of a name below a folder.
fn first_below(folder: &Path, path: &Path) -> Option<String> {
    let rest = path.strip_prefix(folder).ok()?;
    rest.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = unless_absent(fs::read_dir(folder)).ok().flatten().into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn thing(kind: &str, name: impl ToString, of: &str) -> HostThing {
    HostThing { kind: kind.to_owned(), name: name.to_string(), of: of.to_owned() }
}
