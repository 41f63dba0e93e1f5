//! Every path that a file's code names, followed through the file's own imports.

use std::collections::BTreeMap;

use super::source::Source;
use super::written::{Written, written};

/// A path in code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    /// The module that it stands in, as names from the crate's root.
    pub from: Vec<String>,
    /// The path, with `crate` at its head where it leads into the same crate.
    pub to: Vec<String>,
}

impl Named {
    /// Whether it stands among tests.
    pub fn in_tests(&self) -> bool {
        self.from.iter().any(|name| name == "tests")
    }

    /// Whether the path begins so.
    pub fn leads_to(&self, begin: &[&str]) -> bool {
        self.to.len() >= begin.len() && self.to.iter().zip(begin).all(|(name, asked)| name == asked)
    }

    /// The path as it is written.
    pub fn shown(&self) -> String {
        self.to.join("::")
    }
}

/// Every path of two names or more, and every import.
pub fn paths(source: &Source) -> Vec<Named> {
    let found = written(&source.code, &source.module());
    let imports = found.iter().filter_map(|raw| Some((raw.import.clone()?, raw.clone()))).collect();
    let submodules = found.iter().filter(|raw| raw.is_submodule).map(|raw| raw.path[0].clone()).collect();
    let names = Names { imports, submodules };
    let named = found.iter().filter(|raw| !raw.is_submodule);
    named.map(|raw| Named { line: raw.line, from: raw.from.clone(), to: names.resolve(raw, 0) }).collect()
}

struct Names {
    imports: BTreeMap<String, Written>,
    submodules: Vec<String>,
}

impl Names {
    fn resolve(&self, raw: &Written, depth: usize) -> Vec<String> {
        /// Imports may name imports, but not without end.
        const DEPTH_MAX: usize = 4;
        let (Some(head), rest) = (raw.path.first(), raw.path.get(1..).unwrap_or_default()) else {
            return Vec::new();
        };
        let inside = |module: &[String], rest: &[String]| {
            let head = std::iter::once("crate".to_owned());
            head.chain(module.iter().cloned()).chain(rest.iter().cloned()).collect()
        };
        match head.as_str() {
            "crate" => raw.path.clone(),
            "self" => inside(&raw.from, rest),
            "super" => {
                let ups = raw.path.iter().take_while(|name| *name == "super").count();
                inside(&raw.from[..raw.from.len().saturating_sub(ups)], &raw.path[ups..])
            }
            _ => match self.imports.get(head) {
                Some(import) if depth < DEPTH_MAX && import.path != raw.path => {
                    let mut path = self.resolve(import, depth + 1);
                    path.extend(rest.iter().cloned());
                    path
                }
                _ if self.submodules.contains(head) => inside(&raw.from, &raw.path),
                _ => raw.path.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let named = paths(&Source::new("crates/control/src/teams/service.rs", text));
        named.iter().map(|named| format!("{} {}", named.line, named.shown())).collect()
    }

    #[test]
    fn imports_are_followed() {
        let text = "use super::store::{self, keys as k};\nuse crate::{machines, error::Error};\n\
                    fn f() { store::find(); machines::store::find(); k::Entity::all(); }";
        let all = [
            "1 crate::teams::store",
            "1 crate::teams::store::keys",
            "2 crate::machines",
            "2 crate::error::Error",
            "3 crate::teams::store::find",
            "3 crate::machines::store::find",
            "3 crate::teams::store::keys::Entity::all",
        ];
        assert_eq!(shown(text), all);
    }

    #[test]
    fn inner_modules_count() {
        let text =
            "mod store {\n    use super::super::names;\n}\nmod tests { use super::*; fn f() { a::b(); } }";
        let source = Source::new("crates/control/src/regions.rs", text);
        let from: Vec<_> = paths(&source).iter().map(|named| named.from.join("::")).collect();
        assert_eq!(from, ["regions::store", "regions::tests", "regions::tests"]);
        assert_eq!(paths(&source)[0].shown(), "crate::names");
        assert!(paths(&source)[1].in_tests());
    }
}
