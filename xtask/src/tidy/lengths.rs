//! A file past 500 lines holds two nouns.

use super::Finding;
use super::tree::Tree;

const LINES_MAX: usize = 500;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let inside = tree.sources_in("crates/").filter(|source| source.file.contains("/src/"));
    let long = inside.filter(|source| source.code.lines().count() > LINES_MAX);
    let told = long.map(|source| {
        let wrong = format!("{} lines, more than {LINES_MAX}", source.code.lines().count());
        Finding::new(
            &source.file,
            LINES_MAX + 1,
            wrong,
            "find the seam between its two nouns and make them two files",
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::{LINES_MAX, check};

    #[test]
    fn a_long_file_is_found() {
        let text = "//\n".repeat(LINES_MAX);
        assert!(found(check, "crates/api/src/ids.rs", &text).is_empty());
        let text = format!("{text}//\n");
        assert_eq!(found(check, "crates/api/src/ids.rs", &text), ["501: 501 lines, more than 500"]);
        assert!(found(check, "crates/api/tests/it/main.rs", &text).is_empty());
    }
}
