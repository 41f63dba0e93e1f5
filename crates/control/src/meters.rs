//! What is counted and timed, under which names. Who shows the meters, if anybody, is up to the server's
//! start: without it, recording costs next to nothing.
//!
//! **Invariant**: no label has values that callers make up: a route is its template, and a method that
//! HTTP does not know is `other`.

use std::time::Instant;

use axum::http::{Method, StatusCode};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::app::App;
use crate::error::Result;
use crate::{machine_events, machines, private_networks, shared_drives};

const REQUESTS: &str = "deckle_http_requests_total";
/// How long requests took: a histogram for who shows it.
pub const REQUEST_SECONDS: &str = "deckle_http_request_duration_seconds";
const VISITS: &str = "deckle_visits_total";
const VISITS_FAILED: &str = "deckle_visits_failed_total";
const VISITS_WAITING: &str = "deckle_visits_waiting";
const VISITS_RUNNING: &str = "deckle_visits_running";
const EVENTS_OPEN: &str = "deckle_machine_events_open";
const UNSETTLED: &str = "deckle_objects_unsettled";

/// Says what each meter is, once somebody shows them.
pub fn describe() {
    describe_counter!(REQUESTS, "Requests that were answered, by route, method and status.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "How long requests took, by route and method.");
    describe_counter!(VISITS, "Looks that the reconciler took at objects.");
    describe_counter!(VISITS_FAILED, "Visits that ended in an error of the server's own.");
    describe_gauge!(VISITS_WAITING, "Objects whose visit is due and has not begun.");
    describe_gauge!(VISITS_RUNNING, "Objects that are being visited.");
    describe_gauge!(EVENTS_OPEN, "Machine events that have not ended.");
    describe_gauge!(UNSETTLED, "Objects that are not yet as they are wanted.");
}

/// Looks up what has a level rather than a count.
pub async fn look(app: &App) -> Result<()> {
    let (waiting, running) = app.store.wakes().waiting_and_running(app.clock.now());
    gauge!(VISITS_WAITING).set(waiting as f64);
    gauge!(VISITS_RUNNING).set(running as f64);
    gauge!(EVENTS_OPEN).set(machine_events::service::count_open(app).await? as f64);
    let machines = machines::service::count_unsettled(app).await?;
    gauge!(UNSETTLED, "kind" => "machine").set(machines as f64);
    let networks = private_networks::service::count_unsettled(app).await?;
    gauge!(UNSETTLED, "kind" => "private network").set(networks as f64);
    let drives = shared_drives::service::count_unsettled(app).await?;
    gauge!(UNSETTLED, "kind" => "shared drive").set(drives as f64);
    Ok(())
}

/// Counts a visit.
pub fn visited(kind: &'static str, succeeded: bool) {
    counter!(VISITS, "kind" => kind).increment(1);
    if !succeeded {
        counter!(VISITS_FAILED, "kind" => kind).increment(1);
    }
}

/// A request on its way to an answer. One that a panic or the time limit cuts off is counted too.
#[derive(Debug)]
pub struct Answering {
    route: String,
    method: &'static str,
    begun: Instant,
    status: Option<StatusCode>,
}

impl Answering {
    /// A request that has come in, and the template of its route if it has one.
    pub fn begin(method: &Method, route: Option<&str>) -> Self {
        let route = route.unwrap_or("none").to_owned();
        Self { route, method: known(method), begun: Instant::now(), status: None }
    }

    /// It has its answer.
    pub fn end(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let cut_off = if std::thread::panicking() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::REQUEST_TIMEOUT
        };
        let status = self.status.unwrap_or(cut_off).as_u16().to_string();
        let route = std::mem::take(&mut self.route);
        let seconds = self.begun.elapsed().as_secs_f64();
        counter!(REQUESTS, "route" => route.clone(), "method" => self.method, "status" => status)
            .increment(1);
        histogram!(REQUEST_SECONDS, "route" => route, "method" => self.method).record(seconds);
    }
}

fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
