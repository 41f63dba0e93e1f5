//! Every path in a file's code as it is written: what comes before [`super::paths`] follows it.

use super::source::is_word;

/// A path as it is written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The module that it stands in.
    pub from: Vec<String>,
    /// Its names.
    pub path: Vec<String>,
    /// The name that an import brings in.
    pub import: Option<String>,
    /// Whether it is the `mod name;` of a submodule.
    pub is_submodule: bool,
}

/// Every path of two names or more, every import and every submodule of a file that is a module.
pub fn written(code: &str, module: &[String]) -> Vec<Written> {
    let mut reader = Reader { tokens: tokens(code), at: 0, found: Vec::new() };
    reader.read(module);
    reader.found
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
    found: Vec<Written>,
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
                        self.found.push(Written {
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
            self.found.push(Written { line, from: from.to_vec(), path, import: None, is_submodule: false });
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
        self.found.push(Written { line, from: from.to_vec(), path, import, is_submodule: false });
    }
}
