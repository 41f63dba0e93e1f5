//! No file, module or type is named with a word that says nothing.

use super::Finding;
use super::source::{Source, is_word};
use super::tree::Tree;

const EMPTY: [&str; 13] = [
    "util", "utils", "utility", "helper", "helpers", "common", "manager", "base", "misc", "data", "info",
    "infos", "managers",
];
/// What comes before the name of a module or a type.
const KEYWORDS: [&str; 6] = ["mod", "struct", "enum", "trait", "type", "union"];
const CURE: &str = "name it after what it is or does; if there is no noun for it, it is not understood yet";

pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.sources.iter().flat_map(|source| path_names(source).chain(declared_names(source))).collect()
}

fn path_names(source: &Source) -> impl Iterator<Item = Finding> {
    let names = source.file.trim_end_matches(".rs").split('/');
    let empty = names.filter(|name| snake_says_nothing(name));
    empty.map(|name| Finding::new(&source.file, 1, format!("the file or folder {name} says nothing"), CURE))
}

fn declared_names(source: &Source) -> impl Iterator<Item = Finding> {
    let lines = source.code.lines().enumerate();
    lines.flat_map(|(number, line)| {
        let words: Vec<&str> = line.split(|char| !is_word(char)).filter(|word| !word.is_empty()).collect();
        let pairs = words.windows(2).filter(|pair| declares_nothing(pair[0], pair[1]));
        let wrong = pairs.map(|pair| format!("the {} {} says nothing", pair[0], pair[1]));
        wrong.map(|wrong| Finding::new(&source.file, number + 1, wrong, CURE)).collect::<Vec<_>>()
    })
}

fn declares_nothing(keyword: &str, name: &str) -> bool {
    KEYWORDS.contains(&keyword)
        && match keyword {
            "mod" => snake_says_nothing(name),
            _ => says_nothing(last_word(name)),
        }
}

fn snake_says_nothing(name: &str) -> bool {
    name.split(['_', '-']).any(says_nothing)
}

fn says_nothing(word: &str) -> bool {
    EMPTY.contains(&word.to_lowercase().as_str())
}

/// The last word of a name in camel case.
fn last_word(name: &str) -> &str {
    name.rfind(char::is_uppercase).map_or(name, |at| &name[at..])
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::check;

    #[test]
    fn empty_words_are_found() {
        let files = [
            ("crates/api/src/util.rs", 1),
            ("crates/api/src/common/ids.rs", 1),
            ("crates/api/src/db_base.rs", 1),
        ];
        for (file, number) in files {
            assert_eq!(found(check, file, "").len(), number, "{file}");
        }
        let text = "mod helpers;\npub struct MachineManager {\n}\nenum DiskInfo {}\ntype Data = u8;";
        let told = [
            "1: the mod helpers says nothing",
            "2: the struct MachineManager says nothing",
            "4: the enum DiskInfo says nothing",
            "5: the type Data says nothing",
        ];
        assert_eq!(found(check, "crates/api/src/ids.rs", text), told);
    }

    #[test]
    fn words_that_only_hold_them_are_not() {
        let text = "mod database;\nstruct Information;\nstruct DataDisk;\n// struct Info\nlet manager = 1;";
        assert!(found(check, "crates/api/src/basement.rs", text).is_empty());
    }
}
