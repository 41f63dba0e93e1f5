//! Templates: images taken in once, read by many, written by none.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deckle_api::ids::TemplateId;
use serde::Deserialize;

use super::import::{self, Format, Refusal};
use super::qemu_img::{self, Bounds};
use super::{Disks, header};
use crate::error::{Error, Result};
use crate::linux::command::{self, Failure};
use crate::linux::folder::{apart, create_for, open_to_pass, sync_folder};
use crate::linux::paths::Paths;
use crate::seen::TemplateSeen;
use crate::specs::TemplateSpec;

/// A look at an image's header.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(60);
/// Copying and converting a large image.
pub(super) const CONVERT_MAX: Duration = Duration::from_secs(3 * 3600);

impl Disks {
    /// A template's image, if it is there.
    pub async fn look_template(&self, id: &TemplateId) -> Result<Option<TemplateSeen>> {
        match header::read(&self.paths.template(id)) {
            Ok((Some(header), used_bytes)) => {
                Ok(Some(TemplateSeen { size_bytes: header.size_bytes, used_bytes }))
            }
            Ok((None, _)) => Err(Error::lasting(format!("read the image of {id}"), "it is not qcow2")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::passing(format!("read the image of {id}"), error)),
        }
    }

    /// Takes an image file in as a template, unless it is there already.
    pub async fn ensure_template(&self, spec: &TemplateSpec) -> Result<TemplateSeen> {
        if let Some(seen) = self.find_made(&spec.id).await? {
            return Ok(seen);
        }
        let act = || format!("take in {} as {}", spec.file.display(), spec.id);
        import::examine(&spec.file).map_err(|refusal| Error::lasting(act(), refusal))?;
        let begun = {
            let (paths, work) = (self.paths.clone(), self.import_folder(&spec.id));
            apart(move || begin_import(&paths, work)).await
        };
        let work = begun.map_err(|error| Error::passing(act(), error))?;
        let taken = self.import(spec, &work, act()).await;
        let cleared =
            apart(move || fs::remove_dir_all(work)).await.map_err(|error| Error::passing(act(), error));
        taken.and(cleared)?;
        let seen = self.look_template(&spec.id).await?;
        seen.ok_or_else(|| Error::passing(act(), "it is gone again"))
    }

    /// A template that is there, without what a crash left of its making.
    pub(super) async fn find_made(&self, id: &TemplateId) -> Result<Option<TemplateSeen>> {
        let seen = self.look_template(id).await?;
        if seen.is_some() {
            let work = self.import_folder(id);
            let cleared = apart(move || absent_ok(fs::remove_dir_all(work))).await;
            cleared.map_err(|error| Error::passing(format!("clear away after {id}"), error))?;
        }
        Ok(seen)
    }

    /// Removes a template's image. Disks made from it keep it until they go themselves.
    pub async fn remove_template(&self, id: &TemplateId) -> Result<()> {
        let (work, image) = (self.import_folder(id), self.paths.template(id));
        let removed = apart(move || {
            let cleared = absent_ok(fs::remove_dir_all(work));
            absent_ok(fs::remove_file(image)).and(cleared)
        });
        removed.await.map_err(|error| Error::passing(format!("remove the image of {id}"), error))
    }

    pub(super) fn import_folder(&self, id: &TemplateId) -> PathBuf {
        self.paths.templates().join(format!("import-{id}"))
    }

    /// Copies the file to where its owner cannot change it any more, judges it there, converts it.
    async fn import(&self, spec: &TemplateSpec, work: &Path, act: String) -> Result<()> {
        let passing = |error: io::Error| Error::passing(act.clone(), error);
        let flat = work.join("flat.qcow2");
        let uid = self.import_uid;
        let flat_file = create_for(&flat, 0o600, (uid, uid)).map_err(passing)?;
        let Admitted { source, format, needed, .. } =
            self.admit(&spec.file, work, spec.size_bytes_max, &act).await?;
        self.require_room(needed).map_err(|refusal| Error::lasting(act.clone(), refusal))?;
        self.convert(format, &source, &flat, needed)
            .await
            .map_err(|failure| qemu_img::told(act.clone(), failure))?;
        let image = self.paths.template(&spec.id);
        apart(move || publish(&flat_file, &flat, &image)).await.map_err(passing)
    }

