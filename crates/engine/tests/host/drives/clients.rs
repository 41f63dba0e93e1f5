//! What a client may do, and what it may not.

use std::fs::{self, File};

use deckle_engine::specs::ShareSpec;
use nix::fcntl::{FallocateFlags, fallocate};

use super::world::{
    DriveWorld, MIB, PIECE, Writing, address, arrives, client, client_as, does, drive_spec, fetched, file,
    said, share_spec,
};
use crate::net::world::{NEVER, SOON, ip, reaches};

#[tokio::test]
async fn the_right_password_opens_its_own_share_and_nothing_else_does() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let (one, two) = (world.share(&network, "one").await, world.share(&network, "two").await);
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", 3 * MIB + 5);
    does(&guest, &one, &format!("put {} kept", from.display()));
    assert!(fetched(&guest, &one, "kept", folder.path()) == text);

    let refused = |who| said(client_as(&guest, &one, who, &["-c", "ls"]));
    assert!(refused(("sdone", "wrong")).contains("NT_STATUS_LOGON_FAILURE"));
    assert!(refused(("sdtwo", "first")).contains("NT_STATUS_ACCESS_DENIED"), "another drive's user");
    assert!(refused(("root", "")).contains("NT_STATUS_LOGON_FAILURE"));
    let nobody = said(client(&guest, &one, &["-N", "-U", "%", "-c", "ls"]));
    assert!(nobody.contains("NT_STATUS_ACCESS_DENIED"), "{nobody}");
    assert!(!does(&guest, &two, "ls").contains("kept"));
}

/// To their host, the users of both drives are one.
#[tokio::test]
async fn two_drives_of_a_network_do_not_keep_each_other_s_users_out() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let shares = [world.share(&network, "one").await, world.share(&network, "two").await];
    let folder = tempfile::tempdir().unwrap();
    let (from, text) = file(folder.path(), "from", MIB);
    for round in 0..3 {
        for share in &shares {
            let put = format!("put {}", from.display());
            let made =
                format!("{put} kept; mkdir folder{round}; cd folder{round}; {put} new; rename new old");
            let said = does(&guest, share, &made);
            assert!(!said.contains("NT_STATUS"), "round {round}, {}: {said}", share.drive);
            let said = does(
                &guest,
                share,
                "rename kept moved; setmode moved +r; setmode moved -r; rename moved kept",
            );
            assert!(!said.contains("NT_STATUS"), "round {round}, {}: {said}", share.drive);
            assert!(fetched(&guest, share, "kept", folder.path()) == text);
        }
    }
    for share in &shares {
        let said = does(&guest, share, "cd folder0; del old; cd ..; rmdir folder0; del kept");
        assert!(!said.contains("NT_STATUS"), "{}: {said}", share.drive);
    }
}

#[tokio::test]
async fn older_dialects_are_refused() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    for dialect in ["NT1", "SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02"] {
        let most = format!("--option=client max protocol={dialect}");
        let said = said(client(&guest, &share, &[&most, "-c", "ls"]));
        assert!(said.contains("protocol negotiation failed"), "{dialect}: {said}");
    }
    assert!(does(&guest, &share, "ls").contains("blocks available"));
}

#[tokio::test]
async fn a_full_drive_says_so_and_keeps_what_was_written() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let folder = tempfile::tempdir().unwrap();
    let (small, text) = file(folder.path(), "small", 2 * MIB);
    does(&guest, &share, &format!("put {} before", small.display()));
    // What other clients have written, without the time that it takes them.
    let whole = nix::sys::statvfs::statvfs(&world.mounted(&share)).unwrap();
    assert_eq!(whole.blocks_free() - whole.blocks_available(), reserved(&world, &share), "nothing for root");
    let most = (whole.blocks_available() * whole.fragment_size()) as i64 - (8 * MIB) as i64;
    let ballast = File::create(world.mounted(&share).join("ballast")).unwrap();
    fallocate(&ballast, FallocateFlags::empty(), 0, most).unwrap();

    let (large, _) = file(folder.path(), "large", 40 * MIB);
    let told = does(&guest, &share, &format!("put {} after", large.display()));
    assert!(told.contains("NT_STATUS_DISK_FULL"), "{told}");
    assert!(fetched(&guest, &share, "before", folder.path()) == text);
    let free = available(&does(&guest, &share, "ls"));
    let left = nix::sys::statvfs::statvfs(&world.mounted(&share)).unwrap();
    assert_eq!(free.1, left.blocks_available() * left.fragment_size(), "what a guest's df says is free");
    assert_eq!(free.0, left.blocks() * left.fragment_size(), "what a guest's df says is there");
    drop(ballast);
    fs::remove_file(world.mounted(&share).join("ballast")).unwrap();
    does(&guest, &share, &format!("put {} after", large.display()));
    assert!(fetched(&guest, &share, "after", folder.path()) == fs::read(large).unwrap());
}

