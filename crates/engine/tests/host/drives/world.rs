//! An installation with drives.

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use deckle_api::ids::{PrivateNetworkId, SharedDriveId};
use deckle_engine::linux::drives::Drives;
use deckle_engine::linux::losses::Losses;
use deckle_engine::linux::process::Process;
use deckle_engine::seen::{DriveSeen, ShareSeen};
use deckle_engine::specs::{DriveSpec, HostNetwork, NetworkSpec, ShareSpec, drives_address};

use crate::net::guest::Guest;
use crate::net::world::{World, nic};

pub const GIB: u64 = 1 << 30;
pub const MIB: usize = 1 << 20;
pub const PIECE: usize = 8 * MIB;

/// Networks, drives in them, and guests.
pub struct DriveWorld {
    pub drives: Drives,
    pub losses: Losses,
    pub world: World,
}

impl DriveWorld {
    pub async fn new() -> Self {
        let world = World::without_outside(|settings| {
            settings.first_uid = 3_300_000;
            settings.disk_floor_gib = 0;
        });
        let (world, losses) = (world.await, Losses::default());
        Self { drives: Drives::new(world.paths.clone(), &world.settings, losses.clone()), losses, world }
    }

    /// As after a new start of the server.
    pub fn restart(&mut self) {
        self.losses = Losses::default();
        self.drives = Drives::new(self.world.paths.clone(), &self.world.settings, self.losses.clone());
    }

    pub async fn network(&self, name: &str, cidr: &str) -> NetworkSpec {
        self.world.network(name, cidr).await
    }

    pub async fn guest(&self, network: &NetworkSpec, last: u8) -> Guest {
        let name = format!("g{last}{}", network.network);
        Guest::ready(&self.world, network, nic(network, &name, last)).await
    }

    /// Makes the drive `sd<name>` of 1 GiB, and shares it.
    pub async fn share(&self, network: &NetworkSpec, name: &str) -> ShareSpec {
        let spec = share_spec(network, name, "first", 1);
        self.drives.ensure(&drive_spec(&spec, GIB)).await.unwrap();
        self.drives.ensure_share(&spec).await.unwrap();
        spec
    }

    pub async fn look(&self, spec: &ShareSpec) -> DriveSeen {
        self.drives.look(&spec.drive, &spec.network).await.unwrap()
    }

    /// The number of the password that a drive is shared with.
    pub async fn shared(&self, spec: &ShareSpec) -> Option<u64> {
        self.look(spec).await.share.map(|ShareSeen { password_number }| password_number)
    }

    /// Removes a drive, its share before.
    pub async fn remove(&self, spec: &ShareSpec) {
        self.drives.remove_share(&spec.drive, &spec.network).await.unwrap();
        self.drives.remove(&spec.drive).await.unwrap();
    }

    /// Where a drive is mounted.
    pub fn mounted(&self, spec: &ShareSpec) -> PathBuf {
        self.world.paths.served(&spec.network).join("drives").join(spec.drive.as_str())
    }

    pub fn image(&self, spec: &ShareSpec) -> PathBuf {
        self.world.paths.drive(&spec.drive).join("image.ext4")
    }

    /// The processes of a network's server, the first of them first.
    pub fn servers(&self, network: &PrivateNetworkId) -> Vec<Process> {
        let mark = format!("--configfile={}/", self.world.paths.served(network).display());
        let mut found = Process::all(None, &mark).unwrap();
        let first = fs::read_to_string(self.world.paths.served(network).join("smbd/pid/smbd.pid"));
        let first: Option<u32> = first.ok().and_then(|text| text.trim().parse().ok());
        found.sort_by_key(|process| (Some(process.pid) != first, process.pid));
        found
    }
}

