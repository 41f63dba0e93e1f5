//! A real machine from the request until it is `ready`, against a bare QEMU with its own arguments.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::bare::Bare;
use super::crowd::text;
use super::figures::{Figure, Report, Samples};
use super::http::Client;
use super::options::Options;
use super::server::Server;
use crate::host_test::{check_programs, check_root, image};

const TEMPLATE: &str = "tsmall";
/// How often the client looks: far below what a boot takes.
const LOOK: Duration = Duration::from_millis(10);
const READY_MAX: Duration = Duration::from_secs(180);

pub fn measure(deckle: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let guest = match guest() {
        Ok(guest) => guest,
        Err(error) if options.only.is_none() => {
            report.leave_out(format!("from POST to ready on the Linux engine: {error:#}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let server = Server::start(deckle, "linux")?;
    let guest = guest.to_str().context("the image's path is UTF-8")?;
    server.admin(&["template", "import", guest, "--name", "bench", "--id", TEMPLATE])?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let (ready, line_of_it) = round_of(&server)?;
        eprintln!(
            "bench: boot {round}: {:.2} s, bare {:.2} s",
            ready.as_secs_f64(),
            line_of_it.as_secs_f64()
        );
        ours.push(ready);
        bare.push(line_of_it);
    }
    let (ours, bare) = (Samples::of(ours), Samples::of(bare));
    let figure = |what: String, share| {
        Figure::new(what, ours.ms(share) / 1000.0, "s").beside("a bare QEMU", bare.ms(share) / 1000.0)
    };
    report.add([
        figure(format!("from POST to ready, median of {}", options.rounds), 0.5),
        figure("from POST to ready, best".to_owned(), 0.0),
    ]);
    Ok(())
}

fn guest() -> Result<PathBuf> {
    check_root()?;
    check_programs(&["qemu-system-x86_64", "qemu-img", "ip", "nft", "dnsmasq"])?;
    image("DECKLE_SMALL_GUEST", "bash images/small/build.sh build/small.qcow2")
}

/// Boots a machine through the API, and then a bare QEMU with what the machine was started with. Only one
/// of them runs at a time.
fn round_of(server: &Server) -> Result<(Duration, Duration)> {
    let mut client = server.client()?;
    let begun = Instant::now();
    let wanted = json!({
        "name": "bench", "region": "ny2", "machineType": "C1", "templateId": TEMPLATE, "diskSize": 10,
    });
    let id = text(&client.post("/v1/machines", &wanted)?["data"]["id"])?;
    let path = format!("/v1/machines/{id}");
    await_until(&mut client, &path, |machine| machine["state"] == "ready")?;
    let ready = begun.elapsed();
    let bare = Bare::like(&server.state().join("machines").join(&id))?;
    let event = text(&client.delete(&path)?["event"]["id"])?;
    await_until(&mut client, &format!("/v1/machine-events/{event}"), |event| event["state"] == "done")?;
    Ok((ready, bare.boot(READY_MAX)?))
}

fn await_until(client: &mut Client, path: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let seen = client.get(path)?;
        if is_so(&seen) {
            return Ok(());
        }
        ensure!(begun.elapsed() < READY_MAX, "after {READY_MAX:?} {path} is still {seen}");
        thread::sleep(LOOK);
    }
}

/// The processes whose command line names a folder.
pub fn process_in(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.to_str().context("the state folder's path is UTF-8")?;
    for entry in fs::read_dir("/proc")?.flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        if words[0].ends_with("qemu-system-x86_64") && words.iter().any(|word| word.contains(folder)) {
            return Ok(words.into_iter().filter(|word| !word.is_empty()).collect());
        }
    }
    anyhow::bail!("no QEMU runs in {folder}")
}
