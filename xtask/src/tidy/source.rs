//! A Rust file with its code and its comments apart.
//!
//! **Invariant**: `code` and `comments` have the lines of the text; what belongs to the other, and all
//! literals, is spaces.

/// A Rust file.
pub struct Source {
    /// Its path from the root of the workspace.
    pub file: String,
    pub code: String,
    pub comments: String,
}

impl Source {
    pub fn new(file: &str, text: &str) -> Self {
        let mut split =
            Split { chars: text.chars().collect(), at: 0, code: String::new(), comments: String::new() };
        split.run();
        Self { file: file.to_owned(), code: split.code, comments: split.comments }
    }

    /// The module that the file is, as names from its crate's root: `["machines", "store"]`.
    pub fn module(&self) -> Vec<String> {
        let inside = self.file.split_once("/src/").map_or("", |(_, inside)| inside);
        let mut names: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if names.last().is_some_and(|last| ["mod", "lib", "main", ""].contains(&last.as_str())) {
            names.pop();
        }
        names
    }
}

struct Split {
    chars: Vec<char>,
    at: usize,
    code: String,
    comments: String,
}

impl Split {
    fn run(&mut self) {
        while let Some(char) = self.look(0) {
            match (char, self.look(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.text(),
                ('\'', _) => self.char_or_lifetime(),
                _ if is_word(char) => self.word(),
                _ => self.take_code(),
            }
        }
    }

    fn look(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self, code: bool, comment: bool) {
        let Some(char) = self.look(0) else { return };
        self.at += 1;
        let blank = if char == '\n' { '\n' } else { ' ' };
        self.code.push(if code { char } else { blank });
        self.comments.push(if comment { char } else { blank });
    }

    fn take_code(&mut self) {
        self.take(true, false);
    }

    fn skip(&mut self) {
        self.take(false, false);
    }

    fn line_comment(&mut self) {
        while self.look(0).is_some_and(|char| char != '\n') {
            self.take(false, true);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.look(0).is_some() {
            let step = match (self.look(0), self.look(1)) {
                (Some('/'), Some('*')) => 1,
                (Some('*'), Some('/')) => -1,
                _ => 0,
            };
            depth += step;
            self.take(false, true);
            if step != 0 {
                self.take(false, true);
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// A literal from its opening quote to the same one, with escapes.
    fn text(&mut self) {
        let quote = self.look(0);
        self.skip();
        while self.look(0).is_some() && self.look(0) != quote {
            if self.look(0) == Some('\\') {
                self.skip();
            }
            self.skip();
        }
        self.skip();
    }

    fn char_or_lifetime(&mut self) {
        match (self.look(1), self.look(2)) {
            (Some('\\'), _) | (_, Some('\'')) => self.text(),
            _ => self.take_code(),
        }
    }

    /// A word; a raw text where it is the mark of one.
    fn word(&mut self) {
        let begun = self.at;
        while self.look(0).is_some_and(is_word) {
            self.take_code();
        }
        let word: String = self.chars[begun..self.at].iter().collect();
        let marks = self.chars[self.at..].iter().take_while(|char| **char == '#').count();
        if ["r", "br", "cr"].contains(&word.as_str()) && self.look(marks) == Some('"') {
            self.raw_text(marks);
        }
    }

    fn raw_text(&mut self, marks: usize) {
        (0..=marks).for_each(|_| self.skip());
        while self.look(0).is_some() {
            let ends = self.look(0) == Some('"') && (1..=marks).all(|ahead| self.look(ahead) == Some('#'));
            self.skip();
            if ends {
                (0..marks).for_each(|_| self.skip());
                return;
            }
        }
    }
}

pub fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_comments_come_apart() {
        let text =
            "let a = \"// no\"; // yes\nlet b: &'a u8 = r#\"\"no\"\"#; /* a /* b */ c */ f('\"', '\\'');\n";
        let source = Source::new("crates/x/src/y.rs", text);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&source.code), "let a = ; let b: &'a u8 = r ; f( , );");
        assert_eq!(words(&source.comments), "// yes /* a /* b */ c */");
        assert_eq!(source.code.lines().count(), text.lines().count());
    }

    #[test]
    fn a_file_is_a_module() {
        for (file, module) in [
            ("crates/control/src/machines/mod.rs", "machines"),
            ("crates/control/src/machines/store.rs", "machines::store"),
            ("crates/control/src/lib.rs", ""),
        ] {
            assert_eq!(Source::new(file, "").module().join("::"), module);
        }
    }
}
