//! The passwords of shared drives: random, sealed at rest.

use deckle_api::ids::SharedDriveId;

use super::super::store::Model;
use crate::app::App;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// How many characters a password has: 190 random bits.
const CHARS: usize = 32;
/// Letters and digits only: nothing that means something to a shell, an fstab or a list of mount options.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new password for a drive, sealed.
pub fn sealed(app: &App, id: &SharedDriveId) -> Vec<u8> {
    app.sealer.seal(&sealed_for(id), new(app.clock.as_ref()).as_bytes())
}

/// A drive's password in clear.
pub fn opened(app: &App, row: &Model) -> Result<String> {
    let id = &row.id.0;
    let broken = |error| Error::ours(format!("open the password of {id}"), error);
    let password = app.sealer.open(&sealed_for(id), &row.password).map_err(broken)?;
    String::from_utf8(password).map_err(|error| Error::ours(format!("read the password of {id}"), error))
}

fn sealed_for(id: &SharedDriveId) -> String {
    format!("the password of {id}")
}

/// Each character is as likely as any other: bytes past the last whole alphabet are thrown away.
fn new(clock: &dyn Clock) -> String {
    const WHOLE: usize = 256 / ALPHABET.len() * ALPHABET.len();
    let bytes = std::iter::repeat_with(|| clock.random().to_be_bytes()).flatten().map(usize::from);
    let digits = bytes.filter(|byte| *byte < WHOLE).map(|byte| ALPHABET[byte % ALPHABET.len()]);
    digits.take(CHARS).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_password_is_letters_and_digits_and_never_the_same() {
        let mut seen = std::collections::BTreeSet::new();
        let mut used = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let password = new(&SystemClock);
            assert_eq!(password.len(), CHARS);
            used.extend(password.bytes());
            assert!(seen.insert(password));
        }
        assert_eq!(
            used.into_iter().collect::<Vec<_>>(),
            ALPHABET,
            "every character of the alphabet, no other"
        );
    }
}
