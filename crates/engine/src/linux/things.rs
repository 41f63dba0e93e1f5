//! All that this installation has on the host of machines and templates, whoever asked for it.
//!
//! **Invariant**: found by looking at the host, and named for the object that it was made for, so that what
//! nobody's row explains shows as a leak.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::paths::Paths;
use super::process::Process;
use crate::error::{Error, Result};
use crate::seen::HostThing;

/// The processes and files of machines and templates.
pub fn look(paths: &Paths) -> Result<Vec<HostThing>> {
    let mut things = Vec::new();
    for machine in names(&paths.machines())? {
        let folder = paths.machines().join(&machine);
        things.push(thing("file", &folder, &machine));
    }
    for image in names(&paths.templates())? {
        let of = image.trim_end_matches(".qcow2").trim_start_matches("import-");
        things.push(thing("file", &paths.templates().join(&image), of));
    }
    let found = processes(&paths.machines());
    things.extend(found.map_err(|error| Error::passing("look for QEMU processes", error))?);
    things.sort();
    Ok(things)
}

/// The QEMUs whose command line names a folder of ours, that folder there or not.
fn processes(machines: &Path) -> io::Result<Vec<HostThing>> {
    let mark = format!("{}/", machines.display());
    let mut things = Vec::new();
    for process in Process::all(None, &format!("\"filename\":\"{mark}"))? {
        let line = process.command_line()?;
        if let Some(machine) = line.split(&mark).nth(1).and_then(|rest| rest.split('/').next()) {
            things.push(HostThing {
                kind: "process".into(),
                name: process.pid.to_string(),
                of: machine.to_owned(),
            });
        }
    }
    Ok(things)
}

fn thing(kind: &str, path: &Path, of: &str) -> HostThing {
    HostThing { kind: kind.to_owned(), name: path.display().to_string(), of: of.to_owned() }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let act = || format!("look into {}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Error::passing(act(), error))?,
    };
    let name =
        |entry: io::Result<fs::DirEntry>| entry.map(|it| it.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(|error| Error::passing(act(), error))
}
