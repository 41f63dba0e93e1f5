//! Shared drives on this host: an image each, mounted and served in one network.
//!
//! ```text
//!  STATE/drives/sd…/image.ext4 ── loop device ── RUN/n…/drives/sd… ── smbd, in the network's namespace
//!   (ext4, all blocks reserved)                   (RUN/n… is in memory)   at the network's second address
//! ```
//!
//! **Invariants**: the image alone is what holds users' bytes; all else is made again from it and from what is
//! asked. Nothing is remembered: the kernel is asked what is attached, mounted, running and listening, and the
//! server's own files say what it serves. A network's drives are worked on one after the other.

mod checks;
mod clients;
mod conf;
mod copies;
mod frozen;
mod image;
mod loops;
mod mounts;
mod server;
mod things;
mod users;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};
use tokio::sync::OwnedMutexGuard;
use tokio::time::sleep;

use super::Settings;
use super::command;
use super::disk::GIB;
use super::folder::{apart, unless_absent};
use super::losses::Losses;
use super::paths::Paths;
use crate::error::{Error, Result};
use crate::seen::{Check, DriveImageSeen, DriveSeen, HostThing, Loss, ShareSeen};
use crate::specs::{DriveSpec, HostNetwork, ShareSpec, drives_address};
use image::Image;
use loops::Loop;
use server::Server;

/// How often, and with what pause, a drive that is still being let go of is unmounted.
const UNMOUNT_TRIES: u32 = 100;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(20);
/// How many of them clients have to let go by themselves.
const UNMOUNT_PATIENCE: u32 = 10;
/// How long it may take to give a drive's files to another user.
const GIVE_MAX: Duration = Duration::from_secs(3600);

/// The shared drives of one installation on this host.
#[derive(Debug)]
pub struct Drives {
    paths: Paths,
    losses: Losses,
    first_uid: u32,
    /// Free bytes below which nothing is made or grown.
    floor_bytes: u64,
    /// Held while something of a network's drives changes.
    networks: Mutex<HashMap<PrivateNetworkId, Arc<tokio::sync::Mutex<()>>>>,
    /// Held while a loop device or a user is chosen.
    choosing: tokio::sync::Mutex<()>,
}

impl Drives {
    /// The drives of the installation that `paths` names.
    pub fn new(paths: Paths, settings: &Settings, losses: Losses) -> Self {
        Self {
            paths,
            losses,
            first_uid: settings.first_uid,
            floor_bytes: settings.disk_floor_gib.saturating_mul(GIB),
            networks: Mutex::default(),
            choosing: tokio::sync::Mutex::default(),
        }
    }

    /// A drive's image, and its share in a network.
    pub async fn look(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<DriveSeen> {
        let image = Image::of(&self.paths, id);
        let device = loops::of(&image.file())?;
        let size = image.size(device.map(Loop::node).as_deref())?;
        let Some(size_bytes) = size else { return Ok(DriveSeen::default()) };
        let share = match device {
            Some(device) => self.look_share(id, network, device).await?,
            None => None,
        };
        Ok(DriveSeen { image: Some(DriveImageSeen { size_bytes }), share })
    }

    /// Makes a drive's image, or grows it.
    pub async fn ensure(&self, spec: &DriveSpec) -> Result<()> {
        let _alone = self.alone(&spec.network).await;
        let image = Image::of(&self.paths, &spec.drive);
        let device = loops::of(&image.file())?;
        match image.size(device.map(Loop::node).as_deref())? {
            None => image.make(spec.size_bytes, self.floor_bytes).await,
            Some(there) if there >= spec.size_bytes => Ok(()),
            Some(_) => {
                image.lengthen(spec.size_bytes, self.floor_bytes).await?;
                self.fill(spec, &image).await
            }
        }
    }

    /// Removes a drive's image.
    pub async fn remove(&self, id: &SharedDriveId) -> Result<()> {
        let mut alone = Vec::new();
        for network in self.networks_with(id)? {
            alone.push(self.alone(&network).await);
        }
        let image = Image::of(&self.paths, id);
        self.part(&image).await?;
        // An import that was cut off may have left one more.
        self.part_below(image.folder()).await?;
        image.remove().await
    }

    /// Shares a drive in its network.
    pub async fn ensure_share(&self, spec: &ShareSpec) -> Result<()> {
        conf::require_plain(spec)?;
        let _alone = self.alone(&spec.network).await;
        let act = || format!("share {}", spec.drive);
        let image = Image::of(&self.paths, &spec.drive);
        if !image.file().exists() {
            return Err(Error::lasting(act(), "its image is missing"));
        }
        let server = Server::of(&self.paths, &spec.network);
        if !server.gate.is_there() {
            return Err(Error::passing(act(), format!("its network {} is not there yet", spec.network)));
        }
        let uid = self.prepare(&server).await?;
        server.gate.open(drives_address(spec.cidr)).await?;
        self.mount(&server, &spec.drive, &image).await?;
        self.give(&server.mounted(&spec.drive), uid).await?;
        let process = server.ensure(drives_address(spec.cidr), uid).await?;
        self.losses.watch(process, &Loss::Server(HostNetwork::Private(spec.network.clone())));
        server.ensure_share(spec, uid).await?;
        server.resume().await
    }

    /// Takes a drive's share away.
    pub async fn remove_share(&self, id: &SharedDriveId, network: &PrivateNetworkId) -> Result<()> {
        let _alone = self.alone(network).await;
        let server = Server::of(&self.paths, network);
        if server.remains()? {
            server.resume().await?;
            server.remove_share(id).await?;
            self.unmount(&server, id).await?;
            if server.shares()?.is_empty() {
                self.take_down(&server).await?;
            }
        }
        self.part(&Image::of(&self.paths, id)).await
    }

    /// Takes all drives out of a network that goes. Their images stay.
    pub async fn leave(&self, network: &HostNetwork) -> Result<()> {
        let HostNetwork::Private(network) = network else { return Ok(()) };
        let _alone = self.alone(network).await;
        self.take_down(&Server::of(&self.paths, network)).await
    }

    /// Unmounts and detaches what is left of any drive, and clears away what copies have left: for an
    /// installation that leaves the host. No copy is under way.
    pub async fn part_all(&self) -> Result<()> {
        let folders =
            looked(unless_absent(fs::read_dir(self.paths.drives())))?.into_iter().flatten().flatten();
        for drive in folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok()) {
            self.clear_left(&drive).await?;
        }
        self.part_below(&self.paths.drives()).await
    }

