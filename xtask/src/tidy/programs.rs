//! Only the Linux engine's `command.rs` starts programs.

use super::Finding;
use super::paths::{Named, paths};
use super::tree::Tree;

const FOLDERS: [&str; 2] = ["crates/control/src/", "crates/engine/src/"];
const COMMAND: &str = "crates/engine/src/linux/command.rs";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in FOLDERS.iter().flat_map(|folder| tree.sources_in(folder)) {
        if source.file == COMMAND {
            continue;
        }
        for named in paths(source).iter().filter(|named| starts_programs(named) && !named.in_tests()) {
            let wrong = format!("{} outside command.rs", named.shown());
            findings.push(Finding::new(&source.file, named.line, wrong, cure(&source.file)));
        }
    }
    findings
}

fn starts_programs(named: &Named) -> bool {
    let [.., before, last] = named.to.as_slice() else { return false };
    let process = named.to.windows(2).any(|pair| pair[0] == "process" && pair[1] == "Command");
    let fork = ["nix", "libc"].iter().any(|root| named.leads_to(&[root]))
        && (last.starts_with("exec") || last == "fork" || last == "posix_spawn");
    process || fork || (before == "Command" && last == "new")
}

fn cure(file: &str) -> &'static str {
    match file.starts_with("crates/engine") {
        true => "start it with `linux::command`; give that a word for what it lacks",
        false => "ask the engine: the mind starts nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::{COMMAND, check};

    const START: &str = "use tokio::process::Command;\nfn f() {\n    Command::new(\"true\");\n}";

    #[test]
    fn nobody_else_starts_programs() {
        let told = [
            "1: tokio::process::Command outside command.rs",
            "3: tokio::process::Command::new outside command.rs",
        ];
        assert_eq!(found(check, "crates/engine/src/linux/vm/start.rs", START), told);
        assert_eq!(
            found(check, "crates/control/src/app.rs", "fn f() { std::process::Command::new(x); }").len(),
            1
        );
        assert_eq!(
            found(check, "crates/engine/src/linux/vm/mod.rs", "use nix::unistd::{execv, fork};").len(),
            2
        );
    }

    #[test]
    fn command_and_tests_do() {
        assert!(found(check, COMMAND, START).is_empty());
        let tests = format!("mod tests {{\n{START}\n}}");
        assert!(found(check, "crates/engine/src/linux/vm/start.rs", &tests).is_empty());
        assert!(
            found(check, "crates/engine/src/linux/vm/start.rs", "// Command::new\nuse std::process::Stdio;")
                .is_empty()
        );
    }
}
