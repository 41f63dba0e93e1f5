//! An installation of a test's own: a server, its state, its ranges, its user.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::guest::Guest;
use super::host::{Installation, run, wait};
use super::http::{self, Question};
use super::outside::Outside;
use super::server::{Server, Start, deckle, tail};

/// How long an order may take that boots a small guest: this machine may be slow at times.
pub const ORDER: Duration = Duration::from_secs(120);

/// The template that every world has.
pub const SMALL: &str = "tsmall";

/// How a world differs from the usual one.
#[derive(Default)]
pub struct Wishes {
    /// Whether every address of the host leads to the API.
    pub listens_everywhere: bool,
    /// The search path of the server.
    pub path: Option<String>,
    /// Where the state lies, if not in the world's own folder.
    pub state: Option<PathBuf>,
    /// Whether the database lies beside the state, not in it.
    pub database_aside: bool,
    /// More lines for `[linux]` in the configuration.
    pub linux: &'static str,
}

/// An installation with its server.
pub struct World {
    pub server: Server,
    pub outside: Outside,
    start: Start,
    /// The owner's API key.
    owner: String,
    tag: String,
    folder: TempDir,
}

/// What an order answers: the machine, and the event that says how it goes.
#[derive(Debug, Clone)]
pub struct Ordered {
    pub machine: String,
    pub event: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(Wishes::default())
    }

    pub fn with(wishes: Wishes) -> Self {
        let image = image("DECKLE_SMALL_GUEST", "images/small/build.sh");
        let world = Self::without_template(wishes);
        world.import(&image, SMALL);
        world
    }

    /// A world with a server, its user's key, and no template.
    pub fn without_template(wishes: Wishes) -> Self {
        let outside = Outside::open();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("config.toml"), outside.config() + wishes.linux).unwrap();
        let start = Start {
            config: at("config.toml"),
            state: wishes.state.unwrap_or_else(|| at("state")),
            log: at("server.log"),
            database: wishes.database_aside.then(|| format!("sqlite:{}", at("deckle.db").display())),
            listens_everywhere: wishes.listens_everywhere,
            path: wishes.path,
        };
        let server = Server::start(&start);
        let read = |name: &str| fs::read_to_string(start.state.join(name)).unwrap().trim().to_owned();
        let (owner, tag) = (read("owner.key"), read("tag"));
        let world = Self { server, outside, start, owner, tag, folder };
        world.add_key("key");
        world
    }

    /// Takes in an image as a template.
    pub fn import(&self, image: &Path, id: &str) {
        let file = image.display().to_string();
        self.deckle(&["admin", "template", "import", &file, "--name", id, "--id", id]);
    }

    /// Makes an SSH key, and answers with the id that the API gives it.
    pub fn add_key(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &file.display().to_string()]);
        let public = fs::read_to_string(file.with_extension("pub")).unwrap();
        let made = self.post("/v1/ssh-keys", &json!({"name": name, "publicKey": public.trim()}));
        text(&made["id"])
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts the server again after its end.
    pub fn restart(&mut self) {
        self.server = Server::start(&self.start);
    }

    /// The mark in the names of all that the installation has on the host.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    pub fn installation(&self) -> Installation<'_> {
        Installation { tag: &self.tag, state: &self.start.state }
    }

    /// Runs a command of the binary, which must succeed.
    pub fn deckle(&self, args: &[&str]) -> String {
        let output = deckle(&self.start.state).args(args).output().unwrap();
        assert!(output.status.success(), "deckle {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `deckle doctor` where the server runs, and answers with its table, however it ends.
    pub fn doctor(&self) -> String {
        let mut command = deckle(&self.start.state);
        command.envs(self.start.path.iter().map(|path| ("PATH", path)));
        let output = command.args(["doctor", "--config"]).arg(&self.start.config).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks the API; an error is that nothing came back.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        once: Option<&str>,
    ) -> std::io::Result<(u16, Value)> {
        let mut headers = vec![
            format!("Authorization: Bearer {}", self.owner),
            "Content-Type: application/json".to_owned(),
        ];
        headers.extend(once.map(|key| format!("Idempotency-Key: {key}")));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = Question { method, path, headers, body }.ask(self.server.api)?;
        Ok((status, http::json(&text)))
    }

    /// Asks what must be answered with 200.
    fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body, None).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    pub fn get(&self, path: &str) -> Value {
        self.must("GET", path, &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.must("POST", path, body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Value {
        self.must("PUT", path, body)
    }

    pub fn delete(&self, path: &str) -> Value {
        self.must("DELETE", path, &Value::Null)
    }

    /// Makes a private network, and answers with its id.
    pub fn network(&self, name: &str) -> String {
        text(&self.post("/v1/private-networks", &json!({"name": name, "region": "ny2"}))["id"])
    }

    /// Makes a startup script, and answers with its id.
    pub fn script(&self, script: &str, once: bool) -> String {
        let wanted = json!({"name": "script", "script": script, "isRunOnce": once});
        text(&self.post("/v1/startup-scripts", &wanted)["id"])
    }

    /// Orders a small machine with a public address, or with what `more` says instead.
    pub fn create(&self, name: &str, more: Value) -> Ordered {
        Ordered::of(&self.post("/v1/machines", &wanted(name, more)))
    }

    /// Orders `start`, `stop` or `restart`.
    pub fn order(&self, act: &str, machine: &str) -> Ordered {
        Ordered::of(&self.must("PATCH", &format!("/v1/machines/{machine}/{act}"), &Value::Null))
    }

    /// Orders the end of a machine.
    pub fn remove(&self, machine: &str) -> Ordered {
        Ordered::of(&self.delete(&format!("/v1/machines/{machine}")))
    }

    /// Waits until an order has ended, and answers with its event.
    pub fn ended(&self, ordered: &Ordered, limit: Duration) -> Value {
        wait(&format!("the end of {ordered:?}"), limit, || {
            let event = self.get(&format!("/v1/machine-events/{}", ordered.event));
            (!["new", "in progress"].contains(&event["state"].as_str()?)).then_some(event)
        })
    }

    /// Waits until an order is done.
    pub fn done(&self, ordered: &Ordered) {
        self.done_within(ordered, ORDER);
    }

    pub fn done_within(&self, ordered: &Ordered, limit: Duration) {
        let event = self.ended(ordered, limit);
        assert_eq!(event["state"], "done", "{event}\n{}", self.console(&ordered.machine));
    }

    pub fn machine(&self, id: &str) -> Value {
        self.get(&format!("/v1/machines/{id}"))
    }

    /// The machines and what they are doing.
    pub fn machines(&self) -> BTreeMap<String, String> {
        let page = self.get("/v1/machines?limit=120");
        let items = page["items"].as_array().unwrap();
        items.iter().map(|machine| (text(&machine["id"]), text(&machine["state"]))).collect()
    }

    /// The guest of a machine with a public address.
    pub fn guest(&self, machine: &str) -> Guest {
        self.guest_with(machine, "key")
    }

    /// The guest, for the holder of that key.
    pub fn guest_with(&self, machine: &str, key: &str) -> Guest {
        Guest { address: text(&self.machine(machine)["publicIp"]), key: self.folder.path().join(key) }
    }

    /// All that a machine's serial log holds.
    pub fn console(&self, machine: &str) -> String {
        let log =
            self.ask("GET", &format!("/v1/machines/{machine}/console-log?bytes=1048576"), &Value::Null, None);
        log.map(|(_, log)| log["text"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }

    /// Sees that the host has nothing that the server does not know of.
    pub fn assert_no_leak(&self) {
        assert_eq!(self.deckle(&["admin", "leak", "list", "-o", "json"]).trim(), "[]");
    }

    /// Deletes all that the world has, and sees that nothing of it is left on the host.
    pub fn end(mut self) {
        let orders: Vec<_> = self.machines().keys().map(|machine| self.remove(machine)).collect();
        orders.iter().for_each(|ordered| self.done(ordered));
        for drive in self.get("/v1/shared-drives")["items"].as_array().unwrap() {
            self.delete(&format!("/v1/shared-drives/{}", text(&drive["id"])));
        }
        for template in self.get("/v1/custom-templates")["items"].as_array().unwrap() {
            self.delete(&format!("/v1/custom-templates/{}", text(&template["id"])));
        }
        for claimed in self.get("/v1/public-ips")["items"].as_array().unwrap() {
            self.delete(&format!("/v1/public-ips/{}", text(&claimed["ip"])));
        }
        for network in self.get("/v1/private-networks")["items"].as_array().unwrap() {
            self.delete(&format!("/v1/private-networks/{}", text(&network["id"])));
        }
        let templates = http::json(&self.deckle(&["admin", "template", "list", "-o", "json"]));
        for template in templates.as_array().unwrap() {
            self.deckle(&["admin", "template", "delete", &text(&template["template"]["id"]), "--yes"]);
        }
        let begin = |left: &String| !left.starts_with("process") && !left.starts_with("table");
        wait("nothing but the server is left", ORDER, || {
            (!self.installation().leftovers().iter().any(begin)).then_some(())
        });
        self.assert_no_leak();
        self.server.end();
        self.installation().remove_table();
        assert_eq!(self.installation().leftovers(), Vec::<String>::new());
    }
}

impl Drop for World {
    /// Ends all that was started, also after a failed test.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log ended with\n{}", tail(&self.start.log));
        }
        self.server.kill();
        self.installation().wipe();
    }
}

impl Ordered {
    pub fn of(answer: &Value) -> Self {
        Self { machine: text(&answer["data"]["id"]), event: text(&answer["event"]["id"]) }
    }
}

/// A small machine with a public address, changed by `more`.
pub fn wanted(name: &str, more: Value) -> Value {
    let mut wanted = json!({
        "name": name, "machineType": "C1", "templateId": SMALL, "diskSize": 10, "region": "ny2",
        "publicIpType": "dynamic",
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        wanted[field] = value.clone();
    }
    wanted
}

/// The image that a variable names.
pub fn image(variable: &str, recipe: &str) -> PathBuf {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let file = named.unwrap_or_else(|| panic!("{variable} must name the image that {recipe} makes"));
    assert!(file.exists(), "{variable}: there is no {}", file.display());
    file
}

/// A JSON text.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}
