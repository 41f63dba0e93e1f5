//! Drives as files, and files as drives.
//!
//! An image that is in use is copied in passes, each of which writes only what has changed since the one before.
//! The last pass is made while the file system is held still, so that the copy is of one moment. Where the file
//! system of both files can share blocks between them, the copy is made at once.
//!
//! **Invariant**: a drive is held still for at most [`HELD_MAX`], however slow the other file is.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};

use super::clients::Which;
use super::frozen::{self, Held};
use super::image::{self, Image};
use super::server::Server;
use super::{Drives, hand_over, is_mounted, part_device};
use super::{loops, mounts};
use crate::error::{Error, Result};
use crate::linux::copy;
use crate::linux::disk::free_bytes;
use crate::linux::folder::{apart, sync_folder};
use crate::linux::part::{Part, Refusal};
use crate::linux::transfers::{Counter, Note};
use crate::transfers::{ExportSpec, ImportSpec};

/// How long a drive is held still at most: clients wait meanwhile, and give up after three minutes.
const HELD_MAX: Duration = Duration::from_secs(120);
/// How many passes are made before the last one, while there is much to write in each.
const PASSES_MAX: usize = 4;
/// What is little enough for the last pass, in bytes.
const LITTLE: u64 = 32 << 20;

impl Drives {
    /// Copies a drive to a file.
    pub async fn export(
        &self,
        (drive, network): (&SharedDriveId, &PrivateNetworkId),
        spec: &ExportSpec,
        counter: Arc<Counter>,
    ) -> Result<()> {
        let act = format!("export the drive {drive} to {}", spec.file.display());
        let part = Part::of(spec, self.paths.state()).map_err(|refusal| told(&act, refusal))?;
        self.clear_left(drive).await?;
        self.require_elsewhere((drive, network), &part, &act)?;
        let image = Image::of(&self.paths, drive);
        if !image.file().exists() {
            return Err(Error::lasting(act, "its image is missing"));
        }
        let note = Note { files: vec![part.path().to_owned()], snapshot: None };
        note.write(image.folder()).map_err(|error| Error::passing(&*act, error))?;
        let copied = self.copy_out((drive, network), &image, &part, counter, &act).await;
        self.clear_or_warn(drive).await;
        copied
    }

    /// Replaces all that a drive holds by what a file holds.
    pub async fn import(
        &self,
        (drive, network): (&SharedDriveId, &PrivateNetworkId),
        spec: &ImportSpec,
        counter: Arc<Counter>,
    ) -> Result<()> {
        let act = format!("import {} as the drive {drive}", spec.file.display());
        self.clear_left(drive).await?;
        let image = Image::of(&self.paths, drive);
        let there = fs::metadata(image.file()).map_err(|_| Error::lasting(&*act, "its image is missing"))?;
        let spec = ImportSpec { size_bytes: spec.size_bytes.max(there.len()), ..spec.clone() };
        let holds = judge(&spec).map_err(|refusal| Error::lasting(&*act, refusal))?;
        let fresh = fresh_in(image.folder());
        let note = Note { files: vec![fresh.clone(), proving(&fresh)], snapshot: None };
        note.write(image.folder()).map_err(|error| Error::passing(&*act, error))?;
        let made = self.make_beside(&image, &spec, (&fresh, holds), counter, &act).await;
        let proven = match made {
            Ok(()) => self.prove(network, &fresh, &act).await,
            failed => failed,
        };
        let put = match proven {
            Ok(()) => self.put((drive, network), &image, &fresh, &act).await,
            failed => failed,
        };
        self.clear_or_warn(drive).await;
        put
    }

    /// Clears away what an export or an import that is not under way any more has left, and lets the drive go if
    /// it is held still.
    pub async fn clear_left(&self, drive: &SharedDriveId) -> Result<()> {
        let failed = |error| Error::passing(format!("clear away after a copy of {drive}"), error);
        let folder = self.paths.drive(drive);
        let held = mark(&folder);
        apart(move || frozen::let_go_if_held(&held)).await.map_err(failed)?;
        let fresh = fresh_in(&folder);
        if fresh.exists() {
            self.part_below(&fresh).await?;
        }
        let state = self.paths.state().to_owned();
        let cleared = apart(move || Note::read(&folder)?.map_or(Ok(()), |note| note.clear(&folder, &state)));
        cleared.await.map_err(failed)
    }

    async fn clear_or_warn(&self, drive: &SharedDriveId) {
        if let Err(error) = self.clear_left(drive).await {
            tracing::warn!(drive.id = %drive, error = error.told(), "the next look clears away after a copy");
        }
    }

    /// Refuses a file on a drive: what holds the drive still would wait for itself.
    fn require_elsewhere(
        &self,
        (drive, network): (&SharedDriveId, &PrivateNetworkId),
        part: &Part,
        act: &str,
    ) -> Result<()> {
        let passing = |error: io::Error| Error::passing(act, error);
        let folder = folder_of(part.path());
        let device = |path: &Path| fs::metadata(path).map(|seen| seen.dev());
        let mounted = Server::of(&self.paths, network).mounted(drive);
        let own = match mounts::at(&mounted).map_err(passing)? {
            Some(_) => Some(device(&mounted).map_err(passing)?),
            None => None,
        };
        if !folder.starts_with(self.paths.run()) && own != Some(device(&folder).map_err(passing)?) {
            return Ok(());
        }
        Err(Error::lasting(act, "the file would lie on a shared drive: name one elsewhere"))
    }

