//! The name of a region, as clients write it and as Deckle echoes it.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};

/// A region's code, or a label that carries it: `ny2`, `NY2`, `East Coast (NY2)`.
///
/// Any text is one on the wire; the configuration says which ones there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(pub String);

impl Region {
    /// The regions of the hosted API: the default ones.
    pub const DEFAULT: [&str; 3] = ["ny2", "ca1", "ams1"];

    /// The code in it: what stands between the last parentheses, or all of it, in lower case.
    pub fn code(&self) -> String {
        let label = self.0.trim();
        let code =
            label.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map_or(label, |(_, code)| code);
        code.trim().to_lowercase()
    }
}

impl utoipa::PartialSchema for Region {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        Self::DEFAULT
            .into_iter()
            .fold(AnyOfBuilder::new(), |any, code| any.item(text().enum_values(Some([code]))))
            .item(text())
            .into()
    }
}

impl utoipa::ToSchema for Region {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_the_code_in_it() {
        for (label, code) in [
            ("ny2", "ny2"),
            ("NY2", "ny2"),
            ("East Coast (NY2)", "ny2"),
            (" Europe (AMS1) ", "ams1"),
            ("lab-3", "lab-3"),
            ("", ""),
            ("a) b (c)", "c"),
        ] {
            assert_eq!(Region(label.to_owned()).code(), code, "{label:?}");
        }
    }
}
