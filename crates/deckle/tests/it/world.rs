//! Runs `deckle` against a server, and compares what it prints with a transcript.
//!
//! A world knows only where a server is, so the same stories run against canned answers and against a
//! real server: `World::at(story, url, key)`, and `learn` for the ids that a real one makes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What a moment looks like in a transcript: as long as a real one, so that columns stay where they are.
const MOMENT: &str = "YYYY-MM-DDThh:mm:ss.mmmZ";

/// How many characters a new id has after its prefix.
const MINTED_CHARS: usize = 8;

/// How much of a command line a file is named after.
const NAME_CHARS_MAX: usize = 100;

/// A place to run commands in: a home, a state folder, a server.
pub struct World {
    story: &'static str,
    home: TempDir,
    environment: Vec<(&'static str, String)>,
    /// What is written otherwise in transcripts.
    stand_ins: Vec<(String, String)>,
    learned: u32,
    /// How often a command line was recorded.
    recorded: HashMap<String, u32>,
}

impl World {
    /// A world without a server, and without a variable that names one.
    pub fn nowhere(story: &'static str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().to_str().unwrap().to_owned();
        let path = std::env::var("PATH").unwrap();
        let state = format!("{root}/state");
        fs::create_dir(&state).unwrap();
        Self {
            story,
            home,
            environment: vec![
                ("PATH", format!("{root}/bin:{path}")),
                ("HOME", root.clone()),
                ("DECKLE_STATE", state.clone()),
            ],
            stand_ins: vec![(state, "STATE".to_owned()), (root, "HOME".to_owned())],
            learned: 0,
            recorded: HashMap::new(),
        }
    }

    /// A world whose commands talk to a server.
    pub fn at(story: &'static str, url: &str, key: &str) -> Self {
        let mut world = Self::nowhere(story);
        world.set("DECKLE_API_KEY", key);
        world.go_to(url);
        world
    }

    /// Has the commands that follow talk to a server.
    pub fn go_to(&mut self, url: &str) {
        self.set("DECKLE_URL", url);
        self.stands_for("SERVER", url);
        self.stands_for("SERVER", url.trim_start_matches("http://").trim_start_matches("https://"));
    }

    /// Sets a variable for all commands that follow.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| *known != name);
    }

    /// Writes a text in its place from now on.
    pub fn stands_for(&mut self, name: &str, text: &str) {
        self.stand_ins.push((text.to_owned(), name.to_owned()));
    }

    /// Learns an id that a real server made: in transcripts its tail becomes a number of the same length,
    /// in the order of learning.
    pub fn learn(&mut self, prefix: &str, id: &str) {
        self.learned += 1;
        let nth = self.learned;
        let width = id.len() - prefix.len();
        self.stand_ins.push((id.to_owned(), format!("{prefix}{nth:0width$}")));
    }

    /// Runs a command that makes objects, and learns their new ids, one for each prefix, before it compares.
    pub fn make<const N: usize>(&mut self, line: &str, prefixes: [&str; N]) -> [String; N] {
        let output = self.command(line).output().unwrap();
        let text = String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap();
        let made = prefixes.map(|prefix| {
            let id = self.new_id(&text, prefix).unwrap_or_else(|| panic!("{line} made no {prefix}: {text}"));
            self.learn(prefix, &id);
            id
        });
        self.compare(line, &output);
        made
    }

    fn new_id(&self, text: &str, prefix: &str) -> Option<String> {
        let is_new = |word: &&str| {
            word.len() == prefix.len() + MINTED_CHARS
                && word.starts_with(prefix)
                && self.stand_ins.iter().all(|(known, _)| known != word)
        };
        text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_new).map(str::to_owned)
    }

    /// The folder that stands for the user's home; commands run in it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.home().join("state")
    }

    /// Puts a program before those of the host.
    pub fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let file = self.home().join("bin").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A command, ready to run.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deckle"));
        command.args(line.split(' ')).env_clear().current_dir(self.home()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command, and compares all it prints, and its exit code, with its transcript.
    pub fn run(&mut self, line: &str) -> Output {
        let output = self.command(line).output().unwrap();
        self.compare(line, &output);
        output
    }

    /// Compares what a command came to with its transcript.
    pub fn compare(&mut self, line: &str, output: &Output) {
        let text = self.transcript(line, output);
        let file = self.file(line);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let golden = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            golden == text,
            "{} says\n{golden}\nand this is\n{text}\nUPDATE_GOLDEN=1 writes it anew",
            file.display()
        );
    }

    fn transcript(&self, line: &str, output: &Output) -> String {
        let mut text = format!("$ deckle {line}\n{}", String::from_utf8_lossy(&output.stdout));
        if !output.stderr.is_empty() {
            write!(text, "[standard error]\n{}", String::from_utf8_lossy(&output.stderr)).unwrap();
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => writeln!(text, "[exit code {code}]").unwrap(),
            None => writeln!(text, "[{}]", output.status).unwrap(),
        }
        let shown = self.stand_ins.iter().fold(text, |text, (from, to)| text.replace(from, to));
        without_moments(&shown)
    }

    fn file(&mut self, line: &str) -> PathBuf {
        let shown = self.stand_ins.iter().fold(line.to_owned(), |text, (from, to)| text.replace(from, to));
        let name: String = shown.replace(['/', ' '], "_").chars().take(NAME_CHARS_MAX).collect();
        let times = self.recorded.entry(name.clone()).or_default();
        *times += 1;
        let nth = if *times == 1 { String::new() } else { format!("~{times}") };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(self.story);
        folder.join(format!("{name}{nth}.txt"))
    }
}

/// Replaces every moment of this century.
fn without_moments(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("20") {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        let length = if from.get(..MOMENT.len()).is_some_and(is_moment) { MOMENT.len() } else { 2 };
        shown.push_str(if length == 2 { "20" } else { MOMENT });
        rest = &from[length..];
    }
    shown + rest
}

fn is_moment(text: &str) -> bool {
    text.bytes().zip(MOMENT.bytes()).all(|(is, model)| match model {
        b'-' | b':' | b'.' | b'T' | b'Z' => is == model,
        _ => is.is_ascii_digit(),
    })
}