    async fn copy_out(
        &self,
        (drive, network): (&SharedDriveId, &PrivateNetworkId),
        image: &Image,
        part: &Part,
        counter: Arc<Counter>,
        act: &str,
    ) -> Result<()> {
        let passing = |error: io::Error| Error::passing(act, error);
        let (file, to) = (image.file(), part.clone());
        let opened = apart(move || Ok((File::open(file)?, to.begin(0)?))).await.map_err(passing)?;
        let files = Arc::new(Files { from: opened.0, to: opened.1, folder: folder_of(part.path()), counter });
        let copied = {
            let files = files.clone();
            apart(move || files.copy_in_use()).await
        };
        let shared = copied.map_err(|error| told(act, error.into()))?;
        let alone = self.alone(network).await;
        let at = Server::of(&self.paths, network).mounted(drive);
        let mounted = loops::of(&image.file())?.map_or(Ok(false), |device| is_mounted(device, &at))?;
        let (mounted, last) = (mounted.then(|| (at, mark(image.folder()))), files.clone());
        let paused = apart(move || {
            let mounted = mounted.as_ref().map(|(at, mark)| (at.as_path(), mark.as_path()));
            last.copy_still(Held::hold(mounted, alone, HELD_MAX)?, shared)
        });
        let paused = paused.await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Error::lasting(act, TOO_LONG),
            _ => told(act, error.into()),
        })?;
        tracing::info!(drive.id = %drive, paused_ms = paused.as_millis(), "a drive is copied");
        if image::read_size(part.path()).map_err(passing)?.is_none() {
            return Err(Error::lasting(act, "it is not ext4 any more"));
        }
        let part = part.clone();
        let published = apart(move || Ok(part.publish(&files.to))).await;
        published.map_err(passing)?.map_err(|refusal| told(act, refusal))
    }

    /// An image beside the drive's own, whole and as large as the drive, with what the file holds.
    async fn make_beside(
        &self,
        image: &Image,
        spec: &ImportSpec,
        (fresh, holds): (&Path, u64),
        counter: Arc<Counter>,
        act: &str,
    ) -> Result<()> {
        image.require_room(act, spec.size_bytes, self.floor_bytes)?;
        let told_here = |error: io::Error| image::told(act.to_owned(), error);
        image::reserve(fresh, spec.size_bytes).await.map_err(told_here)?;
        counter.expect(holds);
        let (source, to) = (spec.file.clone(), fresh.to_owned());
        let brought = apart(move || {
            let to = File::options().read(true).write(true).open(to)?;
            copy::bring(&File::open(source)?, &to, holds, &counter, None)?;
            to.sync_all()
        });
        brought.await.map_err(told_here)?;
        // What a copy of a drive in use would need is mended; what cannot be is told.
        let sound = image.check(fresh, true).await;
        sound
            .map_err(|error| Error::lasting(act, format!("its file system is damaged: {}", error.told())))?;
        image.tell_errors(fresh).await?;
        image.fill(fresh).await?;
        let filled = image::read_size(fresh).map_err(told_here)?;
        if filled.is_none_or(|bytes| bytes < spec.size_bytes) {
            return Err(Error::lasting(
                act,
                format!("its file system cannot grow to {} bytes", spec.size_bytes),
            ));
        }
        // The tools may have made holes of what is empty. It is synced, too.
        image::reserve(fresh, spec.size_bytes).await.map_err(told_here)
    }

    /// Mounts an image where nobody else looks, and gives its files to the server: what this host's kernel refuses,
    /// it refuses before anything is replaced.
    async fn prove(&self, network: &PrivateNetworkId, fresh: &Path, act: &str) -> Result<()> {
        let uid = Server::of(&self.paths, network).uid()?.unwrap_or(self.first_uid);
        let device = {
            let _alone = self.choosing.lock().await;
            loops::attach(fresh).await?
        };
        let at = proving(fresh);
        let (node, place) = (device.node(), at.clone());
        let proven = match apart(move || mounts::mount_drive(&node, &place)).await {
            Ok(()) => hand_over(&at, uid).await.map_err(|error| {
                let why = "its files cannot be given to the drive's server (chattr -i and -a let go of those \
                           that take no changes)";
                Error::lasting(act, format!("{why}: {}", error.told()))
            }),
            Err(error) => {
                let why = "this host's kernel does not mount its file system: make it anew without what \
                           the kernel lacks, such as blocks of more than 4 KiB or casefold";
                Err(Error::lasting(act, format!("{why}: {error}")))
            }
        };
        part_device(device).await?;
        let written = fresh.to_owned();
        let removed = apart(move || mounts::remove_place(&at).and_then(|()| File::open(written)?.sync_all()));
        removed.await.map_err(|error| Error::passing(act, error)).and(proven)
    }

    /// Puts a whole image in the place of a drive's own. Clients are kept away meanwhile.
    async fn put(
        &self,
        (drive, network): (&SharedDriveId, &PrivateNetworkId),
        image: &Image,
        fresh: &Path,
        act: &str,
    ) -> Result<()> {
        let _alone = self.alone(network).await;
        let server = Server::of(&self.paths, network);
        // Its clients hold it also while it takes no changes.
        let mounted = mounts::at(&server.mounted(drive)).map_err(|error| Error::passing(act, error))?;
        if mounted.is_none() {
            self.part(image).await?;
            return rename(image, fresh, act).await;
        }
        server.pause(drive).await?;
        let put = self.put_paused(&server, drive, image, fresh, act).await;
        // The neighbours' clients come back in any case.
        server.resume().await.and(put)
    }

    async fn put_paused(
        &self,
        server: &Server,
        drive: &SharedDriveId,
        image: &Image,
        fresh: &Path,
        act: &str,
    ) -> Result<()> {
        server.end_clients(drive, Which::Mounting).await?;
        self.unmount(server, drive).await?;
        self.part(image).await?;
        let put = rename(image, fresh, act).await;
        self.mount(server, drive, image).await.and(put)?;
        match server.uid()? {
            Some(uid) => self.give(&server.mounted(drive), uid).await,
            None => Ok(()),
        }
    }
}