impl Drop for DriveWorld {
    /// Takes everything down, also after a failed test.
    fn drop(&mut self) {
        let drives = Drives::new(self.world.paths.clone(), &self.world.settings, Losses::default());
        let run = self.world.paths.run();
        let sweep = async move {
            for entry in fs::read_dir(run).into_iter().flatten().flatten() {
                let network: Option<PrivateNetworkId> = entry.file_name().to_string_lossy().parse().ok();
                if let Some(network) = network {
                    let _ = drives.leave(&HostNetwork::Private(network)).await;
                }
            }
            let _ = drives.part_all().await;
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = thread::spawn(move || runtime.block_on(sweep)).join();
    }
}

pub fn share_spec(network: &NetworkSpec, name: &str, password: &str, password_number: u64) -> ShareSpec {
    let HostNetwork::Private(id) = &network.network else { panic!("drives are in private networks") };
    let drive: SharedDriveId = format!("sd{name}").parse().unwrap();
    ShareSpec {
        network: id.clone(),
        cidr: network.cidr,
        username: drive.to_string(),
        drive,
        password: password.to_owned(),
        password_number,
    }
}

pub fn drive_spec(spec: &ShareSpec, size_bytes: u64) -> DriveSpec {
    DriveSpec { drive: spec.drive.clone(), network: spec.network.clone(), size_bytes }
}

pub fn address(spec: &ShareSpec) -> Ipv4Addr {
    drives_address(spec.cidr)
}

/// A client of a share in a guest, with what it is told on its command line.
pub fn client(guest: &Guest, spec: &ShareSpec, words: &[&str]) -> Command {
    client_as(guest, spec, (&spec.username, &spec.password), words)
}

pub fn client_as(guest: &Guest, spec: &ShareSpec, who: (&str, &str), words: &[&str]) -> Command {
    client_in(&guest.namespace, spec, who, words)
}

pub fn client_in(namespace: &str, spec: &ShareSpec, who: (&str, &str), words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg("smbclient");
    command.args(["--configfile=/dev/null", "--timeout=30", "--option=client min protocol=NT1"]);
    command.arg(format!("//{}/{}", address(spec), spec.drive));
    command.arg("-U").arg(format!("{}%{}", who.0, who.1)).args(words);
    command
}

/// What a client says that does `what`.
pub fn does(guest: &Guest, spec: &ShareSpec, what: &str) -> String {
    said(client(guest, spec, &["-c", what]))
}

pub fn said(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What lies under a name in a share.
pub fn fetched(guest: &Guest, spec: &ShareSpec, name: &str, folder: &Path) -> Vec<u8> {
    let to = folder.join("fetched");
    let _ = fs::remove_file(&to);
    let said = does(guest, spec, &format!("get {name} {}", to.display()));
    fs::read(&to).unwrap_or_else(|_| panic!("{said}"))
}

/// A file of so many bytes that differ.
pub fn file(folder: &Path, name: &str, bytes: usize) -> (PathBuf, Vec<u8>) {
    let text: Vec<u8> = (0..bytes).map(|at| (at / 7 + at / 4096) as u8).collect();
    let file = folder.join(name);
    fs::write(&file, &text).unwrap();
    (file, text)
}

/// A client that is in the middle of writing a file: it writes what it is given.
pub struct Writing {
    client: Child,
    given: Vec<u8>,
}

impl Writing {
    pub fn begin(guest: &Guest, spec: &ShareSpec, name: &str) -> Self {
        let mut command = client(guest, spec, &["-c", &format!("put - {name}")]);
        // One piece on its way at a time.
        command.args(["-b", "65536"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { client: command.spawn().unwrap(), given: Vec::new() }
    }

    /// Gives it a piece: as much as it gathers before it sends anything.
    pub fn go_on(&mut self) {
        let piece: Vec<u8> = (0..PIECE).map(|at| (at / 5 + self.given.len() / 3) as u8).collect();
        if let Err(error) = self.client.stdin.as_mut().unwrap().write_all(&piece) {
            let mut said = String::new();
            let _ = std::io::Read::read_to_string(self.client.stderr.as_mut().unwrap(), &mut said);
            panic!("{error}: {said}");
        }
        self.given.extend(piece);
    }

    /// All that it was given, once it has written it and ended well.
    pub fn end(mut self) -> Vec<u8> {
        drop(self.client.stdin.take());
        let output = self.client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.given
    }
}

/// Waits until a file of a share has something in it.
pub fn arrives(file: &Path) {
    let begun = std::time::Instant::now();
    while !fs::metadata(file).is_ok_and(|seen| seen.len() > 0) {
        assert!(begun.elapsed() < crate::net::world::SOON, "{} stays empty", file.display());
        thread::yield_now();
    }
}
