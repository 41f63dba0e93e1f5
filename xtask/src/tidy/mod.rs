//! The rules of the house style that a program can check.
//!
//! They read text, not types: comments and literals are taken out, paths are followed through the imports
//! of their own file. What a macro writes or a glob brings in is not seen.
//!
//! **Invariant**: a rule is a function from the tree to what is wrong with it, and its file shows it
//! failing on a bad text and passing on a good one.

mod dependencies;
mod layers;
mod lengths;
mod migrations;
mod names;
mod paths;
mod programs;
mod queries;
mod source;
mod todos;
mod tree;
mod written;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use tree::Tree;

/// A rule.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    dependencies::check,
    layers::check,
    lengths::check,
    migrations::check,
    names::check,
    programs::check,
    queries::check,
    todos::check,
];

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    line: usize,
    wrong: String,
    cure: String,
}

impl Finding {
    fn new(file: &str, line: usize, wrong: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, wrong: wrong.into(), cure: cure.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, wrong, cure } = self;
        write!(f, "{file}:{line}: {wrong}\n    cure: {cure}")
    }
}

/// Prints all that breaks a rule, and fails if anything does.
pub fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        number => bail!("tidy: {number} things to mend"),
    }
}

/// What a rule finds in one file with one text, each as `line: wrong`.
#[cfg(test)]
fn found(rule: Rule, file: &str, text: &str) -> Vec<String> {
    let findings = rule(&Tree::of(&[(file, text)]));
    assert!(findings.iter().all(|finding| finding.file == file && !finding.cure.is_empty()), "{findings:?}");
    findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.wrong)).collect()
}
