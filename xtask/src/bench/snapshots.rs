//! Snapshots of large disks by the Linux engine, against the same by hand on the same file.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures::{Figure, Report, Samples};
use super::mapped::{self, LAYOUT, Order, PLAIN};
use super::options::Options;
use crate::ci::cargo;
use crate::host_test::{check_programs, check_root};

const BUILD: &[&str] = &[
    "build",
    "--quiet",
    "--locked",
    "--package",
    "deckle-engine",
    "--features",
    "host-tests",
    "--example",
    "snapshots",
];
/// GiB, every one of them mapped.
const SIZES: [u64; 3] = [1, 20, 100];

/// What each act took, a time a round.
type Times = Vec<(String, Vec<Duration>)>;

pub fn measure(root: &Path, options: &Options, report: &mut Report) -> Result<()> {
    if let Err(error) = check_root().and_then(|()| check_programs(&["qemu-system-x86_64", "qemu-img", "as"]))
    {
        ensure!(options.only.is_none(), error);
        report.leave_out(format!("snapshots on the Linux engine: {error:#}"));
        return Ok(());
    }
    cargo(root, BUILD)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let example = target.join("debug/examples/snapshots");
    let folder = tempfile::Builder::new().prefix("deckle-bench-").tempdir_in("/var/tmp")?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    for gib in SIZES {
        for order in [Order::Sequential, Order::Random] {
            let file = folder.path().join("disk.qcow2");
            mapped::make(&file, gib, LAYOUT, order)?;
            let bare = by_hand(&file, options.rounds)?;
            let ours = by_the_engine(&example, &file, gib, options.rounds)?;
            report.add(figures(gib, order, &ours, &bare)?);
            mapped::make(&file, gib, PLAIN, order)?;
            let plain = Bare::start(&file, false)?.pause_once()?;
            report.add([beside_plain(gib, order, &ours, plain)?]);
            eprintln!("bench: snapshots of {gib} GiB, {order:?}: done");
        }
    }
    Ok(())
}

/// How long the disk of a running machine takes no writes.
const PAUSE: &str = "pause";

fn figures(gib: u64, order: Order, ours: &Times, bare: &Times) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (act, times) in ours {
        let figure = Figure::new(what(gib, order, act), median(times), "ms");
        let by_hand = bare.iter().find(|(name, _)| name == act);
        figures.push(match by_hand {
            Some((_, by_hand)) => figure.beside("by hand", median(by_hand)),
            None => figure,
        });
    }
    Ok(figures)
}

/// The pause, against that of a disk as `qemu-img` makes it when it is not told.
fn beside_plain(gib: u64, order: Order, ours: &Times, plain: Duration) -> Result<Figure> {
    let (_, ours) = ours.iter().find(|(name, _)| name == PAUSE).context("no pause was measured")?;
    let figure = Figure::new(what(gib, order, PAUSE), median(ours), "ms");
    Ok(figure.beside("with qemu-img's own layout and caches", median(&[plain])))
}

fn what(gib: u64, order: Order, act: &str) -> String {
    let order = match order {
        Order::Sequential => "in order",
        Order::Random => "in none",
    };
    format!("{gib} GiB, {order}: {act}")
}

fn median(times: &[Duration]) -> f64 {
    Samples::of(times.to_vec()).ms(0.5)
}

/// The engine's own calls, in a process of their own.
fn by_the_engine(example: &Path, file: &Path, gib: u64, rounds: usize) -> Result<Times> {
    let output = Command::new(example)
        .arg(file)
        .args([gib.to_string(), rounds.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", example.display()))?;
    ensure!(output.status.success(), "{} failed", example.display());
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let said = said.as_object().context("the example says no object")?;
    let time = |ms: &Value| Duration::from_secs_f64(ms.as_f64().unwrap_or_default() / 1000.0);
    let times = |ms: &Value| ms.as_array().into_iter().flatten().map(time).collect();
    Ok(said.iter().map(|(act, ms)| (act.clone(), times(ms))).collect())
}

/// The same with a QEMU that nobody looks after, and with `qemu-img`.
fn by_hand(file: &Path, rounds: usize) -> Result<Times> {
    let (mut taken, mut removed, mut restored) = (Vec::new(), Vec::new(), Vec::new());
    let mut qemu = Bare::start(file, true)?;
    for round in 0..rounds {
        let told = json!({ "device": "disk", "name": format!("by-hand-{round}") });
        taken.push(qemu.timed("blockdev-snapshot-internal-sync", &told)?);
        removed.push(qemu.timed("blockdev-snapshot-delete-internal-sync", &told)?);
    }
    qemu.end()?;
    qemu_img(file, "-c")?;
    for _ in 0..rounds {
        restored.push(qemu_img(file, "-a")?);
    }
    qemu_img(file, "-d")?;
    let times = [(PAUSE, taken), ("removed while on", removed), ("restored", restored)];
    Ok(times.map(|(act, times)| (act.to_owned(), times)).to_vec())
}

fn qemu_img(file: &Path, act: &str) -> Result<Duration> {
    let source = format!("driver=qcow2,refcount-cache-size=8388608,file.filename={}", file.display());
    let begun = Instant::now();
    let done = Command::new("qemu-img")
        .args(["snapshot", "-q", act, "by-hand", "--image-opts", &source])
        .status()
        .context("start qemu-img")?;
    ensure!(done.success(), "qemu-img snapshot {act} failed");
    Ok(begun.elapsed())
}

/// A QEMU with one disk and no guest.
struct Bare {
    qemu: Child,
    said: BufReader<UnixStream>,
}

impl Bare {
    fn start(file: &Path, cached: bool) -> Result<Self> {
        let socket = file.with_extension("sock");
        let _ = std::fs::remove_file(&socket);
        let mut disk = json!({ "node-name": "disk", "driver": "qcow2",
            "file": { "driver": "file", "filename": file } });
        if cached {
            disk["refcount-cache-size"] = json!(8 << 20);
        }
        let qemu = Command::new("qemu-system-x86_64")
            .args(["-nodefaults", "-display", "none", "-S", "-m", "64", "-blockdev", &disk.to_string()])
            .args(["-device", "virtio-blk-pci,drive=disk"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())])
            .stdin(Stdio::null())
            .spawn()
            .context("start a bare QEMU")?;
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => ensure!(begun.elapsed() < Duration::from_secs(20), "no QEMU: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        let mut bare = Self { qemu, said: BufReader::new(stream) };
        bare.timed("qmp_capabilities", &json!({}))?;
        Ok(bare)
    }

    /// Gives a command, and says how long its answer took.
    fn timed(&mut self, command: &str, arguments: &Value) -> Result<Duration> {
        let begun = Instant::now();
        let asked = json!({ "execute": command, "arguments": arguments });
        writeln!(self.said.get_mut(), "{asked}")?;
        loop {
            let mut line = String::new();
            ensure!(self.said.read_line(&mut line)? > 0, "QEMU has ended");
            let answer: Value = serde_json::from_str(&line)?;
            ensure!(answer.get("error").is_none(), "{command}: {answer}");
            if answer.get("return").is_some() {
                return Ok(begun.elapsed());
            }
        }
    }

    /// How long one snapshot takes.
    fn pause_once(mut self) -> Result<Duration> {
        let told = json!({ "device": "disk", "name": "by-hand" });
        let paused = self.timed("blockdev-snapshot-internal-sync", &told)?;
        self.end()?;
        Ok(paused)
    }

    fn end(mut self) -> Result<()> {
        self.timed("quit", &json!({}))?;
        self.qemu.wait()?;
        Ok(())
    }
}
