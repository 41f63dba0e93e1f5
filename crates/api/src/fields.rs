//! The kinds of field that [`deckle_api_macros::wire`] tells apart.

use serde::{Deserialize, Deserializer};

/// Reads a field that is there: what is left out stays `None`, and null is read by `T` itself, which
/// takes it or refuses it.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use deckle_api_macros::wire;
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    /// One field of each kind.
    #[wire]
    struct Kinds {
        plain: u8,
        nullable: Nullable<u8>,
        optional: Optional<u8>,
        both: Optional<Nullable<u8>>,
    }

    fn read(value: Value) -> Result<Kinds, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_reads_what_it_may_and_refuses_the_rest() {
        assert_eq!(
            read(json!({"plain": 1, "nullable": null})),
            Ok(Kinds { plain: 1, nullable: None, optional: None, both: None })
        );
        assert_eq!(
            read(json!({"plain": 1, "nullable": 2, "optional": 3, "both": null})),
            Ok(Kinds { plain: 1, nullable: Some(2), optional: Some(3), both: Some(None) })
        );
        assert_eq!(read(json!({"plain": 1})).unwrap_err(), "missing field `nullable`");
        assert!(read(json!({"nullable": null})).is_err());
        assert!(read(json!({"plain": null, "nullable": null})).is_err());
        assert!(read(json!({"plain": 1, "nullable": null, "optional": null})).is_err());
    }

    #[test]
    fn each_kind_writes_null_or_nothing() {
        let kinds = Kinds { plain: 1, nullable: None, optional: None, both: None };
        assert_eq!(serde_json::to_value(&kinds).unwrap(), json!({"plain": 1, "nullable": null}));
        let kinds = Kinds { both: Some(None), ..kinds };
        assert_eq!(
            serde_json::to_value(&kinds).unwrap(),
            json!({"plain": 1, "nullable": null, "both": null})
        );
    }

    #[test]
    fn the_schema_says_the_same() {
        let schema = serde_json::to_value(Kinds::schema()).unwrap();
        assert_eq!(schema["required"], json!(["plain", "nullable"]));
        let types = |field: &str| schema["properties"][field]["type"].clone();
        assert_eq!(types("plain"), json!("integer"));
        assert_eq!(types("nullable"), json!(["integer", "null"]));
        assert_eq!(types("optional"), json!("integer"));
        assert_eq!(types("both"), json!(["integer", "null"]));
    }
}
