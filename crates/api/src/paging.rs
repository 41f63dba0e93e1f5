//! How lists are asked for and answered: a page at a time, from a cursor on.

use std::fmt;
use std::num::NonZeroU8;

use deckle_api_macros::wire;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// The most rows that a page may have.
pub const LIMIT_MAX: u8 = 120;
/// How many rows a page has when the request does not say.
pub const LIMIT_DEFAULT: u8 = 25;

/// A page of a list.
#[wire]
pub struct Page<T> {
    /// Whether there are rows after these.
    pub has_more: bool,
    /// What to send as `after` for the next page; there exactly when `hasMore` is true.
    pub next_page: Optional<String>,
    /// The rows.
    pub items: Vec<T>,
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(default = "desc")]
pub enum Order {
    /// From the smallest, the earliest or the first letter on.
    Asc,
    /// From the largest, the latest or the last letter on.
    #[default]
    Desc,
}

/// How many rows a page may have: 1 to 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(NonZeroU8);

impl Limit {
    /// A limit, if it is one.
    pub fn new(rows: u64) -> Option<Self> {
        let rows = u8::try_from(rows).ok().filter(|rows| *rows <= LIMIT_MAX)?;
        NonZeroU8::new(rows).map(Self)
    }

    /// The number of rows.
    pub fn rows(self) -> u64 {
        self.0.get().into()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(NonZeroU8::new(LIMIT_DEFAULT).expect("the default limit is not zero"))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u8(self.0.get())
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Rows;
        impl Visitor<'_> for Rows {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 1 to {LIMIT_MAX}")
            }

            fn visit_u64<E: de::Error>(self, rows: u64) -> Result<Limit, E> {
                Limit::new(rows).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(rows), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                let rows = text.parse().ok().and_then(Limit::new);
                rows.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Rows)
    }
}

impl utoipa::PartialSchema for Limit {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(u16::from(LIMIT_MAX)))
            .into()
    }
}

impl ToSchema for Limit {}

/// Declares the query of a list: its cursor, limit, order and filters.
///
/// `orderBy`'s first word is its default. The words are taken as `tt`: the schema does not see through what
/// `literal` wraps them in.
#[macro_export]
macro_rules! list_query {
    (
        $(#[$doc:meta])*
        $query:ident by $order_by:ident { $first:ident = $first_word:tt $(, $other:ident = $other_word:tt)* }
        where { $($(#[$filter_doc:meta])* $filter:ident: $filter_type:ty),* $(,)? }
    ) => {
        #[doc = concat!("What [`", stringify!($query), "`] can be ordered by.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema)]
        #[schema(default = $first_word)]
        pub enum $order_by {
            #[doc = concat!("By `", $first_word, "`.")]
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $(
                #[doc = concat!("By `", $other_word, "`.")]
                #[serde(rename = $other_word)]
                $other,
            )*
        }

        impl $order_by {
            /// The word on the wire.
            pub const fn word(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$other => $other_word,)*
                }
            }
        }

        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, ::serde::Serialize, ::serde::Deserialize, ::utoipa::IntoParams)]
        #[serde(rename_all = "camelCase", default)]
        #[into_params(parameter_in = Query)]
        pub struct $query {
            /// The `nextPage` of the page before.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub after: Option<String>,
            /// How many rows the page may have; 25 when left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[param(inline)]
            pub limit: Option<$crate::paging::Limit>,
            /// What the rows are ordered by.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[param(inline)]
            pub order_by: Option<$order_by>,
            /// Which way the rows go.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[param(inline)]
            pub order: Option<$crate::paging::Order>,
            $(
                $(#[$filter_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $filter: Option<$filter_type>,
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::list_query! {
        /// Things.
        ListThings by ThingOrder { DtCreated = "dtCreated", Name = "name" }
        where {}
    }

    #[test]
    fn the_schema_has_the_words_that_are_read() {
        let schema = serde_json::to_value(<ThingOrder as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["enum"], serde_json::json!(["dtCreated", "name"]));
        for order in [ThingOrder::DtCreated, ThingOrder::Name] {
            assert_eq!(serde_json::to_value(order).unwrap(), order.word());
        }
        assert_eq!(ListThings::default().order_by, None);
    }

    #[test]
    fn a_limit_is_1_to_120() {
        let read =
            |text: &str| serde_json::from_str::<Limit>(text).map(Limit::rows).map_err(|e| e.to_string());
        assert_eq!(read("1"), Ok(1));
        assert_eq!(read("\"120\""), Ok(120));
        for wrong in ["0", "121", "-1", "1.5", "\"\"", "\"x\"", "256", "\"1e9\""] {
            let message = read(wrong).unwrap_err();
            assert!(message.contains("a whole number from 1 to 120"), "{wrong}: {message}");
        }
    }
}
