//! The official client's requests, byte for byte as it sends them, sent with `curl` to a real server.
//!
//! It sends a JSON content type with everything, `{}` with a PATCH that says nothing, its parameters of
//! a DELETE as a body, and leaves out every `false`, `0`, `""` and `null`.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{SERVE, Server};
use crate::world::World;

const JSON: &str = "content-type: application/json";

/// How long an event of an emulator at its quick pace may take.
const EVENT_MAX: Duration = Duration::from_secs(20);

/// The official client, as far as a server can tell.
struct Official {
    url: String,
    key: Option<String>,
}

/// What came back.
#[derive(Debug)]
struct Answered {
    status: u16,
    content_type: String,
    body: Value,
}

impl Official {
    /// Sends what the client sends: a body with the content type, or the content type alone.
    fn send(&self, method: &str, path: &str, body: Option<&str>) -> Answered {
        self.send_with(&[JSON], method, path, body)
    }

    fn send_with(&self, headers: &[&str], method: &str, path: &str, body: Option<&str>) -> Answered {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "30", "-X", method, "-w", "\n%{http_code} %{content_type}"]);
        curl.args(["-H", "x-client: paperspace-cli", "-H", "x-client-version: 1.11.1"]);
        if let Some(key) = &self.key {
            curl.args(["-H", &format!("authorization: Bearer {key}")]);
        }
        for header in headers {
            curl.args(["-H", header]);
        }
        if let Some(body) = body {
            curl.args(["--data-binary", body]);
        }
        let output = curl.arg(format!("{}/v1/{path}", self.url)).output().expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, told) = text.rsplit_once('\n').unwrap();
        let (status, content_type) = told.split_once(' ').unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|_| panic!("{method} {path}: {text}"));
        Answered { status: status.parse().unwrap(), content_type: content_type.to_owned(), body }
    }

    /// Sends, and reads a success as the client does.
    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Value {
        self.send(method, path, body).success()
    }

    /// Polls an event, as `GET /machine-events/ID`, until it has ended well.
    fn wait_for(&self, ordered: &Value) {
        let path = format!("machine-events/{}", ordered["event"]["id"].as_str().unwrap());
        let begun = Instant::now();
        loop {
            let event = self.ask("GET", &path, None);
            match event["state"].as_str().unwrap() {
                "done" => return,
                "new" | "in progress" => sleep(Duration::from_millis(20)),
                other => panic!("{other}: {event}"),
            }
            assert!(begun.elapsed() < EVENT_MAX, "{event}");
        }
    }
}

impl Answered {
    /// An object with `code` and `message` and at most three keys is an error to the client, whatever
    /// its status.
    fn success(self) -> Value {
        let taken_for_error = self
            .body
            .as_object()
            .is_some_and(|body| body.contains_key("code") && body.contains_key("message") && body.len() <= 3);
        assert!(self.status == 200 && !taken_for_error, "{self:?}");
        assert!(self.content_type.starts_with("application/json"), "{self:?}");
        self.body
    }

    /// The client's schema of an error is strict: these two keys.
    fn refusal(self) -> (u16, String, String) {
        assert!(self.content_type.starts_with("application/json"), "{self:?}");
        let keys: Vec<_> = self.body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message"], "{self:?}");
        let text = |key: &str| self.body[key].as_str().unwrap().to_owned();
        (self.status, text("code"), text("message"))
    }
}

