//! Money and seconds, as whole numbers: pure functions.

use std::fmt;
use std::iter::Sum;
use std::ops::{AddAssign, Sub};
use std::str::FromStr;

use deckle_api::Timestamp;
use deckle_api::usage::UsageKind;

/// Nano-units of a currency unit.
const NANO: i128 = 1_000_000_000;
/// How many digits after the point that is.
const DIGITS: usize = 9;
/// The largest amount that can be said, in currency units.
const UNITS_MAX: i128 = 1_000_000_000;
/// The hours of a month of prices.
const MONTH_HOURS: i128 = 730;

/// An amount, in nano-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(pub i128);

impl fmt::Display for Amount {
    /// As a decimal number, with two digits after the point at least.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:0DIGITS$}", self.0 % NANO);
        let shown = fraction.trim_end_matches('0');
        write!(f, "{}.{shown:0<2}", self.0 / NANO)
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a decimal number from 0 to {UNITS_MAX} with at most {DIGITS} digits after the point, \
                 such as 99.50"
            )
        };
        let (units, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(units) || !digits(fraction) || fraction.len() > DIGITS {
            return Err(wrong());
        }
        let units: i128 = units.parse().map_err(|_| wrong())?;
        let fraction: i128 = format!("{fraction:0<DIGITS$}").parse().map_err(|_| wrong())?;
        Some(Self(units.saturating_mul(NANO) + fraction))
            .filter(|amount| amount.0 <= UNITS_MAX * NANO)
            .ok_or_else(wrong)
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, more: Self) {
        self.0 += more.0;
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self(self.0 - less.0)
    }
}

/// What one thing costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What is billed.
    pub kind: UsageKind,
    /// Its price in nano-units: per hour of a machine, per month of an address, per GB and month of the rest.
    pub price_nano: i64,
    /// Its size in GB; 0 for what has none.
    pub size_gib: i64,
}

impl Rate {
    /// What it costs from one second to another.
    pub fn between(self, from: i64, to: i64) -> Amount {
        self.up_to(to) - self.up_to(from)
    }

    /// What it would have cost since 1970. Differences of this add up, wherever time is cut.
    fn up_to(self, second: i64) -> Amount {
        let (per, hours) = match self.kind {
            UsageKind::Machine => (1, 1),
            UsageKind::Address => (1, MONTH_HOURS),
            UsageKind::Storage | UsageKind::Drive => (self.size_gib, MONTH_HOURS),
        };
        let spent = i128::from(self.price_nano) * i128::from(per) * i128::from(second);
        Amount(spent.div_euclid(hours * 3600))
    }
}

/// An interval, cut at the ends of calendar months: each part with its month's first moment and its seconds.
pub fn by_month(from: Timestamp, to: Timestamp) -> Vec<(Timestamp, i64, i64)> {
    let mut parts = Vec::new();
    let mut begin = from;
    while begin < to {
        let end = begin.next_month_start().min(to);
        if end <= begin {
            break;
        }
        parts.push((begin.month_start(), begin.whole_seconds(), end.whole_seconds()));
        begin = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_said_and_read_as_a_decimal_number() {
        for (nano, said) in [
            (0, "0.00"),
            (9_000_000, "0.009"),
            (1, "0.000000001"),
            (3_500_000_000, "3.50"),
            (12_000_000_000, "12.00"),
            (NANO * UNITS_MAX, "1000000000.00"),
        ] {
            assert_eq!((Amount(nano).to_string().as_str(), said.parse()), (said, Ok(Amount(nano))));
        }
        assert_eq!(("5".parse(), "0.5".parse()), (Ok(Amount(5 * NANO)), Ok(Amount(NANO / 2))));
        for wrong in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0.0000000001", "1000000000.01", "nan", " 1"]
        {
            assert!(wrong.parse::<Amount>().is_err_and(|told| told.contains("99.50")), "{wrong}");
        }
        assert!("9".repeat(60).parse::<Amount>().is_err());
    }

    #[test]
    fn an_hour_and_a_month_cost_what_the_catalogue_says() {
        let rate = |kind, price_nano, size_gib| Rate { kind, price_nano, size_gib };
        let begin = 1_700_000_000;
        let machine = rate(UsageKind::Machine, 9_000_000, 0);
        assert_eq!(machine.between(begin, begin + 3600).to_string(), "0.009");
        let disk = rate(UsageKind::Storage, 70_000_000, 50);
        assert_eq!(disk.between(begin, begin + 730 * 3600).to_string(), "3.50");
        let address = rate(UsageKind::Address, 3_000_000_000, 0);
        assert_eq!(address.between(begin, begin + 730 * 3600).to_string(), "3.00");
    }

    proptest! {
        /// Wherever an interval is cut, the parts cost what the whole does, and that is no more than a nano-unit
        /// away from the true price.
        #[test]
        fn what_is_cut_adds_up(
            price_nano in 0..1_000_000_000_000_000i64,
            size_gib in 0..16_000i64,
            begin in 0..4_000_000_000i64,
            mut cuts in prop::collection::vec(0..40_000_000i64, 2..20),
        ) {
            cuts.sort_unstable();
            for kind in UsageKind::ALL {
                let rate = Rate { kind, price_nano, size_gib };
                let whole = rate.between(begin + cuts[0], begin + cuts[cuts.len() - 1]);
                let parts = cuts.windows(2).map(|part| rate.between(begin + part[0], begin + part[1]));
                prop_assert_eq!(parts.sum::<Amount>(), whole);
                let (quantity, hours) = match kind {
                    UsageKind::Machine => (1.0, 1.0),
                    UsageKind::Address => (1.0, 730.0),
                    _ => (size_gib as f64, 730.0),
                };
                let seconds = (cuts[cuts.len() - 1] - cuts[0]) as f64;
                let expected = price_nano as f64 * quantity * seconds / hours / 3600.0;
                let error = (whole.0 as f64 - expected).abs();
                prop_assert!(error <= 1.0 + expected * 1e-12, "{} is not {}", whole.0, expected);
            }
        }

        #[test]
        fn months_leave_nothing_out(begin in 0..4_000_000_000_000_000i64, lasts in 0..100_000_000_000_000i64) {
            let (from, to) = (Timestamp(begin), Timestamp(begin + lasts));
            let parts = by_month(from, to);
            let seconds: i64 = parts.iter().map(|(_, from, to)| to - from).sum();
            prop_assert_eq!(seconds, to.whole_seconds() - from.whole_seconds());
            for ((month, from, to), next) in parts.iter().zip(parts.iter().skip(1)) {
                prop_assert_eq!((*to, *to), (next.1, next.0.whole_seconds()));
                prop_assert!(*from >= month.whole_seconds() && month.next_month_start() == next.0);
            }
        }
    }
}