const TOO_LONG: &str = "it would be held still for more than two minutes: so much of it was ever written, or so much \
                        is written to it now; export it while nobody uses it, or to a file on the state folder's own \
                        file system where that can share blocks (XFS, btrfs)";

/// What is copied, and where to.
struct Files {
    from: File,
    to: File,
    folder: PathBuf,
    counter: Arc<Counter>,
}

impl Files {
    /// Copies as much as can be while the drive is in use; whether the files share blocks.
    fn copy_in_use(&self) -> io::Result<bool> {
        if copy::clone(&self.from, &self.to)? {
            return Ok(true);
        }
        let length = self.from.metadata()?.len();
        let (needed, free) = (copy::data_bytes(&self.from)?, free_bytes(&self.folder)?);
        if needed > free {
            let why = format!("it may take {needed} bytes and {free} are free in {}", self.folder.display());
            return Err(io::Error::new(io::ErrorKind::StorageFull, why));
        }
        self.to.set_len(length)?;
        self.counter.expect(length);
        for _ in 0..PASSES_MAX {
            if copy::bring(&self.from, &self.to, length, &self.counter, None)? <= LITTLE {
                break;
            }
        }
        // What is still to be written out would be waited for while the drive is held.
        self.to.sync_data()?;
        Ok(false)
    }

    /// Copies the rest while nothing changes; says for how long the drive was held.
    fn copy_still(&self, held: Held, shared: bool) -> io::Result<Duration> {
        let begun = Instant::now();
        self.from.sync_data()?;
        if shared {
            copy::clone(&self.from, &self.to)?;
        } else {
            let length = self.from.metadata()?.len();
            copy::bring(&self.from, &self.to, length, &self.counter, Some(begun + HELD_MAX))?;
        }
        // What was copied after it was let go is of another moment.
        if held.let_go() { Ok(begun.elapsed()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// The bytes of a file system that a file holds, if it can be a drive's.
fn judge(spec: &ImportSpec) -> std::result::Result<u64, String> {
    let file = spec.file.display();
    match fs::metadata(&spec.file) {
        Err(error) => Err(format!("{file} cannot be opened: {error}")),
        Ok(seen) if !seen.is_file() => Err(format!("{file} is not a regular file")),
        Ok(seen) => {
            match image::read_size(&spec.file).map_err(|error| format!("{file} cannot be read: {error}"))? {
                None => Err(format!(
                    "{file} is not a raw image of an ext4 file system, as `deckle admin export` makes it"
                )),
                Some(holds) if holds > spec.size_bytes => Err(format!(
                    "it holds a file system of {holds} bytes and the drive has {}: make the drive larger first",
                    spec.size_bytes
                )),
                Some(holds) if holds > seen.len() => {
                    Err(format!("it is cut off: it has {} bytes of {holds}; copy it again", seen.len()))
                }
                Some(holds) => Ok(holds),
            }
        }
    }
}

async fn rename(image: &Image, fresh: &Path, act: &str) -> Result<()> {
    let (fresh, file, folder) = (fresh.to_owned(), image.file(), image.folder().to_owned());
    let renamed = apart(move || fs::rename(fresh, file).and_then(|()| sync_folder(&folder))).await;
    renamed.map_err(|error| Error::passing(act, error))
}

/// An image that is to take the place of a drive's own.
fn fresh_in(folder: &Path) -> PathBuf {
    folder.join("image.import")
}

/// Where such an image is mounted before it does.
fn proving(fresh: &Path) -> PathBuf {
    fresh.with_extension("proven")
}

/// There while the drive's file system is held still.
fn mark(folder: &Path) -> PathBuf {
    folder.join("held")
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(file).to_owned()
}

fn told(act: &str, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Io(error) => image::told(act.to_owned(), error),
        refusal => Error::lasting(act, refusal),
    }
}
