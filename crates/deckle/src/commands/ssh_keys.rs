//! `deckle ssh-key`: the keys that open the machines one makes.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use deckle_api::ids::SshKeyId;
use deckle_api::ssh_keys::{CreateSshKey, ListSshKeys, SshKey, SshKeyOrder};

use super::{confirm, text_of};
use crate::Cli;
use crate::failure::Misuse;
use crate::lists::{Paging, one_of};
use crate::output::Shown;

const PATH: &str = "/v1/ssh-keys";

/// The public keys that `ssh-keygen` makes, the best first.
const USUAL_FILES: [&str; 3] = ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"];

/// What can be done with SSH keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Adds one of your public keys; machines learn of it when they are next switched on
    Add {
        /// The file with the public key; - for standard input [default: the first of
        /// ~/.ssh/id_ed25519.pub, id_ecdsa.pub, id_rsa.pub]
        #[arg(long)]
        file: Option<PathBuf>,
        /// Its name [default: the key's comment]
        #[arg(long)]
        name: Option<String>,
    },
    /// Lists them
    List {
        /// What they are ordered by [default: dtCreated]
        #[arg(long, value_parser = one_of::<SshKeyOrder>(&["dtCreated", "name"]))]
        order_by: Option<SshKeyOrder>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Deletes one; machines that are on keep it until they are next switched on
    Delete {
        /// Its id
        id: SshKeyId,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

impl Verb {
    /// Does it.
    pub async fn run(&self, cli: &Cli) -> Result<()> {
        let client = cli.client()?;
        match self {
            Self::Add { file, name } => {
                let file = file.clone().map_or_else(usual_file, Ok)?;
                let create = read(&text_of(&file)?, name.clone())?;
                cli.output.one::<SshKey>(&client.post(PATH, &create).await?)
            }
            Self::List { order_by, paging } => {
                let filters = ListSshKeys { order_by: *order_by, ..ListSshKeys::default() };
                cli.output.list::<SshKey>(&paging.fetch(&client, PATH, &filters).await?)
            }
            Self::Delete { id, yes } => {
                confirm(*yes, &format!("delete the SSH key {id}"))?;
                cli.output.one::<SshKey>(&client.delete(&format!("{PATH}/{id}")).await?)
            }
        }
    }
}

fn usual_file() -> Result<PathBuf> {
    let folder = env::home_dir().unwrap_or_default().join(".ssh");
    let found = USUAL_FILES.iter().map(|name| folder.join(name)).find(|file| file.exists());
    found.ok_or_else(|| {
        let folder = folder.display();
        Misuse(format!(
            "there is no public key in {folder}: make one with ssh-keygen, or name one with --file"
        ))
        .into()
    })
}

/// A private key never leaves this host.
fn read(text: &str, name: Option<String>) -> Result<CreateSshKey> {
    if text.contains("PRIVATE KEY") {
        bail!("this is a private key, and nothing was sent: name the public one, whose file ends in .pub");
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(key), None) = (lines.next(), lines.next()) else {
        bail!("the file is to have one line, with one public key");
    };
    let mut parts = key.splitn(3, ' ');
    let (Some(kind), Some(_)) = (parts.next(), parts.next()) else {
        bail!("this is not a public key as in an authorized_keys file: its kind, a blank, its base64 text");
    };
    let comment = parts.next().map(str::trim).filter(|comment| !comment.is_empty());
    let name = name.unwrap_or_else(|| comment.unwrap_or(kind).to_owned());
    Ok(CreateSshKey { name, public_key: key.to_owned() })
}

impl Shown for SshKey {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "KIND", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.public_key.split(' ').next().unwrap_or_default().to_owned(),
            self.dt_created.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_named_by_its_comment_and_a_private_one_stays() {
        let named = |text, name: Option<&str>| read(text, name.map(str::to_owned)).map(|key| key.name);
        assert_eq!(named("ssh-ed25519 AAAA me@desk\n", None).unwrap(), "me@desk");
        assert_eq!(named("ssh-ed25519 AAAA\n", None).unwrap(), "ssh-ed25519");
        assert_eq!(named("# mine\nssh-ed25519 AAAA me@desk", Some("desk")).unwrap(), "desk");
        assert!(read("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", None).is_err());
        assert!(read("ssh-ed25519 A b\nssh-ed25519 C d\n", None).is_err());
        assert!(read("", None).is_err());
        assert!(read("word", None).is_err());
    }
}
