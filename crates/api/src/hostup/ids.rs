//! Ids of the second dialect: `pnet_01hxa3b4c5d6e7f8g9h0j1k2m3`, a prefix and 26 digits of a ULID.
//!
//! No column keeps them. Of the 128 bits the high 48 are the moment that the object was created, in
//! milliseconds; the low 80 are the number of its v1 id. So each leads to one id of the v1 API, and whoever
//! reads the row sees by the moment whether the id was ever told.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use crate::Timestamp;
use crate::ids::{MachineId, PrivateNetworkId};

/// Crockford's digits: no i, l, o or u.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// How many digits 128 bits have.
const LENGTH: usize = 26;
/// How many bits the number of a v1 id has.
const NUMBER_BITS: u32 = 80;
const NUMBER_MASK: u128 = (1 << NUMBER_BITS) - 1;
/// The longest tail of a v1 id that 80 bits can carry: minted ones have eight characters.
const TAIL_MAX: u32 = 15;
/// Neighbouring numbers are spread over all digits by this odd factor: 2^80 divided by the golden ratio.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39d;
const GATHER: u128 = inverse(SPREAD);

/// The factor that undoes an odd factor, modulo 2^128 and so modulo 2^80.
const fn inverse(factor: u128) -> u128 {
    let mut found = factor;
    let mut right_bits = 3;
    while right_bits < 128 {
        found = found.wrapping_mul(2u128.wrapping_sub(factor.wrapping_mul(found)));
        right_bits *= 2;
    }
    found
}

/// 128 bits as 26 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ulid(u128);

impl Ulid {
    /// The digits of an object; none for a tail that no minted id has.
    fn of(created: Timestamp, tail: &str) -> Option<Self> {
        let number = number(tail)?.wrapping_mul(SPREAD) & NUMBER_MASK;
        Some(Self(u128::from(millis(created)) << NUMBER_BITS | number))
    }

    fn created_ms(self) -> u64 {
        (self.0 >> NUMBER_BITS) as u64
    }

    fn tail(self) -> Option<String> {
        tail((self.0 & NUMBER_MASK).wrapping_mul(GATHER) & NUMBER_MASK)
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let mut bits = 0u128;
        for (place, byte) in text.bytes().enumerate() {
            let digit = DIGITS.iter().position(|digit| *digit == byte)?;
            // 26 digits have two bits more than there are.
            if place == 0 && digit > 7 {
                return None;
            }
            bits = bits << 5 | digit as u128;
        }
        Some(Self(bits))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |place: usize| char::from(DIGITS[(self.0 >> (5 * place)) as usize & 31]);
        (0..LENGTH).rev().try_for_each(|place| fmt::Write::write_char(f, digit(place)))
    }
}

/// The moment's milliseconds since 1970, of which 48 bits count.
fn millis(moment: Timestamp) -> u64 {
    moment.0.div_euclid(1000) as u64 & ((1 << 48) - 1)
}

/// The number of a tail: shorter tails come first, so that leading zeros count.
fn number(tail: &str) -> Option<u128> {
    let length = u32::try_from(tail.len()).ok().filter(|length| (1..=TAIL_MAX).contains(length))?;
    let mut value = 0;
    for byte in tail.chars() {
        value = value * 36 + u128::from(byte.to_digit(36).filter(|_| !byte.is_ascii_uppercase())?);
    }
    Some((1..length).map(|shorter| 36u128.pow(shorter)).sum::<u128>() + value)
}

/// The tail of a number, if one has it.
fn tail(mut number: u128) -> Option<String> {
    let mut length = 1;
    while number >= 36u128.pow(length) {
        number -= 36u128.pow(length);
        length += 1;
        if length > TAIL_MAX {
            return None;
        }
    }
    let digit = |place: u32| char::from_digit((number / 36u128.pow(place) % 36) as u32, 36);
    (0..length).rev().map(digit).collect()
}

/// A text that is not an id of the kind that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotListed {
    prefix: &'static str,
}

impl fmt::Display for NotListed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected `{}` and {LENGTH} digits, as a list tells them", self.prefix)
    }
}

impl std::error::Error for NotListed {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $pattern:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(Ulid);

        impl $name {
            /// When what it names was created, in milliseconds since 1970.
            pub fn created_ms(self) -> u64 {
                self.0.created_ms()
            }
        }

        impl FromStr for $name {
            type Err = NotListed;

