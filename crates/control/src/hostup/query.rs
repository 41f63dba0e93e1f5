//! How the query of the list is read: each parameter once, and what is not known not at all.

use deckle_api::hostup::{LIMIT_DEFAULT, LIMIT_MAX, ListNetworks};

use crate::error::{Error, Result};

/// The query that a text says.
pub fn read(text: &str) -> Result<ListNetworks> {
    let (mut limit, mut cursor, mut region) = (None, None, None);
    for (key, value) in form_urlencoded::parse(text.as_bytes()) {
        let place = match &*key {
            "limit" => &mut limit,
            "cursor" => &mut cursor,
            "region" => &mut region,
            _ => continue,
        };
        if value.contains('\0') {
            return Err(Error::field(key, "expected text without a zero character"));
        }
        if place.replace(value.into_owned()).is_some() {
            return Err(Error::field(key, "expected once, found several times"));
        }
    }
    Ok(ListNetworks {
        limit: limit.map_or(Ok(LIMIT_DEFAULT), |limit| self::limit(&limit))?,
        cursor: cursor.filter(|cursor| !cursor.is_empty()),
        region,
    })
}

/// A whole number from 1 on; what is larger than a page may be is a full page.
fn limit(text: &str) -> Result<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        // Digits that are no small number are a large one.
        _ if !digits => {}
        Ok(0) => {}
        Ok(rows) => return Ok(LIMIT_MAX.min(rows)),
        Err(_) => return Ok(LIMIT_MAX),
    }
    Err(Error::field("limit", format!("expected a whole number from 1 to {LIMIT_MAX}, found `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_at_most_a_page() {
        for (text, rows) in [
            ("", 20),
            ("limit=1", 1),
            ("limit=020", 20),
            ("limit=100", 100),
            ("limit=101", 100),
            ("limit=255", 100),
            ("limit=256", 100),
            ("limit=1000", 100),
            ("limit=99999999999999999999999", 100),
        ] {
            assert_eq!(read(text).unwrap().limit, rows, "{text}");
        }
        for text in ["0", "00", "-1", "1.5", "", "x", "1e2", "%2B1", "+1", "1 ", "%D9%A1", "1%00"] {
            let told = read(&format!("limit={text}")).unwrap_err().to_string();
            assert!(told.starts_with("limit: expected "), "{told}");
        }
    }

    #[test]
    fn a_parameter_is_given_once() {
        for key in ["limit", "cursor", "region"] {
            let told = read(&format!("{key}=1&x=1&{key}=1")).unwrap_err().to_string();
            assert_eq!(told, format!("{key}: expected once, found several times"));
        }
        assert_eq!(read("x=1&x=2&cursor=").unwrap().cursor, None);
    }
}
