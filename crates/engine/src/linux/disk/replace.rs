//! A disk whose bytes are replaced by those of a file.
//!
//! The file is copied to where nobody can change it, judged as an image that is taken in as a template is, and
//! written over the machine's template into a disk beside the old one, each block of it: what the file says
//! nothing of reads as zeros and not as the template. One rename puts it in the old one's place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};

use deckle_api::ids::MachineId;

use super::overlay::LAYOUT;
use super::qemu_img::{self, Bounds};
use super::snapshots::Found;
use super::template::{CONVERT_MAX, LOOK_MAX, begin_import};
use super::{Disks, header, restore, unclosed};
use crate::error::{Error, Result};
use crate::linux::folder::{apart, sync_folder};
use crate::linux::transfers::{Counter, Note};
use crate::transfers::ImportSpec;

impl Disks {
    /// Replaces a machine's disk by what a file holds.
    pub async fn import_disk(&self, machine: &MachineId, spec: &ImportSpec, counter: &Counter) -> Result<()> {
        let act = format!("import {} as the disk of {machine}", spec.file.display());
        self.clear_transfer(machine).await?;
        let found = self.find_off(machine, &act).await?;
        self.require_no_snapshots(machine, &act).await?;
        super::import::examine(&spec.file).map_err(|refusal| Error::lasting(&*act, refusal))?;
        let fresh = found.folder.disk().with_extension("import");
        let work = self.paths.templates().join(format!("import-{machine}"));
        let note = Note { files: vec![fresh.clone(), work.clone()], snapshot: None };
        note.write(found.folder.path()).map_err(|error| Error::passing(&*act, error))?;
        let replaced = self.replace(&found, spec, Places { fresh, work }, counter, &act).await;
        if let Err(error) = self.clear_transfer(machine).await {
            tracing::warn!(machine.id = %machine, error = error.told(), "the next look clears away after an import");
        }
        replaced
    }

    async fn require_no_snapshots(&self, machine: &MachineId, act: &str) -> Result<()> {
        let there = self.look_snapshots(machine).await?;
        if there.is_empty() {
            return Ok(());
        }
        let names = there.iter().map(|seen| seen.id.to_string()).collect::<Vec<_>>().join(", ");
        let why = format!("it has snapshots, which would be lost: delete {names} first");
        Err(Error::lasting(act, why))
    }

    async fn replace(
        &self,
        found: &Found,
        spec: &ImportSpec,
        places: Places,
        counter: &Counter,
        act: &str,
    ) -> Result<()> {
        let passing = |error: io::Error| Error::passing(act, error);
        let size_bytes = spec.size_bytes.max(found.size_bytes);
        let begun = {
            let (paths, work) = (self.paths.clone(), places.work.clone());
            apart(move || begin_import(&paths, work)).await
        };
        let work = begun.map_err(passing)?;
        counter.watch(&work.join("source"));
        counter.watch(&places.fresh);
        let taken = self.admit(&spec.file, &work, u64::MAX, act).await?;
        if taken.size_bytes > size_bytes {
            let (has, room) = (taken.size_bytes, size_bytes);
            let cure = format!(
                "it holds a disk of {has} bytes and the machine's has {room}: make that larger first"
            );
            return Err(Error::lasting(act, cure));
        }
        self.require_room(taken.needed).map_err(|refusal| Error::lasting(act, refusal))?;
        counter.expect(taken.used_bytes + taken.needed);
        let file = self.make_beside(found, &places.fresh, taken.size_bytes, act).await?;
        let template = found.folder.template();
        let target = qemu_img::disk(&places.fresh, Some(&template), taken.size_bytes);
        self.tool(u64::MAX >> 1)
            .args(["convert", "-n", "-f", taken.format.word(), "-O", "qcow2"])
            .args([qemu_img::shown(&taken.source), target])
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        self.tool(u64::MAX >> 1)
            .args(["resize", "-q", "-f", "qcow2"])
            .arg(qemu_img::shown(&places.fresh))
            .arg(size_bytes.to_string())
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        check(&places.fresh, size_bytes, act)?;
        let (folder, uid) = (found.folder.clone(), found.uid);
        let put = apart(move || {
            own(&file, uid)?;
            file.sync_all()?;
            fs::rename(&places.fresh, folder.disk())?;
            // What somebody lost in the old disk's file is gone with it.
            unclosed::mended(&folder)?;
            sync_folder(folder.path())
        });
        put.await.map_err(passing)
    }

    /// An empty disk beside the machine's own, for the importing user to write.
    async fn make_beside(&self, found: &Found, fresh: &Path, size_bytes: u64, act: &str) -> Result<File> {
        restore::require_none(&found.folder, act)?;
        qemu_img::trusted(LOOK_MAX)
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "template.qcow2", "-o", LAYOUT])
            .arg(qemu_img::shown(fresh))
            .arg(size_bytes.to_string())
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        let made = || {
            let file = File::options().read(true).write(true).open(fresh)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            own(&file, self.import_uid)?;
            Ok(file)
        };
        made().map_err(|error: io::Error| Error::passing(act, error))
    }

    fn tool(&self, file_bytes_max: u64) -> crate::linux::command::Run {
        qemu_img::confined(&Bounds { uid: self.import_uid, file_bytes_max, time: CONVERT_MAX })
    }
}

/// Where an import works.
struct Places {
    fresh: PathBuf,
    work: PathBuf,
}

fn own(file: &File, uid: u32) -> io::Result<()> {
    fchown(file, Some(uid), Some(uid))
}

/// Whoever wrote it read what a stranger made: nothing but a disk on its template comes of that.
fn check(fresh: &Path, size_bytes: u64, act: &str) -> Result<()> {
    let (header, _) = header::read(fresh).map_err(|error| Error::passing(act, error))?;
    match header {
        Some(header)
            if header.size_bytes == size_bytes
                && header.backing_file.as_deref() == Some("template.qcow2")
                && !header.external_data
                && !header.encrypted =>
        {
            Ok(())
        }
        header => Err(Error::lasting(act, format!("what came of it is not a disk: {header:?}"))),
    }
}