            fn from_str(text: &str) -> Result<Self, NotListed> {
                let digits = text.strip_prefix($prefix).and_then(Ulid::read);
                digits.map(Self).ok_or(NotListed { prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).pattern($pattern).into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// The id of a private network.
    PnetId = "pnet_", Some("^pnet_[0-9a-hjkmnp-tv-z]{26}$");
    /// The id of a network's /24. It has the digits of its network.
    SubnetId = "subnet_", Some("^subnet_[0-9a-hjkmnp-tv-z]{26}$");
    /// The id of a machine.
    VpsId = "vps_", None::<String>;
    /// The id of a request.
    RequestId = "req_", None::<String>;
}

impl PnetId {
    /// The id of a network that was created at that moment. Every minted id has one.
    pub fn of(id: &PrivateNetworkId, created: Timestamp) -> Option<Self> {
        Ulid::of(created, id.as_str().strip_prefix(PrivateNetworkId::PREFIX)?).map(Self)
    }

    /// The network that it leads to. It need not be there.
    pub fn network(self) -> Option<PrivateNetworkId> {
        format!("{}{}", PrivateNetworkId::PREFIX, self.0.tail()?).parse().ok()
    }

    /// The id of the network's first /24.
    pub fn first_subnet(self) -> SubnetId {
        SubnetId(self.0)
    }
}

impl VpsId {
    /// The id of a machine that was created at that moment. Every minted id has one.
    pub fn of(id: &MachineId, created: Timestamp) -> Option<Self> {
        Ulid::of(created, id.as_str().strip_prefix(MachineId::PREFIX)?).map(Self)
    }

    /// The machine that it leads to. It need not be there.
    pub fn machine(self) -> Option<MachineId> {
        format!("{}{}", MachineId::PREFIX, self.0.tail()?).parse().ok()
    }
}

impl RequestId {
    /// A new id from a moment and 80 of 128 random bits.
    pub fn mint(now: Timestamp, random: [u64; 2]) -> Self {
        let random = u128::from(random[0]) << 64 | u128::from(random[1]);
        Self(Ulid(u128::from(millis(now)) << NUMBER_BITS | (random & NUMBER_MASK)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_leads_back_to_its_network(tail in "[0-9a-z]{1,15}", micros in 0i64..(1 << 48) * 1000) {
            let network: PrivateNetworkId = format!("n{tail}").parse().map_err(|_| TestCaseError::fail("id"))?;
            let id = PnetId::of(&network, Timestamp(micros)).ok_or(TestCaseError::fail("none"))?;
            let text = id.to_string();
            prop_assert_eq!(text.len(), 31);
            let back: PnetId = text.parse().map_err(|_| TestCaseError::fail(text.clone()))?;
            prop_assert_eq!(back.network(), Some(network.clone()));
            prop_assert_eq!(back.created_ms() as i64, micros / 1000);
            let machine: MachineId = format!("ps{tail}").parse().map_err(|_| TestCaseError::fail("id"))?;
            let vps = VpsId::of(&machine, Timestamp(micros)).ok_or(TestCaseError::fail("none"))?;
            prop_assert_eq!(vps.to_string().parse::<VpsId>().ok().and_then(VpsId::machine), Some(machine));
            let subnet = id.first_subnet().to_string();
            prop_assert_eq!(&subnet[7..], &text[5..]);
            prop_assert!(subnet.parse::<SubnetId>().is_ok());
        }

        #[test]
        fn two_networks_never_share_an_id(one in "[0-9a-z]{1,15}", other in "[0-9a-z]{1,15}") {
            let id = |tail: &str| Ulid::of(Timestamp(0), tail);
            prop_assert_eq!(one == other, id(&one) == id(&other));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "(pnet_|subnet_|vps_|)[0-9a-zA-Z_\u{e9}]{0,40}") {
            if let Ok(id) = text.parse::<PnetId>() {
                prop_assert_eq!(id.to_string(), text.clone());
                let _ = id.network();
            }
            let _ = (text.parse::<VpsId>().map(VpsId::machine), text.parse::<SubnetId>());
        }

        #[test]
        fn every_digit_counts(tail in "[0-9a-z]{8}", place in 0usize..26, digit in 0usize..32) {
            let id = Ulid::of(Timestamp(1_700_000_000_000_000), &tail).ok_or(TestCaseError::fail("none"))?;
            let mut text = id.to_string().into_bytes();
            let changed = text[place] != DIGITS[digit];
            text[place] = DIGITS[digit];
            let text = String::from_utf8(text).map_err(|_| TestCaseError::fail("digits are text"))?;
            if let Some(other) = Ulid::read(&text) {
                let same = other.tail().as_ref() == Some(&tail) && other.created_ms() == id.created_ms();
                prop_assert_eq!(same, !changed);
            }
        }
    }

    #[test]
    fn other_text_is_not_an_id() {
        let right = "01hxa3b4c5d6e7f8g9h0j1k2m3";
        assert!(format!("pnet_{right}").parse::<PnetId>().is_ok());
        let upper = right.to_uppercase();
        for wrong in [
            "",
            "pnet_",
            right,
            &format!("vps_{right}"),
            &format!("PNET_{right}"),
            &format!("pnet_{upper}"),
            &format!("pnet_{}", &right[1..]),
            &format!("pnet_{right}0"),
            &format!("pnet_8{}", &right[1..]),
            &format!("pnet_z{}", &right[1..]),
            &format!("pnet_{}i", &right[1..]),
            &format!("pnet_{}l", &right[1..]),
            &format!("pnet_{}o", &right[1..]),
            &format!("pnet_{}u", &right[1..]),
            &format!("pnet_{}\u{e9}", &right[2..]),
            "pnet_7zzzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert!(wrong.parse::<PnetId>().is_err(), "{wrong}");
        }
        let last = "7".to_owned() + &"z".repeat(25);
        assert_eq!(Ulid::read(&last), Some(Ulid(u128::MAX)));
        assert_eq!(Ulid(u128::MAX).to_string(), last);
    }

    #[test]
    fn a_tail_that_is_too_long_has_no_id() {
        assert_eq!(number(&"z".repeat(16)), None);
        assert_eq!(number(""), None);
        assert!(number(&"z".repeat(15)).is_some_and(|number| number <= NUMBER_MASK));
        assert_eq!(tail(NUMBER_MASK), None);
        assert_eq!((tail(0).as_deref(), tail(36).as_deref()), (Some("0"), Some("00")));
    }
}