    /// All that this installation has on the host for its drives.
    pub fn look_things(&self) -> Result<Vec<HostThing>> {
        things::look(&self.paths)
    }

    /// What is in the way of drives on this host.
    pub async fn checks() -> Vec<Check> {
        checks::all().await
    }

    async fn look_share(
        &self,
        id: &SharedDriveId,
        network: &PrivateNetworkId,
        device: Loop,
    ) -> Result<Option<ShareSeen>> {
        let server = Server::of(&self.paths, network);
        let Some(share) = server.share(id)? else { return Ok(None) };
        let paused = server.paused()?.is_some_and(|drive| drive == id.as_str());
        if paused || !is_mounted(device, &server.mounted(id))? || !server.gate.is_there() {
            return Ok(None);
        }
        let Some(process) = server.serving().await? else { return Ok(None) };
        self.losses.watch(process, &Loss::Server(HostNetwork::Private(network.clone())));
        Ok(conf::number_in(&share).map(|password_number| ShareSeen { password_number }))
    }

    /// Lets the file system fill its image: as it is used, where the kernel allows that; else its clients are
    /// kept away meanwhile.
    async fn fill(&self, spec: &DriveSpec, image: &Image) -> Result<()> {
        let server = Server::of(&self.paths, &spec.network);
        let device = loops::of(&image.file())?;
        let mounted = match device {
            Some(device) => is_mounted(device, &server.mounted(&spec.drive))?,
            None => false,
        };
        if let Some(device) = device
            && mounted
            && checks::grows_in_use()
        {
            device.renew_size().await?;
            match image.fill(&device.node()).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(drive.id = %spec.drive, %error, "it pauses to grow"),
            }
        }
        // Its clients hold it also while it takes no changes.
        if looked(mounts::at(&server.mounted(&spec.drive)))?.is_none() {
            return self.fill_apart(image).await;
        }
        server.pause(&spec.drive).await?;
        let filled = self.fill_paused(&server, &spec.drive, image).await;
        // The neighbours' clients come back in any case.
        server.resume().await.and(filled)
    }

    async fn fill_paused(&self, server: &Server, drive: &SharedDriveId, image: &Image) -> Result<()> {
        server.end_clients(drive, clients::Which::Mounting).await?;
        self.unmount(server, drive).await?;
        let filled = self.fill_apart(image).await;
        self.mount(server, drive, image).await.and(filled)
    }

    async fn fill_apart(&self, image: &Image) -> Result<()> {
        self.part(image).await?;
        image.check(&image.file(), true).await?;
        image.fill(&image.file()).await
    }

    /// Mounts a drive where its network's server finds it.
    async fn mount(&self, server: &Server, drive: &SharedDriveId, image: &Image) -> Result<()> {
        let at = server.mounted(drive);
        let device = {
            let _alone = self.choosing.lock().await;
            loops::attach(&image.file()).await?
        };
        if is_mounted(device, &at)? {
            return Ok(());
        }
        self.unmount(server, drive).await?;
        // After a crash of the host its journal is replayed here, and what that cannot mend is told.
        image.check(&device.node(), false).await?;
        let (node, place) = (device.node(), at.clone());
        let mounted = apart(move || mounts::mount_drive(&node, &place)).await;
        mounted.map_err(|error| Error::passing(format!("mount {drive} at {}", at.display()), error))?;
        // Users see what is theirs alone; the next check makes it again if it needs it.
        let _ = fs::remove_dir(at.join("lost+found"));
        Ok(())
    }

    async fn unmount(&self, server: &Server, drive: &SharedDriveId) -> Result<()> {
        let at = server.mounted(drive);
        for attempt in 0.. {
            let place = at.clone();
            let Err(error) = apart(move || mounts::unmount(&place)).await else { break };
            if attempt == UNMOUNT_TRIES {
                return Err(Error::passing(format!("unmount {}", at.display()), error));
            }
            if attempt >= UNMOUNT_PATIENCE {
                server.end_holders(&at).await?;
            }
            sleep(UNMOUNT_PAUSE).await;
        }
        let removed = mounts::remove_place(&at);
        removed.map_err(|error| Error::passing(format!("remove {}", at.display()), error))
    }

    /// Ends a network's server, unmounts its drives, and removes its files.
    async fn take_down(&self, server: &Server) -> Result<()> {
        if !server.remains()? {
            return Ok(());
        }
        let mounts = looked(mounts::below(&server.folder.join("drives")))?;
        // A process that writes to a drive that is held still cannot be ended.
        for at in mounts.iter().map(|mount| mount.at.clone()) {
            let act = || format!("let go of {}", at.display());
            let place = at.clone();
            apart(move || frozen::thaw(&place)).await.map_err(|error| Error::passing(act(), error))?;
        }
        server.end().await?;
        for mount in mounts {
            let (at, source) = (mount.at.clone(), mount.source);
            let unmounted = apart(move || mounts::unmount(&mount.at)).await;
            unmounted.map_err(|error| Error::passing(format!("unmount {}", at.display()), error))?;
            for (device, _) in loops::below(&self.paths.drives())? {
                if device.node() == Path::new(&source) {
                    device.detach().await?;
                }
            }
        }
        server.remove().await
    }

    /// The networks in which a drive has a place.
    fn networks_with(&self, id: &SharedDriveId) -> Result<BTreeSet<PrivateNetworkId>> {
        let entries = looked(unless_absent(fs::read_dir(self.paths.run())))?.into_iter().flatten().flatten();
        let networks = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(networks.filter(|network| Server::of(&self.paths, network).mounted(id).exists()).collect())
    }

    /// Takes an image's device from it, and unmounts that wherever it is mounted.
    async fn part(&self, image: &Image) -> Result<()> {
        while let Some(device) = loops::of(&image.file())? {
            part_device(device).await?;
        }
        Ok(())
    }

    /// Takes their devices from all files that are `path` or lie in it.
    async fn part_below(&self, path: &Path) -> Result<()> {
        for (device, _) in loops::below(path)? {
            part_device(device).await?;
        }
        Ok(())
    }

    /// Gives a drive to the user that its server runs as. Its root is the last of it to change hands. What the
    /// server writes everybody may read and write who comes so far, and the network's folder lets nobody else
    /// through: to the server, a file's owner is whichever drive's user it has seen last, for all are one user.
    async fn give(&self, at: &Path, uid: u32) -> Result<()> {
        let failed = |error| Error::passing(format!("give {} to its server", at.display()), error);
        let seen = fs::metadata(at).map_err(failed)?;
        if seen.mode() & 0o777 != 0o777 {
            fs::set_permissions(at, Permissions::from_mode(0o777)).map_err(failed)?;
        }
        if seen.uid() == uid { Ok(()) } else { hand_over(at, uid).await }
    }

    /// Makes a network's folder, for a user that no other network has.
    async fn prepare(&self, server: &Server) -> Result<u32> {
        let act = || format!("choose a user for the drives of {}", server.network);
        let _alone = self.choosing.lock().await;
        let taken = users::of_others(&self.paths.run(), &server.network);
        let taken = taken.map_err(|error| Error::passing(act(), error))?;
        let held = server.uid()?;
        let uid = users::choose(self.first_uid, &server.network, held, &taken);
        let uid = uid.ok_or_else(|| Error::lasting(act(), "all are taken"))?;
        if held.is_some_and(|held| held != uid) {
            self.take_down(server).await?;
        }
        server.prepare(uid)?;
        Ok(uid)
    }

    async fn alone(&self, network: &PrivateNetworkId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
            networks.retain(|_, lock| Arc::strong_count(lock) > 1);
            networks.entry(network.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

/// Gives all files of a drive to a user, whoever has them.
async fn hand_over(at: &Path, uid: u32) -> Result<()> {
    let whose = format!("{uid}:{uid}");
    let run = command::run("chown").args(["-hR", &whose, "--"]).arg(at);
    run.limit(GIVE_MAX).done(format!("give {} to its server", at.display())).await.map(|_| ())
}

async fn part_device(device: Loop) -> Result<()> {
    for mount in looked(mounts::of(&device.node()))? {
        let at = mount.at.clone();
        let unmounted = apart(move || mounts::unmount(&mount.at)).await;
        unmounted.map_err(|error| Error::passing(format!("unmount {}", at.display()), error))?;
    }
    device.detach().await
}

/// Whether a drive is mounted to be used. One that has found an error in itself is not: it is checked, and
/// mounted anew.
fn is_mounted(device: Loop, at: &Path) -> Result<bool> {
    let mount = looked(mounts::at(at))?;
    Ok(mount.is_some_and(|mount| Path::new(&mount.source) == device.node() && !mount.read_only))
}

fn looked<T>(seen: io::Result<T>) -> Result<T> {
    seen.map_err(|error| Error::passing("look at what is mounted", error))
}
