//! `/metrics`: the server's meters as Prometheus text, on an address of their own.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use deckle_control::app::App;
use deckle_control::meters;
use metrics::{Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Where a request's time is cut into buckets, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// How often samples that nobody asked for are folded into their buckets.
const FOLD: Duration = Duration::from_secs(5);
/// The version of Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const BUILD: &str = "deckle_build_info";
const RESIDENT: &str = "process_resident_memory_bytes";

/// Begins to record, and answers what shows the records.
pub fn begin() -> Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(Matcher::Full(meters::REQUEST_SECONDS.to_owned()), &BUCKETS);
    let shown = builder.and_then(PrometheusBuilder::install_recorder).context("begin to record metrics")?;
    meters::describe();
    describe_gauge!(BUILD, "Which Deckle this is.");
    describe_gauge!(RESIDENT, Unit::Bytes, "The memory that the server has in use.");
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let folded = shown.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FOLD).await;
            folded.run_upkeep();
        }
    });
    Ok(shown)
}

/// What the address of the metrics serves.
pub fn routes(app: App, shown: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(show)).with_state((app, shown))
}

async fn show(State((app, shown)): State<(App, PrometheusHandle)>) -> Response {
    if let Err(error) = meters::look(&app).await {
        tracing::error!(error = deckle_control::error::chain(&error), "metrics cannot be looked up");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if let Some(bytes) = resident_bytes() {
        gauge!(RESIDENT).set(bytes);
    }
    ([(CONTENT_TYPE, TEXT)], shown.render()).into_response()
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024.0)
}
