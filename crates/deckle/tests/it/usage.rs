//! What was used: tables, pages, and what is asked.

use serde_json::{Value, json};

use crate::canned::{Canned, ok};
use crate::world::World;

fn sums(seconds: u64, gpus: u64, gb: u64, amount: &str) -> Value {
    let hours = |seconds: u64| (seconds as f64 / 0.36).round() / 10_000.0;
    json!({
        "seconds": seconds, "gpuSeconds": seconds * gpus, "gbSeconds": seconds * gb, "hours": hours(seconds),
        "gpuHours": hours(seconds * gpus), "gbHours": hours(seconds * gb), "amount": amount
    })
}

fn with(mut sums: Value, facts: Value) -> Value {
    sums.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    sums
}

fn machine() -> Value {
    let facts = json!({
        "kind": "machine", "id": "ps8rgduy2k", "machineId": "ps8rgduy2k", "userId": "ur7p0nb7n0",
        "machineType": "A4000"
    });
    with(sums(5400, 1, 0, "1.14"), facts)
}

fn address() -> Value {
    with(
        sums(60, 0, 0, "0.000068493"),
        json!({"kind": "address", "id": "203.0.113.7", "userId": "ur7p0nb7n0"}),
    )
}

fn told(items: &[Value], next: Option<&str>) -> Value {
    let mut told = json!({
        "from": "2026-11-01T00:00:00.000Z", "to": "2026-11-21T10:00:00.000Z", "amount": "1.140068493",
        "totals": [
            with(sums(5400, 1, 0, "1.14"), json!({"kind": "machine"})),
            with(sums(0, 0, 0, "0.00"), json!({"kind": "storage"})),
            with(sums(60, 0, 0, "0.000068493"), json!({"kind": "address"})),
            with(sums(0, 0, 0, "0.00"), json!({"kind": "drive"})),
        ],
        "hasMore": next.is_some(), "items": items
    });
    if let Some(next) = next {
        told["nextPage"] = json!(next);
    }
    told
}

#[test]
fn usage_is_told_as_a_table_and_as_it_came() {
    const WINDOW: &str = "from=2026-11-01T00%3A00%3A00.000Z&to=2026-11-21T10%3A00%3A00.000Z";
    let all = || told(&[machine(), address()], None);
    let first = || told(&[machine()], Some("c1"));
    let pinned = format!("GET /v1/usage?{WINDOW}&limit=120");
    let next = format!("GET /v1/usage?{WINDOW}&after=c1&limit=120");
    let narrow = format!("GET /v1/usage?{WINDOW}&machineId=ps8rgduy2k&userId=ur7p0nb7n0");
    let script: Vec<(&'static str, _)> = vec![
        ("GET /v1/usage?", ok(all())),
        ("GET /v1/usage?", ok(told(&[], None))),
        (narrow.leak(), ok(all())),
        ("GET /v1/usage?limit=1", ok(first())),
        ("GET /v1/usage?limit=120", ok(first())),
        (pinned.leak(), ok(first())),
        (next.leak(), ok(told(&[address()], None))),
    ];
    let server = Canned::start(script);
    let mut world = World::at("usage", &server.url, "secret");
    for line in [
        "usage",
        "usage -o json",
        "usage --from 2026-11-01T00:00:00Z --to 2026-11-21T10:00:00Z --machine-id ps8rgduy2k --user-id ur7p0nb7n0",
        "usage --limit 1",
        "usage --all -o json",
        "usage --from november",
        "usage --machine-id n1",
    ] {
        world.run(line);
    }
    drop(server.asked());
}
