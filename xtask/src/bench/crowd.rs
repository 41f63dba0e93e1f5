//! A crowd of pretended machines: made through the API by several clients, waited for, walked, and read.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures::{Figure, Report, Samples};
use super::http::{Client, Door};
use super::options::Options;
use super::server::Server;
use super::{floor, reads};

/// How many machines share a network: nearly all the addresses that one has.
const NETWORK: usize = 250;
const REGION: &str = "ny2";
/// The largest page.
pub const PAGE: usize = 120;
/// How long the last machine may take after the first was asked for.
const READY_MAX: Duration = Duration::from_secs(1800);

/// A crowd as it was made.
struct Crowd {
    ids: BTreeSet<String>,
    creates: Samples,
    created_s: f64,
    ready_s: f64,
}

pub fn measure(deckle: &Path, options: &Options, report: &mut Report) -> Result<()> {
    let server = Server::start(deckle, "emulator")?;
    let durable = floor::durable_writes(server.state())?;
    let empty_mib = server.rss_mib()?;
    let crowd = gather(&server, options)?;
    let (count, cpu_s) = (options.machines as f64, server.cpu_s()?);
    let size_mib = walk(&mut server.client()?, &crowd.ids)?;
    let named = |what: &str| format!("{what}, {} machines, {} clients", options.machines, options.clients);
    let beside = "durable 4 KiB appends/s, one after the other";
    report.add([
        Figure::new(named("all created"), crowd.created_s, "s"),
        Figure::new("creates", count / crowd.created_s, "/s").beside(beside, durable),
        Figure::new("create, p50", crowd.creates.ms(0.5), "ms"),
        Figure::new("create, p99", crowd.creates.ms(0.99), "ms").beside("p50", crowd.creates.ms(0.5)),
        Figure::new("all ready", crowd.ready_s, "s").beside("all created", crowd.created_s),
        Figure::new("events", count / crowd.ready_s, "/s").beside(beside, durable),
        Figure::new("processor time a machine", cpu_s * 1000.0 / count, "ms"),
    ]);
    reads::measure(&server.door, &crowd.ids, options, report)?;
    report.add([
        Figure::new("memory of the server", server.rss_mib()?, "MiB").beside("when empty", empty_mib),
        Figure::new("database", server.database_mib(), "MiB").beside("of machines as JSON", size_mib),
    ]);
    server.check_log()
}

fn gather(server: &Server, options: &Options) -> Result<Crowd> {
    let networks = make_networks(&mut server.client()?, options.machines.div_ceil(NETWORK))?;
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let made: Result<Vec<_>> = thread::scope(|scope| {
        let work = || make_machines(&server.door, &next, options.machines, &networks);
        let clients: Vec<_> = (0..options.clients).map(|_| scope.spawn(work)).collect();
        clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
    });
    let made = made?.concat();
    let created_s = begun.elapsed().as_secs_f64();
    eprintln!("bench: {} machines are created after {created_s:.1} s", made.len());
    let mut client = server.client()?;
    while !all_ready(&mut client)? {
        ensure!(begun.elapsed() < READY_MAX, "some machines are not ready after {READY_MAX:?}");
        thread::sleep(Duration::from_millis(100));
    }
    let ready_s = begun.elapsed().as_secs_f64();
    let (ids, times): (BTreeSet<_>, Vec<_>) = made.into_iter().unzip();
    ensure!(ids.len() == options.machines, "an id was given twice");
    Ok(Crowd { ids, creates: Samples::of(times), created_s, ready_s })
}

fn make_networks(client: &mut Client, count: usize) -> Result<Vec<String>> {
    let make = |number| {
        let wanted = json!({ "name": format!("crowd {number}"), "region": REGION });
        text(&client.post("/v1/private-networks", &wanted)?["id"])
    };
    (0..count).map(make).collect()
}

/// What one client makes: ids, and how long each took.
fn make_machines(
    door: &Door,
    next: &AtomicUsize,
    machines: usize,
    networks: &[String],
) -> Result<Vec<(String, Duration)>> {
    let mut client = Client::new(door)?;
    let mut made = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= machines {
            return Ok(made);
        }
        let wanted = json!({
            "name": format!("machine {number}"),
            "region": REGION,
            "machineType": "C1",
            "templateId": "t0nspur5",
            "diskSize": 50,
            "networkId": networks[number / NETWORK],
        });
        let begun = Instant::now();
        let ordered = client.post("/v1/machines", &wanted)?;
        made.push((text(&ordered["data"]["id"])?, begun.elapsed()));
    }
}

/// Whether the first state of all, in order, and the last one are both `ready`.
fn all_ready(client: &mut Client) -> Result<bool> {
    for order in ["asc", "desc"] {
        let page = client.get(&format!("/v1/machines?orderBy=state&order={order}&limit=1"))?;
        if page["items"][0]["state"] != "ready" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Walks the list page by page: it must show each machine once. The size of all pages, in MiB.
fn walk(client: &mut Client, ids: &BTreeSet<String>) -> Result<f64> {
    let mut seen = BTreeSet::new();
    let mut path = reads::first_page();
    let mut bytes = 0;
    loop {
        let page = client.fetch(&path)?;
        bytes += page.len();
        let page: Value = serde_json::from_slice(&page)?;
        for machine in page["items"].as_array().context("a page has items")? {
            let id = text(&machine["id"])?;
            ensure!(seen.insert(id.clone()), "the list shows {id} twice");
        }
        if page["hasMore"] == false {
            break;
        }
        path = reads::page_after(&text(&page["nextPage"])?);
    }
    let missing = ids.difference(&seen).count();
    let strange = seen.difference(ids).count();
    ensure!(missing + strange == 0, "the list lacks {missing} machines and shows {strange} that nobody made");
    Ok(bytes as f64 / f64::from(1 << 20))
}

/// A text in an answer.
pub fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("expected a text, not {value}"))
}
