//! What a run was asked for.

use anyhow::{Context, Result, bail, ensure};

pub const HELP: &str = "\
cargo xtask bench [OPTION…]

  --machines N   how many machines the crowd has [10000]
  --clients N    how many clients make and read them at the same time [16]
  --rounds N     how often a real machine is booted, and how often a snapshot
                 of each disk is taken [5]
  --only NAME    one part: `crowd` (pretended machines through the API),
                 `networks` (many networks and addresses, the last beside the first),
                 `boot` (a real machine against a bare QEMU) or `snapshots`
                 (of large disks, by the engine and by hand)
  --json         the figures as JSON";

/// The parts of a run.
const PARTS: [&str; 4] = ["crowd", "networks", "boot", "snapshots"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub machines: usize,
    pub clients: usize,
    pub rounds: usize,
    pub only: Option<String>,
    pub json: bool,
    pub help: bool,
}

impl Options {
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options =
            Self { machines: 10_000, clients: 16, rounds: 5, only: None, json: false, help: false };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value\n\n{HELP}"));
            match word.as_str() {
                "--machines" => options.machines = count(&word, &value()?)?,
                "--clients" => options.clients = count(&word, &value()?)?,
                "--rounds" => options.rounds = count(&word, &value()?)?,
                "--only" => options.only = Some(part(value()?)?),
                "--json" => options.json = true,
                "--help" | "-h" => options.help = true,
                _ => bail!("bench takes no {word:?}\n\n{HELP}"),
            }
        }
        Ok(options)
    }

    /// Whether a part is asked for.
    pub fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

fn count(option: &str, text: &str) -> Result<usize> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.with_context(|| format!("{option} expects a number from 1 on, not {text:?}"))
}

fn part(name: String) -> Result<String> {
    ensure!(PARTS.contains(&name.as_str()), "--only expects one of {PARTS:?}, not {name:?}");
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options> {
        Options::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_wrong_ones_named() {
        let options = read("--machines 500 --only crowd --json").unwrap();
        assert_eq!((options.machines, options.clients, options.json), (500, 16, true));
        assert!(options.wants("crowd") && !options.wants("boot"));
        for (line, told) in [
            ("--machines 0", "--machines expects"),
            ("--clients", "--clients needs a value"),
            ("--only nothing", "--only expects"),
            ("--fast", "bench takes no \"--fast\""),
        ] {
            assert!(read(line).unwrap_err().to_string().starts_with(told), "{line}");
        }
    }
}
