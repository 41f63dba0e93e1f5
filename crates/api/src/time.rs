//! A moment, as microseconds since 1970 inside and as ISO 8601 in UTC with milliseconds outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// What a text that is none should have been.
    pub const EXPECTED: &str = "expected a moment in ISO 8601 with its offset, such as 2026-11-01T00:00:00Z";

    /// This moment by the system's clock. Only the clock of a server asks it, and a client that says how long
    /// ago something was; the rest is told.
    pub fn of_system_clock() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// The moment that many seconds later.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The whole seconds from 1970 to this moment.
    pub fn whole_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The first moment of its calendar month, in UTC.
    pub fn month_start(self) -> Self {
        Self::at_midnight(self.date().first_of_month())
    }

    /// The first moment of the calendar month after its own, in UTC.
    pub fn next_month_start(self) -> Self {
        let last = self.date().last_of_month();
        Self::at_midnight(last.tomorrow().unwrap_or(last))
    }

    fn date(self) -> jiff::civil::Date {
        let moment = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        moment.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    fn at_midnight(date: jiff::civil::Date) -> Self {
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC);
        Self(midnight.map_or(0, |midnight| midnight.timestamp().as_microsecond()))
    }

    /// Seconds from `earlier` to this moment; negative when it is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{shown:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(|moment: jiff::Timestamp| Self(moment.as_microsecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| serde::de::Error::custom(Self::EXPECTED))
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_with_milliseconds_in_utc() {
        assert_eq!(Timestamp(1_700_000_000_123_456).to_string(), "2023-11-14T22:13:20.123Z");
        let back: Timestamp = "2023-11-14T22:13:20.123Z".parse().unwrap();
        assert_eq!(back, Timestamp(1_700_000_000_123_000));
    }

    #[test]
    fn a_month_begins_at_midnight_in_utc() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (moment, start, next) in [
            ("2023-11-14T22:13:20Z", "2023-11-01T00:00:00Z", "2023-12-01T00:00:00Z"),
            ("2023-12-31T23:59:59.999999Z", "2023-12-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-02-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ] {
            let moment = at(moment);
            assert_eq!((moment.month_start(), moment.next_month_start()), (at(start), at(next)));
        }
        assert_eq!(Timestamp(1_999_999).whole_seconds(), 1);
        assert_eq!(Timestamp(-1).whole_seconds(), -1);
    }
}
