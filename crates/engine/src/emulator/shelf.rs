//! The world in files: one small JSON file a thing, replaced whole.
//!
//! **Invariants**: a file is either the old or the new one, never half of one. Nothing is synced: the
//! world survives a crash of the process, and what a crash of the host takes was only pretended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deckle_api::ids::TemplateId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::world::{Drive, Machine, Network, Thing, World};
use crate::error::{Error, Result};
use crate::seen::TemplateSeen;

const TEMPLATES: &str = "templates";
const NETWORKS: &str = "networks";
const MACHINES: &str = "machines";
const DRIVES: &str = "drives";

/// The folder of a world.
pub(super) struct Shelf {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct TemplateFile {
    id: TemplateId,
    seen: TemplateSeen,
}

impl Shelf {
    pub fn open(folder: PathBuf) -> Result<Self> {
        for kind in [TEMPLATES, NETWORKS, MACHINES, DRIVES] {
            let path = folder.join(kind);
            fs::create_dir_all(&path)
                .map_err(|why| Error::lasting(format!("make the folder {}", path.display()), why))?;
        }
        Ok(Self { folder })
    }

    /// Puts everything that the files hold into the world.
    pub fn load(&self, world: &mut World) -> Result<()> {
        let templates = self.read_all(TEMPLATES)?.into_iter();
        world.templates.extend(templates.map(|TemplateFile { id, seen }| (id, seen)));
        let networks = self.read_all::<Network>(NETWORKS)?.into_iter();
        world.networks.extend(networks.map(|network| (network.spec.network.clone(), network)));
        let machines = self.read_all::<Machine>(MACHINES)?.into_iter();
        world.machines.extend(machines.map(|machine| (machine.id.clone(), machine)));
        let drives = self.read_all::<Drive>(DRIVES)?.into_iter();
        world.drives.extend(drives.map(|drive| (drive.id.clone(), drive)));
        world.count();
        Ok(())
    }

    /// Writes what has changed, and takes away what is gone. What failed stays among the changes.
    pub fn keep(&self, world: &mut World) -> Result<()> {
        while let Some(thing) = world.changed.first().cloned() {
            self.keep_one(world, &thing)
                .map_err(|why| Error::passing(format!("keep {thing:?} of the pretended host"), why))?;
            world.changed.remove(&thing);
        }
        Ok(())
    }

    fn keep_one(&self, world: &World, thing: &Thing) -> io::Result<()> {
        match thing {
            Thing::Template(id) => {
                let file = world.templates.get(id).map(|seen| TemplateFile { id: id.clone(), seen: *seen });
                self.put(TEMPLATES, id.as_str(), file.as_ref())
            }
            Thing::Network(id) => self.put(NETWORKS, &id.to_string(), world.networks.get(id)),
            Thing::Machine(id) => self.put(MACHINES, id.as_str(), world.machines.get(id)),
            Thing::Drive(id) => self.put(DRIVES, id.as_str(), world.drives.get(id)),
        }
    }

    fn put<T: Serialize>(&self, kind: &str, name: &str, thing: Option<&T>) -> io::Result<()> {
        let file = self.folder.join(kind).join(format!("{name}.json"));
        let Some(thing) = thing else {
            return fs::remove_file(&file).or_else(|why| match why.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(why),
            });
        };
        let fresh = file.with_extension("new");
        fs::write(&fresh, serde_json::to_vec(thing)?)?;
        fs::rename(&fresh, &file)
    }

    fn read_all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let folder = self.folder.join(kind);
        let failed = |why: io::Error| Error::lasting(format!("read {}", folder.display()), why);
        let mut things = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                things.push(read_one(&file)?);
            }
        }
        Ok(things)
    }
}

fn read_one<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let read = || -> io::Result<T> { Ok(serde_json::from_slice(&fs::read(file)?)?) };
    read().map_err(|why| Error::lasting(format!("read {}", file.display()), why))
}
