//! A guest that is started under KVM to see whether its kernel comes up.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::group;
use crate::linux::command::{self, Failure, Run};
use crate::linux::disk::{absent_ok, qemu_img};
use crate::linux::folder::{create_for, open_to_pass};
use crate::linux::process::Process;
use crate::linux::vm::{QEMU, SANDBOX};
use crate::seen::Acceleration;

/// A kernel that runs says so within seconds; one that spins never does.
const RUNS_WITHIN: Duration = Duration::from_secs(20);
const DIES_WITHIN: Duration = Duration::from_secs(20);
const COPY_MAX: Duration = Duration::from_secs(60);

/// What a kernel prints at the end of its own start, with a root disk or without one; or what the first
/// programs print.
const IT_RAN: [&str; 6] =
    ["as init process", "Unable to mount root fs", "systemd[1]: ", "Welcome to ", " login:", "deckle: "];

/// Something with a kernel in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guest {
    /// A kernel's file; it ends by itself for want of a root disk.
    Kernel(PathBuf),
    /// A template's image.
    Disk(PathBuf),
}

/// Why a guest did not run.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Its folder could not be made or read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A program could not be started.
    #[error(transparent)]
    Program(#[from] Failure),
    /// QEMU ended before the kernel was up.
    #[error("it ended: {0}")]
    Ended(String),
    /// Nothing came in all the time: the one trouble that is KVM's own.
    #[error("its kernel did not come up within {RUNS_WITHIN:?}")]
    Spins,
}

/// Starts the guest in a folder of its own, which is root's: QEMU gets the files in it that it writes.
/// Nothing of it is left.
pub async fn run(folder: &Path, guest: &Guest, uid: u32) -> Result<(), Trouble> {
    let tried = try_in(folder, guest, uid).await;
    if let Err(error) = absent_ok(fs::remove_dir_all(folder)) {
        tracing::warn!(%error, "the probe's folder cannot be removed");
    }
    tried
}

async fn try_in(folder: &Path, guest: &Guest, uid: u32) -> Result<(), Trouble> {
    absent_ok(fs::remove_dir_all(folder))?;
    open_to_pass(folder.parent().unwrap_or(folder), folder)?;
    let (log, words) = (folder.join("serial.log"), folder.join("qemu.log"));
    create_for(&log, 0o600, (uid, uid))?;
    let started = start(folder, guest, uid).await?.launch(File::create(&words)?, &[]);
    let mut child = started?;
    let process = child.id().map(Process::of_pid).transpose()?.flatten();
    let ran = tokio::select! {
        () = says_that_it_ran(&log) => Ok(()),
        _ = child.wait() => ended(&log, &words),
        () = sleep(RUNS_WITHIN) => Err(Trouble::Spins),
    };
    if let Some(process) = process {
        process.kill(DIES_WITHIN).await?;
    }
    ran
}

/// A bare machine: a processor, memory, a serial port, and the guest.
async fn start(folder: &Path, guest: &Guest, uid: u32) -> Result<Run, Trouble> {
    let serial = format!("file:{}", folder.join("serial.log").display());
    let gid = group(&Acceleration::Kvm, uid);
    let run = command::run(QEMU)
        .args(["-accel", "kvm", "-cpu", "host", "-machine", "q35", "-m", "512M", "-no-reboot"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-sandbox", SANDBOX])
        .args(["-serial", &serial])
        .as_user(uid, gid);
    Ok(match guest {
        Guest::Kernel(kernel) => {
            let copy = folder.join("kernel");
            fs::copy(kernel, &copy)?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o644))?;
            run.arg("-kernel").arg(copy).args(["-append", "console=ttyS0 panic=-1"])
        }
        Guest::Disk(image) => {
            let disk = folder.join("disk.qcow2");
            let create =
                qemu_img::trusted(COPY_MAX).args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]);
            create.args([image, &disk]).output().await?;
            chown(&disk, Some(uid), Some(uid))?;
            let drive = serde_json::json!({ "driver": "qcow2", "node-name": "disk",
                "file": { "driver": "file", "filename": disk } });
            run.args(["-blockdev", &drive.to_string(), "-device", "virtio-blk-pci,drive=disk"])
        }
    })
}

async fn says_that_it_ran(log: &Path) {
    const EVERY: Duration = Duration::from_millis(100);
    while !ran(log) {
        sleep(EVERY).await;
    }
}

fn ended(log: &Path, words: &Path) -> Result<(), Trouble> {
    if ran(log) {
        return Ok(());
    }
    let said = fs::read_to_string(words).unwrap_or_default();
    Err(Trouble::Ended(said.lines().last().unwrap_or("without a word").to_owned()))
}

fn ran(log: &Path) -> bool {
    const READ_MAX: u64 = 1 << 20;
    let mut said = Vec::new();
    // A log that is not there yet says nothing.
    let _ = File::open(log).and_then(|file| file.take(READ_MAX).read_to_end(&mut said));
    let said = String::from_utf8_lossy(&said);
    IT_RAN.iter().any(|line| said.contains(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_and_a_kernel_s_first_words_prove_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("serial.log");
        let says = |text: &str| fs::write(&log, text).map(|()| ran(&log)).unwrap();
        assert!(!ran(&log));
        assert!(!says("SeaBIOS (version 1.16.2)\nBooting from Hard Disk...\nISOLINUX\n"));
        assert!(!says("[    0.000000] Linux version 6.1.0\n[    0.000000] BIOS-e820: usable\n"));
        assert!(says("[    1.9] Run /init as init process\n"));
        assert!(says("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"));
    }
}
