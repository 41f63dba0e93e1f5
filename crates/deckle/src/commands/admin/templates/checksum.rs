//! Checksums of images: what they must be, and what the bytes on disk are.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ring::digest::{self, Algorithm};

/// A checksum that is wanted, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    hex: String,
    algorithm: &'static Algorithm,
}

impl Checksum {
    /// Reads one; its length says which kind it is.
    pub fn parse(text: &str) -> Result<Self> {
        let hex = text.trim().to_lowercase();
        let algorithm = match hex.len() {
            64 => &digest::SHA256,
            128 => &digest::SHA512,
            length => bail!("a checksum has 64 (SHA-256) or 128 (SHA-512) digits, and this one has {length}"),
        };
        if !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            bail!("a checksum is made of hexadecimal digits, and this one is not: {text:?}");
        }
        Ok(Self { hex, algorithm })
    }

    /// The checksum of a file in a list as `sha256sum` and `sha512sum` write it: the digits, two blanks
    /// or a blank and a star, the name.
    pub fn in_list(list: &str, file_name: &str) -> Result<Self> {
        let lines = list.lines().filter_map(|line| line.split_once(' '));
        let mut found = lines.filter(|(_, name)| name.trim_start_matches([' ', '*']) == file_name);
        match (found.next(), found.next()) {
            (Some((digits, _)), None) => Self::parse(digits),
            (None, _) => bail!("the vendor's list of checksums does not name {file_name}"),
            (Some(_), Some(_)) => bail!("the vendor's list of checksums names {file_name} twice"),
        }
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Its first digits: enough to tell one version of an image from another.
    pub fn short(&self) -> &str {
        &self.hex[..16]
    }

    /// The checksum of this kind that a file's bytes have.
    pub fn of_file(&self, file: &Path) -> Result<String> {
        let reading = || format!("read {}", file.display());
        let mut bytes = File::open(file).with_context(reading)?;
        let mut context = digest::Context::new(self.algorithm);
        let mut piece = vec![0; 1 << 20];
        loop {
            match bytes.read(&mut piece).with_context(reading)? {
                0 => break,
                read => context.update(&piece[..read]),
            }
        }
        Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_the_file_exactly_once() {
        let (a, b) = ("a".repeat(64), "B".repeat(128));
        let list = format!("{a}  one.img\n{a} *two.img\n{b}  three.img\n{a}  four.img\n{a}  four.img\n");
        assert_eq!(Checksum::in_list(&list, "one.img").unwrap().hex(), a);
        assert_eq!(Checksum::in_list(&list, "two.img").unwrap().hex(), a);
        assert_eq!(Checksum::in_list(&list, "three.img").unwrap().hex(), b.to_lowercase());
        for wrong in ["four.img", "img", "", "ne.img"] {
            assert!(Checksum::in_list(&list, wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_bytes_of_a_file_have_their_known_checksum() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Checksum::parse(known).unwrap().of_file(file.path()).unwrap(), known);
    }
}
