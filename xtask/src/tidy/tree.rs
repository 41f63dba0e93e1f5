//! The project's files, in memory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::source::Source;

/// Where files of ours lie.
const FOLDERS: [&str; 2] = ["crates", "xtask"];
/// What files are read, by the ends of their names.
const KINDS: [&str; 4] = [".rs", ".toml", ".sql", ".lock"];

/// The files that rules look at.
#[derive(Default)]
pub struct Tree {
    /// Rust files.
    pub sources: Vec<Source>,
    /// All others, each with its text.
    pub texts: Vec<(String, String)>,
}

impl Tree {
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        for folder in FOLDERS {
            tree.read_folder(root, folder)?;
        }
        Ok(tree)
    }

    /// The files whose path begins with a folder's.
    pub fn sources_in(&self, folder: &str) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| source.file.starts_with(folder))
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> Result<()> {
        let path = root.join(folder);
        let entries = fs::read_dir(&path).with_context(|| format!("read {}", path.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()));
        }
        names.sort();
        for (name, is_folder) in names {
            let file = format!("{folder}/{name}");
            if is_folder && name != "target" {
                self.read_folder(root, &file)?;
            } else if KINDS.iter().any(|kind| name.ends_with(kind)) {
                let text = fs::read_to_string(root.join(&file)).with_context(|| format!("read {file}"))?;
                self.add(&file, text);
            }
        }
        Ok(())
    }

    fn add(&mut self, file: &str, text: String) {
        match file.ends_with(".rs") {
            true => self.sources.push(Source::new(file, &text)),
            false => self.texts.push((file.to_owned(), text)),
        }
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (file, text) in files {
            tree.add(file, (*text).to_owned());
        }
        tree
    }
}
