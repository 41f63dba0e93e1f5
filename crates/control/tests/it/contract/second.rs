//! The second dialect: its description and its answers, compared with its contract.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answers::{accept, operation};
use super::differences::differences;
use super::normal::{Document, Operations};

const FILE: &str = "contract/hostup-v2.openapi.json";

static OPERATIONS: LazyLock<Operations> = LazyLock::new(|| Document::read(&super::read(FILE)).operations());

/// What any problem must be, whatever the operation.
static PROBLEM: LazyLock<Value> = LazyLock::new(|| {
    Document::read(&super::read(FILE)).schema(&json!({"$ref": "#/components/schemas/Problem"}))
});

/// Says why an answer of the second dialect is not one that its operation documents.
pub fn check(method: &str, path: &str, status: u16, headers: &HeaderMap, body: &Value) -> Result<(), String> {
    let Some(place) = path.strip_prefix("/api/v2").filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Ok(());
    };
    let place = place.trim_end_matches('/');
    let said = manners(path, status, headers, body).and_then(|()| match status {
        200 if place == "/openapi.json" => Ok(()),
        200..300 => success(method, place, status, body),
        _ => Ok(()),
    });
    said.map_err(|wrong| format!("{method} {path} answered {status}: {wrong}: {body} {headers:?}"))
}

fn success(method: &str, place: &str, status: u16, body: &Value) -> Result<(), String> {
    let operation = operation(&OPERATIONS, method, place).ok_or("the contract has no such operation")?;
    let answer = operation["answers"].get(status.to_string()).ok_or("the contract has no such answer")?;
    match answer.get("application/json") {
        Some(schema) => accept("body", schema, body),
        None if body.is_null() => Ok(()),
        None => Err("a body where there is to be none".to_owned()),
    }
}

/// What every answer has, and every problem.
fn manners(path: &str, status: u16, headers: &HeaderMap, body: &Value) -> Result<(), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let same = |what: &str, found: &str, expected: &str| match found == expected {
        true => Ok(()),
        false => Err(format!("{what} is {found}, not {expected}")),
    };
    same("cache-control", header("cache-control"), "private, no-store")?;
    same("vary", header("vary"), "Authorization, Cookie")?;
    let id = header("x-request-id");
    let id_is_right = id.strip_prefix("req_").is_some_and(|digits| digits.len() == 26);
    if !id_is_right {
        return Err(format!("x-request-id is {id}"));
    }
    if (200..300).contains(&status) {
        return Ok(());
    }
    accept("problem", &PROBLEM, body)?;
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    same("content-type", header("content-type"), "application/problem+json")?;
    same("requestId", text("requestId"), id)?;
    same("instance", text("instance"), path)?;
    same("type", text("type"), &format!("https://developer.hostup.se/errors/{}", text("code")))?;
    same("status", &body["status"].to_string(), &status.to_string())?;
    same(
        "errors are there",
        &body.get("errors").is_some().to_string(),
        &(text("code") == "invalid_request").to_string(),
    )?;
    same("www-authenticate", header("www-authenticate"), if status == 401 { "Bearer" } else { "" })?;
    if text("detail").is_empty() || text("title").is_empty() {
        return Err("a problem without words".to_owned());
    }
    Ok(())
}

#[test]
fn the_second_dialects_operations_are_its_contracts() {
    let ours = Document::new(deckle_control::openapi_v2()).operations();
    let names = |operations: &Operations| operations.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&OPERATIONS));
    let wrong: Vec<String> = OPERATIONS
        .iter()
        .flat_map(|(name, theirs)| {
            let found = differences(theirs, &ours[name]);
            found.into_iter().map(move |difference| format!("{name}: {difference}"))
        })
        .collect();
    // The reference has no tag for the operation that it documents.
    let expected = r#"GET /private-networks: tags: contract [], ours ["Private Networks"]"#;
    let wrong: Vec<_> = wrong.iter().filter(|line| *line != expected).collect();
    assert!(wrong.is_empty(), "{} differences from the contract:\n{wrong:#?}", wrong.len());
}

#[test]
fn the_second_dialects_head_is_its_contracts() {
    let contract: Value = serde_json::from_str(&super::read(FILE)).unwrap();
    let ours = deckle_control::openapi_v2();
    for place in ["/openapi", "/servers", "/components/securitySchemes"] {
        assert_eq!(ours.pointer(place), contract.pointer(place), "{place}");
    }
}

#[test]
fn a_wrong_answer_of_the_second_dialect_is_told() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("cache-control", "private, no-store"),
        ("vary", "Authorization, Cookie"),
        ("x-request-id", "req_01hxa3b4c5d6e7f8g9h0j1k2m3"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    let page = json!({"data": [], "hasMore": false, "nextCursor": null});
    let path = "/api/v2/private-networks";
    assert_eq!(check("GET", path, 200, &headers, &page), Ok(()));
    assert_eq!(check("GET", "/v1/health", 200, &HeaderMap::new(), &json!("HEALTHY")), Ok(()));
    let more = json!({"data": [], "hasMore": false, "nextCursor": null, "total": 0});
    assert!(check("GET", path, 200, &headers, &more).unwrap_err().contains("total is not a documented key"));
    assert!(check("GET", path, 404, &headers, &json!({})).unwrap_err().contains("breaks required"));
    assert!(check("GET", path, 200, &HeaderMap::new(), &page).unwrap_err().contains("cache-control"));
    assert!(check("PUT", path, 200, &headers, &page).unwrap_err().contains("no such operation"));
    let item =
        json!({"data": [{"id": "pnet_01HXA3B4C5D6E7F8G9H0J1K2M3"}], "hasMore": false, "nextCursor": null});
    assert!(check("GET", path, 200, &headers, &item).is_err());
}
