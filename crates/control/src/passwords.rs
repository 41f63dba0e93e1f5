//! Passwords that the server makes up.

use crate::clock::Clock;

/// Letters and digits only: nothing that means something to a shell, an fstab or a list of mount options.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new password: almost 6 random bits a character. Each is as likely as any other: bytes past the last whole
/// alphabet are thrown away.
pub fn new(clock: &dyn Clock, chars: usize) -> String {
    const WHOLE: usize = 256 / ALPHABET.len() * ALPHABET.len();
    let bytes = std::iter::repeat_with(|| clock.random().to_be_bytes()).flatten().map(usize::from);
    let digits = bytes.filter(|byte| *byte < WHOLE).map(|byte| ALPHABET[byte % ALPHABET.len()]);
    digits.take(chars).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn a_password_is_letters_and_digits_and_never_the_same() {
        let mut seen = std::collections::BTreeSet::new();
        let mut used = std::collections::BTreeSet::new();
        for chars in [8, 32].repeat(200) {
            let password = new(&SystemClock, chars);
            assert_eq!(password.len(), chars);
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
