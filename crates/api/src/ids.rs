//! Typed, prefixed ids: `ps8rgduy2k`, `nwhoe4oxk2`, … and nothing that is not one.
//!
//! Clients treat ids as opaque text; the prefixes are the familiar ones of the v1 API, so that a
//! person sees what an id is of. Inside Deckle an id is a type, never a `String`.
//!
//! **Invariant**: a value of an id type is its prefix followed by 1 to 16 lower-case letters and
//! digits. It is therefore safe in a file name, in the name of a network device and in a URL.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many characters a new id has after its prefix: 36^8 is 2.8 * 10^12.
///
/// A network device's name may have 15 characters; the tag of an installation takes five of them.
const MINTED: u32 = 8;
const LONGEST: usize = 16;

/// A text that is not an id of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnId {
    kind: &'static str,
    prefix: &'static str,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, prefix } = self;
        write!(f, "expected the id of a {kind}: `{prefix}` and 1 to {LONGEST} lower-case letters or digits")
    }
}

impl std::error::Error for NotAnId {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// What such an id begins with.
            pub const PREFIX: &'static str = $prefix;
            /// What such an id is of, in words.
            pub const KIND: &'static str = $kind;

            /// A new id from 64 random bits.
            pub fn mint(random: u64) -> Self {
                Self(format!("{}{}", $prefix, base36(random)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_tail(rest) => Ok(Self(text.to_owned())),
                    _ => Err(NotAnId { kind: $kind, prefix: $prefix }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                <String as utoipa::PartialSchema>::schema()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// The id of a machine.
    MachineId = "ps", "machine";
    /// The id of a private network.
    PrivateNetworkId = "n", "private network";
    /// The id of a template, of the operating system's or a custom one.
    TemplateId = "t", "template";
    /// The id of a snapshot.
    SnapshotId = "sl", "snapshot";
    /// The id of a startup script.
    StartupScriptId = "sc", "startup script";
    /// The id of one run of a startup script.
    StartupScriptRunId = "sr", "run of a startup script";
    /// The id of a shared drive.
    SharedDriveId = "sd", "shared drive";
    /// The id of a user.
    UserId = "u", "user";
    /// The id of a team.
    TeamId = "te", "team";
    /// The id of an API key's row. The key itself is never stored.
    ApiKeyId = "k", "API key";
    /// The id of an SSH key.
    SshKeyId = "sk", "SSH key";
    /// The id of a firewall rule.
    FirewallRuleId = "fw", "firewall rule";
    /// The id of a dashboard session. Its cookie is never stored.
    SessionId = "ss", "session";
    /// The id of a machine event.
    MachineEventId = "ev", "machine event";
    /// The id of an export or an import.
    TransferId = "tr", "transfer";
}

fn is_tail(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn base36(random: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut left = random;
    (0..MINTED)
        .map(|_| {
            let digit = DIGITS[(left % 36) as usize];
            left /= 36;
            char::from(digit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_id_is_one() {
        for random in [0, 1, 35, 36, u64::MAX] {
            let id = MachineId::mint(random);
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
            assert_eq!(id.as_str().len(), 10);
        }
    }

    #[test]
    fn other_text_is_not_an_id() {
        for text in ["", "ps", "n1234", "PS1234", "ps12/34", "ps12 34", "ps12345678901234567", "ps\u{e9}"] {
            assert!(text.parse::<MachineId>().is_err(), "{text:?}");
        }
    }
}
