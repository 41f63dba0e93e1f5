//! Templates made of machines' disks: flattened, so that they need neither the disk nor its own template.

use std::fs;
use std::path::Path;

use deckle_api::ids::MachineId;

use super::qemu_img::{self, Bounds};
use super::snapshots::Found;
use super::template::{CONVERT_MAX, LOOK_MAX, Measured, begin_import, publish};
use super::{Disks, header, restore};
use crate::error::{Error, Result};
use crate::linux::folder::{apart, create_for};
use crate::seen::TemplateSeen;
use crate::specs::CaptureSpec;

impl Disks {
    /// Makes a template of a machine's disk as it is now, unless it is there already.
    pub async fn ensure_template_from(&self, spec: &CaptureSpec) -> Result<TemplateSeen> {
        let CaptureSpec { template, machine } = spec;
        if let Some(seen) = self.find_made(template).await? {
            return Ok(seen);
        }
        let act = format!("make the template {template} of {machine}");
        let found = self.find_off(machine, &act).await?;
        let begun = {
            let (paths, work) = (self.paths.clone(), self.import_folder(template));
            apart(move || begin_import(&paths, work)).await
        };
        let work = begun.map_err(|error| Error::passing(&*act, error))?;
        let captured = self.capture(spec, &found, &work, &act).await;
        let cleared = apart(move || fs::remove_dir_all(work)).await;
        captured.and(cleared.map_err(|error| Error::passing(&*act, error)))?;
        let seen = self.look_template(template).await?;
        seen.ok_or_else(|| Error::passing(act, "it is gone again"))
    }

    /// A machine's whole disk that no QEMU has open.
    pub(super) async fn find_off(&self, machine: &MachineId, act: &str) -> Result<Found> {
        let found = self.find(machine, act).await?;
        let found = found.ok_or_else(|| Error::lasting(act, "its disk is missing"))?;
        if found.running.is_some() {
            return Err(Error::passing(act, "its power is on"));
        }
        restore::require_none(&found.folder, act)?;
        Ok(found)
    }

    /// The guest may have written anything, and what it wrote is read by a program of its own user.
    async fn capture(&self, spec: &CaptureSpec, found: &Found, work: &Path, act: &str) -> Result<()> {
        const SLACK: u64 = 64 << 20;
        let told = |failure| qemu_img::told(act.to_owned(), failure);
        let (flat, uid) = (work.join("flat.qcow2"), found.uid);
        let flat_file = create_for(&flat, 0o600, (uid, uid)).map_err(|error| Error::passing(act, error))?;
        let template = found.folder.template();
        let source = qemu_img::disk(&found.folder.disk(), Some(&template), found.size_bytes);
        let measured = qemu_img::confined(&Bounds { uid, file_bytes_max: 0, time: LOOK_MAX })
            .args(["measure", "--output=json", "-O", "qcow2", &source])
            .output()
            .await
            .map_err(told)?;
        let needed = Measured::required(&measured).map_err(|error| Error::passing(act, error))?;
        self.require_room(needed).map_err(|refusal| Error::lasting(act, refusal))?;
        let file_bytes_max = needed.saturating_add(SLACK);
        qemu_img::confined(&Bounds { uid, file_bytes_max, time: CONVERT_MAX })
            .args(["convert", "-O", "qcow2", "-o", "compat=1.1", &source, &qemu_img::shown(&flat)])
            .output()
            .await
            .map_err(told)?;
        check_size(&flat, found.size_bytes, act)?;
        let image = self.paths.template(&spec.template);
        apart(move || publish(&flat_file, &flat, &image)).await.map_err(|error| Error::passing(act, error))
    }
}

/// A template that is smaller than its disk has lost the disk's end, and nobody would have said so.
fn check_size(flat: &Path, size_bytes: u64, act: &str) -> Result<()> {
    let (header, _) = header::read(flat).map_err(|error| Error::passing(act, error))?;
    match header.map(|header| header.size_bytes) {
        Some(size) if size == size_bytes => Ok(()),
        size => Err(Error::passing(act, format!("it has {size:?} bytes instead of {size_bytes}"))),
    }
}
