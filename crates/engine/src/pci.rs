//! Addresses on the PCI bus.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a device is on the PCI bus, as the kernel writes it: domain, bus, slot and function.
///
/// **Invariant**: lower-case, with its domain, which may have more than four digits. It is safe in a file
/// name and in an option of QEMU's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress(String);

/// A text that is not an address on the PCI bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address on the PCI bus, such as `0000:41:00.0`")]
pub struct NotAnAddress;

impl PciAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without the function: functions of one device share it.
    pub fn slot(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(slot, _)| slot)
    }
}

impl FromStr for PciAddress {
    type Err = NotAnAddress;

    /// Reads an address; without a domain it is in the first one.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.to_ascii_lowercase();
        let full = if text.matches(':').count() == 1 { format!("0000:{text}") } else { text };
        let parts: Vec<&str> = full.split([':', '.']).collect();
        let [domain, bus, slot, function] = parts.as_slice() else { return Err(NotAnAddress) };
        let hex = |part: &str, lengths: std::ops::RangeInclusive<usize>, most: u32| {
            let right = lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            right && u32::from_str_radix(part, 16).is_ok_and(|number| number <= most)
        };
        let right = hex(domain, 4..=8, u32::MAX)
            && hex(bus, 2..=2, 0xff)
            && hex(slot, 2..=2, 0x1f)
            && hex(function, 1..=1, 7)
            && full == format!("{domain}:{bus}:{slot}.{function}");
        right.then_some(Self(full)).ok_or(NotAnAddress)
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PciAddress {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_domain() {
        let read = |text: &str| text.parse::<PciAddress>().map(|address| address.to_string());
        assert_eq!(read("41:00.0").as_deref(), Ok("0000:41:00.0"));
        assert_eq!(read("10000:E1:1F.7").as_deref(), Ok("10000:e1:1f.7"));
        for wrong in ["", "41:00", "0000:41:00.8", "0000:41:20.0", "0000.41:00:0", "../x", "0000:41:00.0,x=y"]
        {
            assert_eq!(read(wrong), Err(NotAnAddress), "{wrong}");
        }
        assert_eq!("0000:41:00.1".parse::<PciAddress>().unwrap().slot(), "0000:41:00");
    }
}