fn official(story: &'static str) -> (World, Server, Official) {
    let world = World::nowhere(story);
    let server = Server::start(&world, SERVE);
    let key = std::fs::read_to_string(world.state().join("owner.key")).unwrap().trim().to_owned();
    let client = Official { url: server.url.clone(), key: Some(key) };
    (world, server, client)
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

#[test]
fn a_machine_lives_as_the_official_client_leads_it() {
    let (_world, _server, client) = official("curl");
    let standing = client.ask("GET", "billing/account-standing", None);
    let good =
        json!({"hasPaymentMethod": true, "isAdminLocked": false, "isInGoodStanding": true, "messages": []});
    assert_eq!(standing, good);
    let network = client.ask("POST", "private-networks", Some(r#"{"name":"lab","region":"ny2"}"#));
    let script = client.ask("POST", "startup-scripts", Some(r#"{"name":"hi","script":"echo hi"}"#));
    assert_eq!([&script["isRunOnce"], &script["isEnabled"]], [&json!(false), &json!(true)]);
    let create = json!({
        "name": "first", "machineType": "C4", "templateId": "t0nspur5", "region": "ny2", "diskSize": 50,
        "networkId": id(&network), "publicIpType": "dynamic", "startupScriptId": id(&script),
        "startOnCreate": true, "billingType": "hourly"
    });
    let ordered = client.ask("POST", "machines", Some(&create.to_string()));
    assert_eq!(ordered.as_object().unwrap().keys().collect::<Vec<_>>(), ["event", "data"]);
    assert_eq!(ordered["data"]["state"], "provisioning");
    client.wait_for(&ordered);
    let machine = id(&ordered["data"]).to_owned();
    let shown = client.ask("GET", &format!("machines/{machine}"), None);
    assert_eq!([&shown["state"], &shown["networkId"]], [&json!("ready"), &network["id"]]);
    assert!(shown["dtCreated"].as_str().unwrap().ends_with('Z') && shown["dtDeleted"].is_null());
    for (verb, body) in [("stop", "{}"), ("start", "{}"), ("restart", "{}")] {
        client.wait_for(&client.ask("PATCH", &format!("machines/{machine}/{verb}"), Some(body)));
    }
    let events = client.ask("GET", &format!("machine-events?machineId={machine}&limit=50"), None);
    let names: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| &event["name"]).collect();
    assert_eq!(names, ["restart", "start", "stop", "create"]);
    let ordered = client.ask("DELETE", &format!("machines/{machine}"), None);
    assert_eq!(ordered["event"]["name"], "deactivate");
    client.wait_for(&ordered);
    assert_eq!(client.send("GET", &format!("machines/{machine}"), None).refusal().1, "NOT_FOUND");
    client.ask("DELETE", &format!("private-networks/{}", id(&network)), None);
}

#[test]
fn bodies_are_read_as_leniently_as_clients_need() {
    let (_world, _server, client) = official("curl_bodies");
    let create = r#"{"name":"x","machineType":"C4","templateId":"t0nspur5","region":"East Coast (NY2)","diskSize":50}"#;
    let ordered = client.ask("POST", "machines/", Some(create));
    assert_eq!(ordered["data"]["region"], "ny2");
    client.wait_for(&ordered);
    let machine = id(&ordered["data"]).to_owned();
    let itself = format!(r#"{{"id":"{machine}"}}"#);
    let ways: [(&[&str], Option<&str>); 6] = [
        (&[JSON], Some("{}")),
        (&[JSON], Some("")),
        (&[JSON], None),
        (&["content-type: text/plain"], None),
        (&[], None),
        (&[JSON], Some(&itself)),
    ];
    for (way, (headers, body)) in ways.into_iter().enumerate() {
        let verb = if way % 2 == 0 { "stop" } else { "start" };
        let path = format!("machines/{machine}/{verb}");
        let ordered = client.send_with(headers, "PATCH", &path, body).success();
        assert_eq!(ordered["event"]["name"], verb, "{headers:?} {body:?}");
        client.wait_for(&ordered);
    }
    let path = format!("machines/{machine}");
    client.wait_for(&client.ask("DELETE", &path, Some(&itself)));
}

#[test]
fn pickers_and_lists_page_as_the_client_expects() {
    let (_world, _server, client) = official("curl_lists");
    for noun in ["machines", "private-networks", "startup-scripts", "os-templates", "machine-events"] {
        let page = client.ask("GET", &format!("{noun}?limit=50"), None);
        assert_eq!(page["hasMore"], false, "{noun}");
        assert!(page["items"].is_array() && page.get("nextPage").is_none_or(Value::is_null), "{noun}");
    }
    for name in ["a", "b", "c"] {
        client.ask("POST", "startup-scripts", Some(&json!({"name": name, "script": "true"}).to_string()));
    }
    let order = "orderBy=name&order=asc&limit=2";
    let first = client.ask("GET", &format!("startup-scripts?{order}"), None);
    assert_eq!(first["hasMore"], true);
    let after = first["nextPage"].as_str().unwrap();
    let last = client.ask("GET", &format!("startup-scripts?{order}&after={after}"), None);
    assert_eq!([&last["hasMore"], &last["items"][0]["name"]], [&json!(false), &json!("c")]);
    let anyone = Official { url: client.url.clone(), key: None };
    assert_eq!(anyone.ask("GET", "os-templates", None)["items"].as_array().unwrap().len(), 3);
}

#[test]
fn every_refusal_is_one_that_the_client_can_read() {
    let (_world, _server, client) = official("curl_refusals");
    let anyone = Official { url: client.url.clone(), key: None };
    let wrong = Official { url: client.url.clone(), key: Some("0123456789abcdef".to_owned()) };
    assert_eq!(anyone.ask("GET", "auth/session", None), Value::Null);
    assert_eq!(wrong.ask("GET", "auth/session", None), Value::Null);
    assert!(client.ask("GET", "auth/session", None)["team"]["id"].is_string());
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(100_000));
    let told = |answered: Answered| {
        let (status, code, _) = answered.refusal();
        (status, code)
    };
    for (answered, status, code) in [
        (anyone.send("GET", "machines", None), 401, "UNAUTHORIZED"),
        (wrong.send("GET", "billing/account-standing", None), 401, "UNAUTHORIZED"),
        (client.send("GET", "nothing/here", None), 404, "NOT_FOUND"),
        (client.send("GET", "machines/ps0", None), 404, "NOT_FOUND"),
        (client.send("GET", "machines/%00", None), 404, "NOT_FOUND"),
        (client.send("PUT", "machines", Some("{}")), 405, "METHOD_NOT_SUPPORTED"),
        (client.send("POST", "machines", Some("{\"name\":")), 400, "PARSE_ERROR"),
        (client.send("POST", "machines", Some("{}")), 400, "BAD_REQUEST"),
        (client.send("POST", "machines", Some("[]")), 400, "BAD_REQUEST"),
        (client.send("POST", "startup-scripts", Some(&big)), 400, "BAD_REQUEST"),
        (client.send("GET", "machines?limit=0", None), 400, "BAD_REQUEST"),
        (client.send("GET", "machines?limit=121", None), 400, "BAD_REQUEST"),
        (client.send("GET", "machines?orderBy=shoeSize", None), 400, "BAD_REQUEST"),
    ] {
        assert_eq!(told(answered), (status, code.to_owned()));
    }
}
