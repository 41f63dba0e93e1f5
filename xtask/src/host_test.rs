//! The tests on this host: the Linux engine alone, and then the whole product on it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::ci::{cargo, timed};

const ENGINE: &[&str] =
    &["test", "--locked", "--package", "deckle-engine", "--features", "host-tests", "--test", "host"];
const PRODUCT: &[&str] =
    &["test", "--locked", "--package", "deckle", "--features", "host-tests", "--test", "host"];

/// The images that the tests boot: the variable that names one, and what makes it.
const IMAGES: [(&str, &str); 2] = [
    ("DECKLE_SMALL_GUEST", "bash images/small/build.sh build/small.qcow2"),
    ("DECKLE_DEBIAN_TEMPLATE", "bash images/debian-12/build.sh build/debian-12.qcow2"),
];
/// What the tests start, besides what the engine's own doctor looks for.
const PROGRAMS: [&str; 12] = [
    "qemu-system-x86_64",
    "qemu-img",
    "ip",
    "nft",
    "dnsmasq",
    "smbd",
    "smbclient",
    "ssh",
    "ssh-keygen",
    "curl",
    "ping",
    "perl",
];

pub fn run(root: &Path) -> Result<()> {
    check_root()?;
    check_programs(&PROGRAMS)?;
    for (variable, maker) in IMAGES {
        image(variable, maker)?;
    }
    timed("host tests of the engine", || cargo(root, ENGINE))?;
    timed("host tests of the product", || cargo(root, PRODUCT))
}

/// Fails without root: namespaces and guests' users need it.
pub fn check_root() -> Result<()> {
    let ours = std::fs::metadata("/proc/self").context("ask who runs this")?;
    ensure!(ours.uid() == 0, "this needs root: run it again with sudo");
    Ok(())
}

/// Fails when a program is not in the search path.
pub fn check_programs(programs: &[&str]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Where root's programs lie, also when the search path is a plain user's.
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let missing: Vec<_> =
        programs.iter().filter(|name| !folders.iter().any(|folder| folder.join(name).is_file())).collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => bail!("these programs are missing: {missing:?}; run `bash scripts/install-test.sh`"),
    }
}

/// The image that a variable names.
pub fn image(variable: &str, maker: &str) -> Result<PathBuf> {
    let cure = || format!("run `{maker}` and set {variable} to the absolute path of what it made");
    let named = std::env::var_os(variable).with_context(|| format!("{variable} is not set: {}", cure()))?;
    let image = PathBuf::from(named);
    ensure!(
        image.is_absolute(),
        "{variable} is no absolute path, and tests run in other folders: {}",
        cure()
    );
    ensure!(image.is_file(), "{variable} names {}, which is not there: {}", image.display(), cure());
    Ok(image)
}
