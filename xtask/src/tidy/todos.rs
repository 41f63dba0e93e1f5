//! What is left to do has an issue: `TODO(#123)`, or it is not in the code.

use super::Finding;
use super::source::is_word;
use super::tree::Tree;

const MARKS: [&str; 3] = ["TODO", "FIXME", "XXX"];
const CURE: &str = "do it, or open an issue and write `TODO(#123)` with its number";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.sources.iter().map(|source| (&source.file, &source.comments));
    let statements = tree.texts.iter().filter(|(file, _)| file.ends_with(".sql"));
    let mut findings = Vec::new();
    for (file, text) in sources.chain(statements.map(|(file, text)| (file, text))) {
        for (number, line) in text.lines().enumerate() {
            let bare = MARKS.iter().filter(|mark| is_bare(line, mark));
            findings.extend(bare.map(|mark| Finding::new(file, number + 1, format!("a bare {mark}"), CURE)));
        }
    }
    findings
}

/// Whether a line has the mark as a word, without an issue.
fn is_bare(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + mark.len()..]);
        let word = !before.ends_with(is_word) && !after.starts_with(is_word);
        word && !(mark == "TODO" && has_issue(after))
    })
}

fn has_issue(after: &str) -> bool {
    let number = after.strip_prefix("(#").and_then(|rest| rest.split_once(')'));
    number.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn a_bare_mark_is_found_in_comments() {
        let text =
            "// TODO: later\n// TODO(#12): later\n/* FIXME */ let a = \"TODO\";\n// TODO(soon)\n// XXX\n";
        let told = ["1: a bare TODO", "3: a bare FIXME", "4: a bare TODO", "5: a bare XXX"];
        assert_eq!(found(check, "crates/api/src/ids.rs", text), told);
        assert_eq!(
            found(check, "crates/control/src/store/migrations/0001_a.sql", "-- TODO index\n").len(),
            1
        );
    }

    #[test]
    fn other_words_are_not_marks() {
        assert!(found(check, "crates/api/src/ids.rs", "// TODOS and MXXXL\nlet TODO = 1;\n").is_empty());
    }
}
