//! A released migration is never edited and never taken away.
//!
//! `migrations.lock` has a line `CHECKSUM  NAME` for each released one, as `b3sum` prints it. One that is
//! not listed is not released and may still change.

use super::Finding;
use super::tree::Tree;

const LOCK: &str = "crates/control/src/store/migrations.lock";
const FOLDER: &str = "crates/control/src/store/migrations";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let text_of = |file: &str| tree.texts.iter().find(|(name, _)| name == file).map(|(_, text)| text);
    let mut findings = Vec::new();
    for (number, line) in text_of(LOCK).map_or("", String::as_str).lines().enumerate() {
        let number = number + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((checksum, name)) = line.split_once("  ") else {
            let cure = "write it as `b3sum NAME` prints it";
            findings.push(Finding::new(LOCK, number, "not a checksum, two spaces and a name", cure));
            continue;
        };
        let wrong = match text_of(&format!("{FOLDER}/{name}")) {
            None => format!("the released migration {name} is gone"),
            Some(text) if blake3::hash(text.as_bytes()).to_hex().as_str() != checksum => {
                format!("the released migration {name} was edited")
            }
            Some(_) => continue,
        };
        let cure = "put it back as it was released, and write the change as a new migration";
        findings.push(Finding::new(LOCK, number, wrong, cure));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(lock: &str) -> Vec<String> {
        let first = format!("{FOLDER}/0001_first.sql");
        let tree = Tree::of(&[(&first, "CREATE TABLE a (b TEXT);\n"), (LOCK, lock)]);
        check(&tree).into_iter().map(|finding| finding.wrong).collect()
    }

    #[test]
    fn a_released_migration_stays_as_it_is() {
        let right = blake3::hash(b"CREATE TABLE a (b TEXT);\n").to_hex();
        let other = blake3::hash(b"CREATE TABLE a (b BLOB);\n").to_hex();
        assert!(wrong(&format!("# released\n{right}  0001_first.sql\n")).is_empty());
        assert_eq!(
            wrong(&format!("{other}  0001_first.sql\n")),
            ["the released migration 0001_first.sql was edited"]
        );
        assert_eq!(
            wrong(&format!("{right}  0002_second.sql\n")),
            ["the released migration 0002_second.sql is gone"]
        );
        assert_eq!(wrong("0001_first.sql\n"), ["not a checksum, two spaces and a name"]);
    }

    #[test]
    fn an_unreleased_one_may_change() {
        assert!(wrong("").is_empty());
    }
}
