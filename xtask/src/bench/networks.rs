//! Many networks and many addresses on a pretended host: what the last of them costs, beside the first.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::crowd::text;
use super::figures::{Figure, Report, Samples};
use super::http::Client;
use super::server::Server;

/// Nearly all that the usual pool has room for.
const NETWORKS: usize = 2000;
const ADDRESSES: usize = 10_000;
/// The range for measurements between networks: it has room for all addresses.
const CONFIG: &str = "public_pools = [\"198.18.0.0/16\"]\n";
/// How many creates at each end are held against each other.
const ENDS: usize = 200;
/// The largest page of both dialects.
const PAGE: usize = 100;
/// How often a page is read.
const PAGES: usize = 300;

/// A list, as its dialect walks it.
struct List {
    what: &'static str,
    path: &'static str,
    next: &'static str,
    after: &'static str,
    rows: usize,
}

const LISTS: [List; 3] = [
    List { what: "networks", path: "/v1/private-networks", next: "nextPage", after: "after", rows: NETWORKS },
    List {
        what: "networks, the second dialect",
        path: "/api/v2/private-networks",
        next: "nextCursor",
        after: "cursor",
        rows: NETWORKS,
    },
    List { what: "addresses", path: "/v1/public-ips", next: "nextPage", after: "after", rows: ADDRESSES },
];

pub fn measure(deckle: &Path, report: &mut Report) -> Result<()> {
    let server = Server::start_with(deckle, "emulator", CONFIG)?;
    let mut client = server.client()?;
    let network = |number| json!({ "name": format!("network {number}"), "region": "ny2" });
    creates(&mut client, "networks", "/v1/private-networks", NETWORKS, network, report)?;
    let address = |_| json!({ "region": "ny2" });
    creates(&mut client, "addresses", "/v1/public-ips", ADDRESSES, address, report)?;
    for list in &LISTS {
        list.measure(&mut client, report)?;
    }
    server.check_log()
}

/// Makes so many of a kind, one after the other.
fn creates(
    client: &mut Client,
    what: &str,
    path: &str,
    count: usize,
    body: impl Fn(usize) -> Value,
    report: &mut Report,
) -> Result<()> {
    let times: Vec<Duration> = (0..count)
        .map(|number| {
            let begun = Instant::now();
            client.post(path, &body(number)).map(|_| begun.elapsed())
        })
        .collect::<Result<_>>()?;
    let p50 = |times: &[Duration]| Samples::of(times.to_vec()).ms(0.5);
    let (first, last) = (p50(&times[..ENDS]), p50(&times[count - ENDS..]));
    let figure = format!("creating one of the last {ENDS} of {count} {what}, p50");
    report.add([Figure::new(figure, last, "ms").beside(format!("of the first {ENDS}"), first)]);
    Ok(())
}

impl List {
    /// Reads the first page and the last full one in turn, so that what else the host does meets both.
    fn measure(&self, client: &mut Client, report: &mut Report) -> Result<()> {
        let deep = self.last_full_page(client)?;
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..PAGES {
            for (path, times) in [&self.first_page(), &deep].into_iter().zip(&mut times) {
                let begun = Instant::now();
                client.fetch(path)?;
                times.push(begun.elapsed());
            }
        }
        let [first, last] = times.map(|times| Samples::of(times).ms(0.5));
        let what = format!("a page of {PAGE} {}, the last full one of {}, p50", self.what, self.rows);
        report.add([Figure::new(what, last, "ms").beside("the first page", first)]);
        Ok(())
    }

    fn first_page(&self) -> String {
        format!("{}?limit={PAGE}", self.path)
    }

    fn last_full_page(&self, client: &mut Client) -> Result<String> {
        let mut path = self.first_page();
        for _ in 1..self.rows / PAGE {
            let page = client.get(&path)?;
            let next = text(&page[self.next]).with_context(|| format!("{path} has a page after it"))?;
            path = format!("{}&{}={next}", self.first_page(), self.after);
        }
        let last = client.get(&path)?;
        ensure!(last["hasMore"] == false, "{} has more than {} rows", self.path, self.rows);
        Ok(path)
    }
}
