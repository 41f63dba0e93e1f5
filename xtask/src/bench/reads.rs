//! Reading a crowd: pages at both ends of the list, and single machines.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::crowd::{PAGE, text};
use super::figures::{Figure, Report, Samples};
use super::http::{Client, Door};
use super::options::Options;

/// How often a page is read.
const PAGES: usize = 500;
/// How long single machines are read.
const LONG: Duration = Duration::from_secs(5);
/// A step through the ids that visits them in no order.
const STRIDE: usize = 7919;

pub fn first_page() -> String {
    format!("/v1/machines?limit={PAGE}")
}

pub fn page_after(cursor: &str) -> String {
    format!("/v1/machines?limit={PAGE}&after={cursor}")
}

pub fn measure(door: &Door, ids: &BTreeSet<String>, options: &Options, report: &mut Report) -> Result<()> {
    let mut client = Client::new(door)?;
    let deep = last_full_page(&mut client, ids.len())?;
    let (first, last) = pages(&mut client, &first_page(), &deep)?;
    let paths: Vec<_> = ids.iter().map(|id| format!("/v1/machines/{id}")).collect();
    let health = rate(door, options.clients, &["/v1/health".to_owned()])?;
    let single = rate(door, options.clients, &paths)?;
    report.add([
        Figure::new(format!("a page of {PAGE}, the first, p50"), first.ms(0.5), "ms"),
        Figure::new("the first page, p99", first.ms(0.99), "ms").beside("p50", first.ms(0.5)),
        Figure::new("the last full page, p50", last.ms(0.5), "ms").beside("the first page", first.ms(0.5)),
        Figure::new("the last full page, p99", last.ms(0.99), "ms").beside("the first page", first.ms(0.99)),
        Figure::new("GET /v1/machines/{id}", single, "/s").beside("GET /v1/health", health),
    ]);
    Ok(())
}

/// The last page that is as long as the first one.
fn last_full_page(client: &mut Client, count: usize) -> Result<String> {
    let mut path = first_page();
    for _ in 1..count / PAGE {
        let page = client.get(&path)?;
        path = page_after(&text(&page["nextPage"])?);
    }
    Ok(path)
}

/// Reads two pages in turn, so that what else the host does meets both.
fn pages(client: &mut Client, first: &str, last: &str) -> Result<(Samples, Samples)> {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        for (path, times) in [(first, &mut times.0), (last, &mut times.1)] {
            let begun = Instant::now();
            client.fetch(path)?;
            times.push(begun.elapsed());
        }
    }
    Ok((Samples::of(times.0), Samples::of(times.1)))
}

/// How many requests a second all clients are answered together.
fn rate(door: &Door, clients: usize, paths: &[String]) -> Result<f64> {
    let answered = AtomicUsize::new(0);
    let begun = Instant::now();
    let read = || -> Result<()> {
        let mut client = Client::new(door)?;
        while begun.elapsed() < LONG {
            let number = answered.fetch_add(1, Ordering::Relaxed);
            client.fetch(&paths[number * STRIDE % paths.len()])?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(read)).collect();
        threads.into_iter().try_for_each(|client| client.join().expect("a client does not panic"))
    })?;
    Ok(answered.into_inner() as f64 / begun.elapsed().as_secs_f64())
}
