//! What drives leave on the host, and what they show of their secrets.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use deckle_engine::specs::ShareSpec;

use super::world::{DriveWorld, does, said, share_spec};

const PASSWORD: &str = "unmistakable-0123456789";

#[tokio::test]
async fn a_server_is_a_plain_user_without_rights_in_its_own_network() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let share = world.share(&network, "one").await;
    let namespace = fs::metadata(format!("/run/netns/{}", world.world.paths.namespace(&network.network)));
    let namespace = namespace.unwrap().ino();
    let servers = world.servers(&share.network);
    assert!(!servers.is_empty());
    for process in servers {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(value("Uid:").iter().all(|id| id.parse::<u32>().unwrap() >= 3_300_000 + 32_768), "{status}");
        assert!(value("Gid:").iter().all(|id| id.parse::<u32>().unwrap() >= 3_300_000 + 32_768), "{status}");
        assert!(value("Groups:").is_empty(), "{status}");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(value(set), ["0000000000000000"], "{set} of {status}");
        }
        assert_eq!(value("NoNewPrivs:"), ["1"]);
        let inside = fs::metadata(format!("/proc/{}/ns/net", process.pid)).unwrap().ino();
        assert_eq!(inside, namespace);
    }
}

/// Two teams may have networks of the same range.
#[tokio::test]
async fn no_two_networks_have_the_same_user_or_see_each_other_s_folders() {
    let world = DriveWorld::new().await;
    let (a, b) = (world.network("a", "10.64.8.0/24").await, world.network("b", "10.64.8.0/24").await);
    let (one, two) = (world.share(&a, "one").await, world.share(&b, "two").await);
    let three = world.share(&b, "three").await;
    let user = |share: &ShareSpec| {
        let server = &world.servers(&share.network)[0];
        let user = fs::metadata(format!("/proc/{}", server.pid)).unwrap().uid();
        assert_eq!(fs::metadata(world.mounted(share)).unwrap().uid(), user);
        user
    };
    let (of_a, of_b) = (user(&one), user(&two));
    assert_ne!(of_a, of_b);
    let run = world.world.paths.run();
    let seen = |share: &ShareSpec, folder: &Path| {
        let server = world.servers(&share.network)[0].pid.to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &server, "-m", "ls"]).arg(folder);
        said(command)
    };
    assert_eq!((seen(&one, &run).as_str(), seen(&two, &run).as_str()), ("na\n", "nb\n"));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let folder = format!(" {} ", run.join("na").display());
    let memory = mounts.lines().find(|line| line.contains(&folder)).unwrap();
    assert!(memory.contains("noswap") || old_kernel(), "{memory}");
    assert_eq!(seen(&two, &run.join("nb/drives")), "sdthree\nsdtwo\n");

    let guest = world.guest(&b, 9).await;
    does(&guest, &two, "mkdir kept");
    let folder = world.world.paths.served(&two.network);
    // One of another start of the host, which another network has now.
    std::os::unix::fs::chown(&folder, None, Some(of_a)).unwrap();
    for share in [&two, &three, &one] {
        world.drives.ensure_share(share).await.unwrap();
    }
    assert_eq!((user(&one), user(&two), user(&three)), (of_a, of_b, of_b));
    let kept = world.mounted(&two).join("kept");
    std::os::unix::fs::lchown(&kept, Some(of_a), Some(of_a)).unwrap();
    std::os::unix::fs::lchown(world.mounted(&two), Some(of_a), Some(of_a)).unwrap();
    world.drives.ensure_share(&two).await.unwrap();
    assert_eq!((user(&two), fs::metadata(kept).unwrap().uid()), (of_b, of_b));
    assert!(does(&guest, &two, "ls").contains("kept"));
}

/// Before 6.4 what is in memory may be swapped out.
fn old_kernel() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) < (Some(6), Some(4))
}

#[tokio::test]
async fn nothing_is_left_of_a_removed_drive() {
    let accounts = || fs::read(Path::new("/etc/passwd")).unwrap();
    let before = accounts();
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let (one, two) = (world.share(&network, "one").await, world.share(&network, "two").await);
    let things = world.drives.look_things().unwrap();
    for (kind, of) in [
        ("file", "sdone"),
        ("loop", "sdone"),
        ("mount", "sdone"),
        ("file", "sdtwo"),
        ("mount", "na"),
        ("process", "na"),
    ] {
        assert!(
            things.iter().any(|thing| thing.kind == kind && thing.of == of),
            "{kind} of {of}: {things:?}"
        );
    }
    world.remove(&one).await;
    let things = world.drives.look_things().unwrap();
    assert!(!things.iter().any(|thing| thing.of == "sdone"), "{things:?}");
    assert_eq!(world.shared(&two).await, Some(1));
    for _ in 0..2 {
        world.remove(&two).await;
    }
    assert_eq!(world.drives.look_things().unwrap(), []);
    assert!(!world.world.paths.run().exists());
    let inside = crate::net::world::said(
        "ip",
        &["-n", &world.world.paths.namespace(&network.network), "-4", "address", "show", "dev", "br0"],
    );
    assert!(!inside.contains("10.64.8.2"), "{inside}");
    let tag = world.world.paths.run().display().to_string();
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&tag));
    assert_eq!(accounts(), before, "the host has other accounts than before");
}

#[tokio::test]
async fn a_password_stands_nowhere() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    world.share(&network, "one").await;
    let seen = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(AtomicBool::new(false));
    let watching = {
        let (seen, ended) = (seen.clone(), ended.clone());
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                if command_lines().any(|line| line.contains(PASSWORD)) {
                    seen.store(true, Ordering::Relaxed);
                }
            }
        })
    };
    let secret = share_spec(&network, "one", PASSWORD, 2);
    world.drives.ensure_share(&secret).await.unwrap();
    ended.store(true, Ordering::Relaxed);
    watching.join().unwrap();
    assert!(!seen.load(Ordering::Relaxed), "a command line had the password");
    let served = world.world.paths.served(&secret.network);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&served), mode(&served.join("smbd"))), (0o710, 0o700));
    let guest = world.guest(&network, 9).await;
    assert!(does(&guest, &secret, "ls").contains("blocks available"));
    for file in files(&served).into_iter().filter(|file| !file.starts_with(served.join("drives"))) {
        let text = fs::read(&file).unwrap_or_default();
        let has = text.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!has, "{} has the password", file.display());
    }
}

fn command_lines() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).into_owned())
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file() {
            found.push(path);
        }
    }
    found
}
