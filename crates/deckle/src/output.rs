//! What a command prints: tables for people, the API's JSON for scripts.
//!
//! Standard output carries the answer and nothing else; everything said about the work is on standard
//! error. A pipe that is closed early ends a command quietly.

use std::io::{self, ErrorKind, Write};
use std::process;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// The API's own JSON, for scripts. A list is its page; with --all, the array of all its items.
    Json,
}

/// An object that can stand in a table.
pub trait Shown: DeserializeOwned {
    /// The heads of its columns.
    const COLUMNS: &'static [&'static str];

    /// Its cells, one for each column.
    fn cells(&self) -> Vec<String>;

    /// Everything that is told of it when it stands alone.
    fn facts(&self) -> Vec<(&'static str, String)> {
        Self::COLUMNS.iter().copied().zip(self.cells()).collect()
    }
}

impl Format {
    /// Prints one object.
    pub fn one<T: Shown>(self, answer: &Value) -> Result<()> {
        match self {
            Self::Json => print_json(answer),
            Self::Table => {
                let facts = view::<T>(answer)?.facts();
                let rows = facts.into_iter().map(|(name, fact)| vec![name.to_lowercase(), fact]).collect();
                print(&aligned(rows))
            }
        }
    }

    /// Says that something is gone whose answer has nothing to show.
    pub fn gone(self, answer: &Value, said: &str) -> Result<()> {
        match self {
            Self::Json => print_json(answer),
            Self::Table => {
                eprintln!("{said}");
                Ok(())
            }
        }
    }

    /// Prints a list: a page of the API, an object with its items alone, or an array.
    pub fn list<T: Shown>(self, answer: &Value) -> Result<()> {
        if self == Self::Json {
            return print_json(answer);
        }
        let heads = T::COLUMNS.iter().map(|head| (*head).to_owned()).collect();
        let rows = items(answer).iter().map(|item| Ok(view::<T>(item)?.cells()));
        let rows = std::iter::once(Ok(heads)).chain(rows).collect::<Result<Vec<_>>>()?;
        print(&aligned(rows))?;
        if let Some(next) = answer.get("nextPage").and_then(Value::as_str) {
            eprintln!("there are more: --all, or --after {next}");
        }
        Ok(())
    }
}

/// Prints rows as a table; the first has the heads of the columns.
pub fn print_table(rows: Vec<Vec<String>>) -> Result<()> {
    print(&aligned(rows))
}

/// An answer as the object that it should be.
pub fn view<T: DeserializeOwned>(answer: &Value) -> Result<T> {
    serde_json::from_value(answer.clone())
        .context("read the answer: the server and this client may be of different versions")
}

/// The items of a list, however it is wrapped.
pub fn items(answer: &Value) -> &[Value] {
    let list = answer.get("items").unwrap_or(answer);
    list.as_array().map_or(&[], Vec::as_slice)
}

/// Prints JSON as it came, indented.
pub fn print_json(answer: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(answer).context("write JSON")?;
    print(&format!("{text}\n"))
}

/// Prints text to standard output.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        written => written.context("write to standard output"),
    }
}

/// A cell of something that may be missing.
pub fn or_dash(cell: Option<impl ToString>) -> String {
    cell.map_or_else(|| "-".to_owned(), |cell| cell.to_string())
}

/// A size in the unit that people say it in.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() / 10).min(4) as usize;
    let shown = bytes as f64 / 1024_f64.powi(power as i32);
    let digits = usize::from(shown.fract() != 0.0 && shown < 100.0);
    format!("{shown:.digits$} {}", UNITS[power])
}

/// A word of the wire, as it is on the wire.
pub fn word(word: impl serde::Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(Value::String(word)) => word,
        other => other.map(|value| value.to_string()).unwrap_or_default(),
    }
}

/// A text of one line that does not move the cursor.
pub fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Two blanks between columns, none at the end of a line, and no control characters from anyone.
fn aligned(rows: Vec<Vec<String>>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", plain(cell)));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (bytes, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (512 << 20, "512 MiB"),
            (50 << 30, "50 GiB"),
            (3 << 39, "1.5 TiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(size(bytes), said);
        }
    }

    #[test]
    fn columns_are_aligned_and_nothing_moves_the_cursor() {
        let rows = [["ID", "NAME", "X"], ["ps1", "é\u{1b}[2J", ""], ["ps22", "b", "-"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        assert_eq!(aligned(rows), "ID    NAME   X\nps1   é\u{fffd}[2J\nps22  b      -\n");
    }
}
