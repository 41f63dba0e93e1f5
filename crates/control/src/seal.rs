//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key of the state folder.
//!
//! A sealed text begins with the id of its key, so that keys can be changed one row at a time. What the
//! text belongs to is part of the seal: a sealed text moved to another row does not open.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why a sealed text does not open.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value of {of} does not open: it was sealed under another key, or changed")]
pub struct Broken {
    of: String,
}

/// What seals and opens.
pub struct Sealer {
    id: u8,
    cipher: XChaCha20Poly1305,
    marks: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({})", self.id)
    }
}

impl Sealer {
    /// A sealer with that key.
    pub fn new(key: [u8; KEY_BYTES]) -> Self {
        let id = blake3::derive_key("deckle seal key id", &key)[0];
        let marks = blake3::derive_key("deckle cursor marks", &key);
        Self { id, cipher: XChaCha20Poly1305::new(&key.into()), marks }
    }

    /// The sealer of a key file, which is made when it is not there.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let key = match fs::read(path) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(path)?,
            Err(error) => return Err(error),
        };
        let key = key
            .try_into()
            .map_err(|_| io::Error::other(format!("{} has not {KEY_BYTES} bytes", path.display())))?;
        Ok(Self::new(key))
    }

    /// Seals a text that belongs to `of`.
    pub fn seal(&self, of: &str, text: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the system gives random bits");
        let payload = Payload { msg: text, aad: of.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a text in memory is short enough to seal");
        [&[self.id], &nonce[..], &sealed].concat()
    }

    /// Opens what was sealed for `of`.
    pub fn open(&self, of: &str, sealed: &[u8]) -> Result<Vec<u8>, Broken> {
        let broken = || Broken { of: of.to_owned() };
        let (id, rest) = sealed.split_first().ok_or_else(broken)?;
        let (nonce, text) = rest.split_at_checked(NONCE_BYTES).ok_or_else(broken)?;
        if *id != self.id {
            return Err(broken());
        }
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| broken())?;
        self.cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: text, aad: of.as_bytes() })
            .map_err(|_| broken())
    }

    /// A mark that only this server can make: for cursors, which are shown to clients and come back.
    pub fn mark(&self, text: &[u8]) -> [u8; 12] {
        let hash = blake3::keyed_hash(&self.marks, text);
        let mut mark = [0; 12];
        mark.copy_from_slice(&hash.as_bytes()[..12]);
        mark
    }
}

fn make_key(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_what_was_sealed_for_the_same_thing() {
        let sealer = Sealer::new([7; 32]);
        let sealed = sealer.seal("row 1", b"secret");
        assert_eq!(sealer.open("row 1", &sealed).unwrap(), b"secret");
        assert!(sealer.open("row 2", &sealed).is_err());
        assert!(Sealer::new([8; 32]).open("row 1", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(sealer.open("row 1", &sealed[..cut]).is_err());
        }
    }
}
