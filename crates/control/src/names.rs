//! The names that users give to things.

use crate::error::{Error, Result};

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// The name in a request's field: 1 to 255 characters, none of them a control character.
pub fn checked(field: &str, name: &str) -> Result<String> {
    let chars = name.chars().count();
    if name.trim().is_empty() || chars > NAME_CHARS_MAX {
        return Err(Error::field(field, format!("expected 1 to {NAME_CHARS_MAX} characters, found {chars}")));
    }
    if name.contains(char::is_control) {
        return Err(Error::field(field, "expected no control characters, such as line breaks"));
    }
    Ok(name.to_owned())
}

/// A name as searches compare it.
pub fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// A name as a host name inside a network, where it is a valid DNS label.
pub fn dns_label(name: &str) -> Option<String> {
    let label = name.to_ascii_lowercase();
    let right = (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-');
    right.then_some(label)
}

/// Whether a text is a host's name: labels with dots between them.
pub fn is_host_name(text: &str) -> bool {
    const CHARS_MAX: usize = 253;
    text.len() <= CHARS_MAX && text.split('.').all(|label| dns_label(label).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bounds() {
        assert!(checked("name", "build box").is_ok());
        assert!(checked("name", &"ä".repeat(255)).is_ok());
        for wrong in ["", "   ", "a\nb", "a\0", &"x".repeat(256)] {
            assert!(checked("name", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn host_names_are_labels_with_dots() {
        for right in ["desk", "desk.Example.com", "a-1.b"] {
            assert!(is_host_name(right), "{right}");
        }
        for wrong in ["", ".", "a.", "a..b", "a b", "a:1", "[::1]", &"a.".repeat(127)] {
            assert!(!is_host_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_dns_labels_are_host_names() {
        assert_eq!(dns_label("Web-1").as_deref(), Some("web-1"));
        for wrong in ["", "-a", "a-", "a.b", "a b", "ä", &"x".repeat(64)] {
            assert_eq!(dns_label(wrong), None, "{wrong:?}");
        }
    }
}
