//! How typed values lie in columns: text for ids, words and objects, microseconds for moments.

use std::net::Ipv4Addr;

use deckle_api::Timestamp;
use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that lies in a column as text: ids and words bare, anything else as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<T>(pub T);

impl<T: Serialize> Text<T> {
    fn written(&self) -> String {
        match serde_json::to_value(&self.0) {
            Ok(serde_json::Value::String(word)) => word,
            Ok(object) => object.to_string(),
            Err(error) => unreachable!("a stored type has only keys that are text: {error}"),
        }
    }
}

impl<T: DeserializeOwned> Text<T> {
    fn read(text: String) -> Result<Self, serde_json::Error> {
        let object = text.starts_with(['{', '[']);
        let value = if object { serde_json::from_str(&text)? } else { serde_json::from_value(text.into())? };
        Ok(Self(value))
    }
}

impl<T: Serialize> From<Text<T>> for Value {
    fn from(text: Text<T>) -> Self {
        text.written().into()
    }
}

impl<T: DeserializeOwned> TryGetable for Text<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        let text = String::try_get_by(row, index)?;
        Self::read(text).map_err(|error| TryGetError::DbErr(DbErr::Type(error.to_string())))
    }
}

impl<T: DeserializeOwned> ValueType for Text<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        let text = <String as ValueType>::try_from(value)?;
        Self::read(text).map_err(|_| ValueTypeErr)
    }

    fn type_name() -> String {
        "Text".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::String
    }

    fn column_type() -> ColumnType {
        ColumnType::Text
    }
}

impl<T> Nullable for Text<T> {
    fn null() -> Value {
        Value::String(None)
    }
}

impl<T> TryFromU64 for Text<T> {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Text"))
    }
}

/// An address as it lies in a column: as a number, so that addresses are ordered.
pub fn number(ip: Ipv4Addr) -> i64 {
    u32::from(ip).into()
}

/// The address with that number.
pub fn ip(number: i64) -> Ipv4Addr {
    Ipv4Addr::from(<u32 as TryFrom<i64>>::try_from(number).unwrap_or_default())
}

/// A moment as it lies in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, sea_orm::DeriveValueType)]
pub struct Micros(pub i64);

impl From<Timestamp> for Micros {
    fn from(moment: Timestamp) -> Self {
        Self(moment.0)
    }
}

impl From<Micros> for Timestamp {
    fn from(stored: Micros) -> Self {
        Self(stored.0)
    }
}
