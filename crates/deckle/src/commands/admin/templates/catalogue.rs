//! The catalogue of well-known images: where they are, and what their bytes must be.
//!
//! **Invariant**: an image has exactly one source of its checksum: one written here, or the vendor's
//! own list next to the image. A list is fetched over TLS only (or from this host), so a mirror can
//! serve the image but not vouch for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use deckle_api::admin::ImportTemplate;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::output::{Format, Shown};

/// A list of images.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    template: Vec<Image>,
}

/// One image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What to ask for.
    pub name: String,
    /// Its operating system, in words.
    pub label: String,
    /// Where it is.
    pub url: String,
    /// What its bytes must be: a checksum, or the list that has it.
    #[serde(flatten)]
    pub proof: Proof,
    /// Whether its guests have an agent.
    #[serde(default)]
    pub has_agent: bool,
}

/// What says that the bytes are right: one key of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The SHA-256 of the image, in hexadecimal.
    Sha256(String),
    /// The SHA-512 of the image, in hexadecimal.
    Sha512(String),
    /// The address of the vendor's list of checksums, as `sha256sum` and `sha512sum` write it.
    Sums(String),
}

impl Catalogue {
    /// The catalogue inside this program.
    pub fn built_in() -> Result<Self> {
        parse(include_str!("../../../../templates.toml")).context("read the catalogue inside")
    }

    /// A catalogue of the operator's own.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        parse(&text).with_context(|| format!("read the catalogue {}", file.display()))
    }

    /// The image of a name.
    pub fn find(&self, name: &str) -> Result<&Image> {
        if let Some(image) = self.template.iter().find(|image| image.name == name) {
            return Ok(image);
        }
        let names: Vec<_> = self.template.iter().map(|image| image.name.as_str()).collect();
        bail!("the catalogue has no {name:?}; it has {}", names.join(", "))
    }

    /// Prints it.
    pub fn print(&self, format: Format) -> Result<()> {
        format.list::<Image>(&json!(self.template))
    }
}

impl Image {
    /// The order to take it in.
    pub fn import(&self, file: PathBuf) -> ImportTemplate {
        ImportTemplate {
            file,
            name: self.name.clone(),
            operating_system_label: Some(self.label.clone()),
            id: None,
            has_agent: Some(self.has_agent),
            agent_type: None,
        }
    }

    /// The last part of its address.
    pub fn file_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

impl Shown for Image {
    const COLUMNS: &'static [&'static str] = &["NAME", "OPERATING SYSTEM", "AGENT", "URL"];

    fn cells(&self) -> Vec<String> {
        let agent = if self.has_agent { "yes" } else { "no" };
        vec![self.name.clone(), self.label.clone(), agent.to_owned(), self.url.clone()]
    }
}

fn parse(text: &str) -> Result<Catalogue> {
    let catalogue: Catalogue = toml::from_str(text)?;
    for image in &catalogue.template {
        let file = image.file_name();
        if file.is_empty() || file.starts_with('.') || file.contains(char::is_control) {
            bail!("the address of {:?} does not end in the name of a file", image.name);
        }
    }
    Ok(catalogue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_can_be_read_and_is_fetched_over_tls() {
        for image in Catalogue::built_in().unwrap().template {
            let Proof::Sums(list) = image.proof else { panic!("{}: not certain of a checksum", image.name) };
            assert!(list.starts_with("https://") && image.url.starts_with("https://"), "{}", image.name);
        }
    }

    #[test]
    fn an_image_without_a_checksum_or_a_file_is_refused() {
        let entry = |rest: &str| parse(&format!("[[template]]\nname = 'x'\nlabel = 'X'\n{rest}"));
        assert!(entry("url = 'https://h/x.img'\nsha256 = 'ab'").is_ok());
        assert!(entry("url = 'https://h/x.img'").is_err());
        assert!(entry("url = 'https://h/x.img'\nmd5 = 'ab'").is_err());
        assert!(entry("url = 'https://h/'\nsha256 = 'ab'").is_err());
        assert!(entry("url = 'https://h/..'\nsha256 = 'ab'").is_err());
    }
}