    /// Copies an image file to where its owner cannot change it any more, and judges it there.
    pub(super) async fn admit(
        &self,
        file: &Path,
        work: &Path,
        size_bytes_max: u64,
        act: &str,
    ) -> Result<Admitted> {
        let refused = |refusal: Refusal| Error::lasting(act, refusal);
        let source = work.join("source");
        create_for(&source, 0o640, (0, self.import_uid)).map_err(|error| Error::passing(act, error))?;
        let used_bytes = fs::metadata(file).map_or(0, |facts| facts.blocks() * 512);
        self.require_room(used_bytes).map_err(refused)?;
        command::run("cp")
            .args(["--reflink=auto", "--sparse=always", "--dereference", "--"])
            .args([file, &source])
            .limit(CONVERT_MAX)
            .output()
            .await
            .map_err(|failure| qemu_img::told(act.to_owned(), failure))?;
        let format = import::examine(&source).map_err(refused)?;
        let info =
            self.ask(["info", "--output=json", "-f", format.word()], &source).await.map_err(refused)?;
        let size_bytes = import::judge(&info, size_bytes_max).map_err(refused)?;
        self.check(format, &source).await.map_err(refused)?;
        let needed = self.measure(format, &source).await.map_err(refused)?;
        Ok(Admitted { source, format, size_bytes, used_bytes, needed })
    }

    /// What a question about an untrusted image is answered with.
    async fn ask(
        &self,
        args: impl IntoIterator<Item = &'static str>,
        source: &Path,
    ) -> std::result::Result<Vec<u8>, Refusal> {
        let bounds = Bounds { uid: self.import_uid, file_bytes_max: 0, time: LOOK_MAX };
        let run = qemu_img::confined(&bounds).args(args).arg(qemu_img::shown(source));
        run.output().await.map_err(|failure| Refusal::Unreadable(failure.to_string()))
    }

    /// Whether an image hangs together: one whose download broke off reads as a disk of zeros.
    async fn check(&self, format: Format, source: &Path) -> std::result::Result<(), Refusal> {
        if format != Format::Qcow2 {
            return Ok(());
        }
        let bounds = Bounds { uid: self.import_uid, file_bytes_max: 0, time: CONVERT_MAX };
        let run = qemu_img::confined(&bounds).args(["check", "--output=json", "-f", format.word()]);
        match run.arg(qemu_img::shown(source)).output().await {
            Ok(said) => import::judge_check(&said, source),
            Err(Failure::Said { .. }) => Err(Refusal::Broken),
            Err(failure) => Err(Refusal::Unreadable(failure.to_string())),
        }
    }

    /// What the flattened image takes at most, in bytes.
    async fn measure(&self, format: Format, source: &Path) -> std::result::Result<u64, Refusal> {
        let said = self.ask(["measure", "--output=json", "-O", "qcow2", "-f", format.word()], source).await?;
        Measured::required(&said).map_err(|error| Refusal::Unreadable(error.to_string()))
    }

    async fn convert(
        &self,
        format: Format,
        source: &Path,
        flat: &Path,
        needed: u64,
    ) -> std::result::Result<Vec<u8>, Failure> {
        const SLACK: u64 = 64 << 20;
        let file_bytes_max = needed.saturating_add(SLACK);
        qemu_img::confined(&Bounds { uid: self.import_uid, file_bytes_max, time: CONVERT_MAX })
            .args(["convert", "-f", format.word(), "-O", "qcow2", "-o", "compat=1.1"])
            .args([qemu_img::shown(source), qemu_img::shown(flat)])
            .output()
            .await
    }

    pub(super) fn require_room(&self, needed: u64) -> std::result::Result<(), Refusal> {
        let free = self.room().map_err(|error| Refusal::Unreadable(error.told()))?;
        if needed > free { Err(Refusal::NoRoom { needed, free }) } else { Ok(()) }
    }
}

/// A copy of an image that may be taken in.
pub(super) struct Admitted {
    /// Where it lies: readable for the importing user.
    pub source: PathBuf,
    pub format: Format,
    /// The size that a guest sees, in bytes.
    pub size_bytes: u64,
    /// What the copy takes at most, in bytes.
    pub used_bytes: u64,
    /// What its contents take at most, flattened, in bytes.
    pub needed: u64,
}

/// What `qemu-img measure` says.
#[derive(Deserialize)]
pub(super) struct Measured {
    required: u64,
}

impl Measured {
    /// The bytes that an image takes at most.
    pub fn required(said: &[u8]) -> serde_json::Result<u64> {
        serde_json::from_slice::<Self>(said).map(|it| it.required)
    }
}

/// A folder of root's, empty of what a crash may have left: the importing user reaches the files that are
/// made for it there, and can put no link in their place.
pub(super) fn begin_import(paths: &Paths, work: PathBuf) -> io::Result<PathBuf> {
    open_to_pass(paths.state(), &paths.templates())?;
    absent_ok(fs::remove_dir_all(&work))?;
    fs::create_dir(&work)?;
    fs::set_permissions(&work, Permissions::from_mode(0o711))?;
    Ok(work)
}

/// The image under its name: root's, for QEMU's users to read. Whoever wrote it has ended.
pub(super) fn publish(file: &File, flat: &Path, image: &Path) -> io::Result<()> {
    fchown(file, Some(0), Some(0))?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()?;
    fs::rename(flat, image)?;
    image.parent().map_or(Ok(()), sync_folder)
}

/// A removal of what is not there has been done.
pub fn absent_ok(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
