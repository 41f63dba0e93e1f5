//! A drive as the kernel of a real guest mounts it.

use std::time::{Duration, Instant};

use deckle_engine::linux::process::Process;
use deckle_engine::seen::Loss;
use deckle_engine::specs::{DriveSpec, drives_address};

use crate::contract::{Case, GIB};
use crate::linux_contract::host;

/// How long the guest may take to its next words, under translation and with others at work.
const SAID_MAX: Duration = Duration::from_secs(150);
const NOTICED: Duration = Duration::from_secs(5);

/// Copies a file six times, and says how that went. A program that is told of an error tries again: Linux 6.1
/// may tell one of a connection that ended while it was just sending. What was written without one is right.
const SCRIPT: &str = r#"#!/bin/sh
mkdir -p /mnt/drive
mount -t cifs //ADDRESS/DRIVE /mnt/drive -o vers=3.1.1,hard,username=USER,password='PASSWORD',ip=ADDRESS || exit 1
seq 1 2000000 > /root/from
for i in 1 2 3 4 5 6; do
    until cp /root/from /mnt/drive/copy$i && sync; do echo "once more $i"; done
    echo "copied $i"
done
umount /mnt/drive
mount -t cifs //ADDRESS/DRIVE /mnt/drive -o vers=3.1.1,hard,username=USER,password='PASSWORD',ip=ADDRESS || exit 1
echo "same: $(cat /root/from /mnt/drive/copy* | md5sum | cut -c1-32)"
echo "want: $(cat /root/from /root/from /root/from /root/from /root/from /root/from /root/from | md5sum | cut -c1-32)"
echo "KiB of the drive: $(df -kP /mnt/drive | tail -n 1 | awk '{print $2}')"
echo "told all"
"#;

#[tokio::test]
async fn a_hard_mount_goes_on_through_a_growth_and_a_killed_server() {
    let host = host().await;
    let case = Case::new(&host);
    case.share().await;
    case.make().await;
    let share = case.share_spec();
    let script = SCRIPT
        .replace("ADDRESS", &drives_address(share.cidr).to_string())
        .replace("DRIVE", share.drive.as_str())
        .replace("USER", &share.username)
        .replace("PASSWORD", &share.password);
    let mut boot = case.boot_spec(1);
    boot.seed.startup_script.as_mut().unwrap().script = script;
    let engine = case.engine();
    engine.power_on(&boot).await.unwrap();

    hear(&case, "copied 1").await;
    engine.ensure_drive(&DriveSpec { size_bytes: 2 * GIB, ..case.drive_spec(GIB) }).await.unwrap();
    assert!(case.drive_seen().await.share.is_some());
    hear(&case, "copied 3").await;
    let mark = format!("/{}/smb.conf", share.network);
    for process in Process::all(None, &mark).unwrap() {
        process.kill(NOTICED).await.unwrap();
    }
    let lost = tokio::time::timeout(NOTICED, engine.next_loss()).await.unwrap();
    assert_eq!(lost, Loss::Server(case.network.clone()));
    engine.ensure_share(&share).await.unwrap();

    let said = hear(&case, "told all").await;
    let after = |mark: &str| {
        let line = said.lines().find_map(|line| line.split(mark).nth(1)).unwrap_or_else(|| panic!("{said}"));
        line.trim().to_owned()
    };
    assert_eq!(after("same: "), after("want: "), "{said}");
    let kib: u64 = after("KiB of the drive: ").parse().unwrap();
    assert!(kib > (2 * GIB - GIB / 8) >> 10, "{kib} KiB are not 2 GiB less what the file system needs");
    case.clear().await;
}

/// Waits until the guest's console has that text, and answers with all that it has.
async fn hear(case: &Case<'_>, text: &str) -> String {
    let begun = Instant::now();
    loop {
        let chunk = case.engine().read_console(&case.machine, 0, 1 << 20).await.unwrap();
        let said = String::from_utf8_lossy(&chunk.bytes).into_owned();
        if said.contains(text) {
            return said;
        }
        let last: String = said.lines().rev().take(15).collect::<Vec<_>>().join("\n");
        assert!(begun.elapsed() < SAID_MAX, "the guest never says {text:?}, but last first:\n{last}");
        tokio::time::sleep(case.host.look_every).await;
    }
}