/// What ext4 keeps for itself of what is free, in blocks: the kernel tells it.
fn reserved(world: &DriveWorld, share: &ShareSpec) -> u64 {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let place = format!(" {} ", world.mounted(share).display());
    let device = mounts.lines().find(|line| line.contains(&place)).unwrap().split(' ').next().unwrap();
    let name = device.trim_start_matches("/dev/");
    let kept = fs::read_to_string(format!("/sys/fs/ext4/{name}/reserved_clusters")).unwrap();
    kept.trim().parse().unwrap()
}

/// The size of a share and what is free of it, in bytes: `N blocks of size B. M blocks available`.
fn available(said: &str) -> (u64, u64) {
    let numbers: Vec<u64> = said
        .lines()
        .find(|line| line.contains("blocks available"))
        .unwrap_or_else(|| panic!("{said}"))
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0] * numbers[1], numbers[2] * numbers[1])
}

#[tokio::test]
async fn a_neighbour_writes_on_while_drives_come_change_and_go() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let (guest, other) = (world.guest(&network, 9).await, world.guest(&network, 10).await);
    let neighbour = world.share(&network, "one").await;
    let mut writing = Writing::begin(&guest, &neighbour, "long");
    writing.go_on();
    arrives(&world.mounted(&neighbour).join("long"));

    let share = world.share(&network, "two").await;
    writing.go_on();
    assert!(does(&other, &share, "mkdir a; ls").contains("  a "));
    let renewed = share_spec(&network, "two", "second", 2);
    world.drives.ensure_share(&renewed).await.unwrap();
    writing.go_on();
    assert!(does(&other, &share, "ls").contains("NT_STATUS_LOGON_FAILURE"), "the old password");
    assert!(does(&other, &renewed, "ls").contains("  a "));
    world.drives.ensure(&drive_spec(&renewed, 2 << 30)).await.unwrap();
    writing.go_on();
    world.remove(&renewed).await;
    writing.go_on();
    assert!(!does(&other, &renewed, "ls").contains("blocks available"));

    let folder = tempfile::tempdir().unwrap();
    let given = writing.end();
    assert_eq!(given.len(), 5 * PIECE);
    assert!(fetched(&guest, &neighbour, "long", folder.path()) == given);
}

#[tokio::test]
async fn who_came_in_with_an_old_password_is_sent_away() {
    let world = DriveWorld::new().await;
    let network = world.network("a", "10.64.8.0/24").await;
    let guest = world.guest(&network, 9).await;
    let share = world.share(&network, "one").await;
    let mut inside = client(&guest, &share, &[]);
    inside.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut inside = inside.spawn().unwrap();
    let mut words = inside.stdin.take().unwrap();
    std::io::Write::write_all(&mut words, b"mkdir before\n").unwrap();
    let begun = std::time::Instant::now();
    while !world.mounted(&share).join("before").exists() {
        assert!(begun.elapsed() < SOON);
        std::thread::yield_now();
    }
    world.drives.ensure_share(&share_spec(&network, "one", "second", 2)).await.unwrap();
    // The client may find its connection closed before it has read this.
    let _ = std::io::Write::write_all(&mut words, b"mkdir after\n");
    drop(words);
    inside.wait_with_output().unwrap();
    assert!(!world.mounted(&share).join("after").exists());
}

#[tokio::test]
async fn a_drive_is_reached_from_its_own_network_alone() {
    let world = DriveWorld::new().await;
    let here = world.network("a", "10.64.8.0/24").await;
    let there = world.network("b", "10.64.16.0/24").await;
    let same = world.network("c", "10.64.8.0/24").await;
    let share = world.share(&here, "one").await;
    let port = deckle_engine::linux::net::PORT;
    let guest = world.guest(&here, 9).await;
    assert!(reaches(&guest.namespace, address(&share), port, SOON));
    for (network, last) in [(&there, 9), (&same, 9)] {
        let guest = world.guest(network, last).await;
        assert!(!reaches(&guest.namespace, address(&share), port, NEVER), "from {}", network.network);
    }
    // Even where the host led the packets to the network, they would not pass.
    let uplink = world.world.paths.uplink(&here.network);
    let via = inner(world.world.uplink(&here.network));
    ip(&format!("route add {}/32 via {via} dev {uplink}", address(&share)));
    let target = std::net::SocketAddr::from((address(&share), port));
    assert!(std::net::TcpStream::connect_timeout(&target, NEVER).is_err(), "from the host");
    ip(&format!("route delete {}/32 dev {uplink}", address(&share)));
}

/// The other address of a /31.
fn inner(outer: std::net::Ipv4Addr) -> std::net::Ipv4Addr {
    (u32::from(outer) ^ 1).into()
}
