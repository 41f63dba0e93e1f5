//! Every path that a file's code names, followed through the file's own imports.

use std::collections::BTreeMap;

use super::source::{Source, is_word};

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
    let mut reader = Reader { tokens: tokens(&source.code), at: 0, found: Vec::new() };
    reader.read(&source.module());
    let Reader { found, .. } = reader;
    let imports = found.iter().filter_map(|raw| Some((raw.import.clone()?, raw.clone()))).collect();
    let submodules = found.iter().filter(|raw| raw.is_submodule).map(|raw| raw.path[0].clone()).collect();
    let names = Names { imports, submodules };
    let named = found.iter().filter(|raw| !raw.is_submodule);
    named.map(|raw| Named { line: raw.line, from: raw.from.clone(), to: names.resolve(raw, 0) }).collect()
}

#[derive(Debug, Clone)]
struct Raw {
    line: usize,
    from: Vec<String>,
    path: Vec<String>,
    /// The name that an import brings in.
    import: Option<String>,
    /// Whether it is the `mod name;` of a submodule.
    is_submodule: bool,
}

struct Names {
    imports: BTreeMap<String, Raw>,
    submodules: Vec<String>,
}

impl Names {
    fn resolve(&self, raw: &Raw, depth: usize) -> Vec<String> {
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

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Sign(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(char) = chars.next() {
        if is_word(char) {
            let mut word = String::from(char);
            while let Some(next) = chars.next_if(|next| is_word(*next)) {
                word.push(next);
            }
            tokens.push((line, Token::Word(word)));
        } else if char == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push((line, Token::Colons));
        } else if char == '\n' {
            line += 1;
        } else if !char.is_whitespace() {
            tokens.push((line, Token::Sign(char)));
        }
    }
    tokens
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    found: Vec<Raw>,
}

impl Reader {
    fn read(&mut self, file: &[String]) {
        let mut from = file.to_vec();
        let mut opened = Vec::new();
        let mut depth = 0;
        while let Some((line, token)) = self.tokens.get(self.at) {
            let line = *line;
            match token {
                Token::Word(word) if word == "mod" => {
                    let Some(name) = self.word(1) else {
                        self.at += 1;
                        continue;
                    };
                    if self.sign(2, '{') {
                        opened.push(depth);
                        from.push(name);
                        depth += 1;
                    } else {
                        let path = vec![name];
                        self.found.push(Raw {
                            line,
                            from: from.clone(),
                            path,
                            import: None,
                            is_submodule: true,
                        });
                    }
                    self.at += 3;
                }
                Token::Word(word) if word == "use" => {
                    self.at += 1;
                    self.branch(&from, &[]);
                }
                Token::Word(_) => self.path(&from),
                Token::Sign('{') => {
                    depth += 1;
                    self.at += 1;
                }
                Token::Sign('}') => {
                    depth -= 1;
                    self.at += 1;
                    if opened.last() == Some(&depth) {
                        opened.pop();
                        from.pop();
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn word(&self, ahead: usize) -> Option<String> {
        match self.tokens.get(self.at + ahead) {
            Some((_, Token::Word(word))) => Some(word.clone()),
            _ => None,
        }
    }

    fn sign(&self, ahead: usize, sign: char) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some((_, Token::Sign(there))) if *there == sign)
    }

    fn colons(&self) -> bool {
        matches!(self.tokens.get(self.at), Some((_, Token::Colons)))
    }

    /// A path in an expression, a type or a macro.
    fn path(&mut self, from: &[String]) {
        let line = self.tokens[self.at].0;
        let mut path = Vec::new();
        while let Some(word) = self.word(0) {
            path.push(word);
            self.at += 1;
            if !self.colons() || !matches!(self.tokens.get(self.at + 1), Some((_, Token::Word(_)))) {
                break;
            }
            self.at += 1;
        }
        if path.len() > 1 {
            self.found.push(Raw { line, from: from.to_vec(), path, import: None, is_submodule: false });
        }
    }

    /// One branch of an import's tree, up to its comma, its closing brace or its semicolon.
    fn branch(&mut self, from: &[String], trunk: &[String]) {
        let mut path = trunk.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        let mut import = None;
        while let Some((_, token)) = self.tokens.get(self.at) {
            match token {
                Token::Sign('{') => {
                    self.at += 1;
                    while self.at < self.tokens.len() && !self.sign(0, '}') {
                        self.branch(from, &path);
                        if self.sign(0, ',') {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Token::Sign(',' | '}' | ';') => break,
                Token::Word(word) if word == "as" => {
                    import = self.word(1);
                    self.at += 2;
                }
                Token::Word(word) if word == "self" && !path.is_empty() => self.at += 1,
                Token::Word(word) => {
                    path.push(word.clone());
                    self.at += 1;
                }
                Token::Sign('*') => {
                    path.push("*".to_owned());
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        let import = import.or_else(|| path.last().cloned());
        self.found.push(Raw { line, from: from.to_vec(), path, import, is_submodule: false });
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
