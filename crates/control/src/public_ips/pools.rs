//! Which address of a pool is given out next.

use ipnet::Ipv4Net;

use crate::store::number;

/// The addresses of a range that may be given out: its first and its last one are left out, unless it has
/// two addresses or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The lowest one, as a number.
    pub first: i64,
    /// The highest one, as a number.
    pub last: i64,
}

impl Range {
    /// The addresses of a range of the configuration.
    pub fn of(range: &Ipv4Net) -> Self {
        let ends = if range.prefix_len() >= 31 { 0 } else { 1 };
        Self { first: number(range.network()) + ends, last: number(range.broadcast()) - ends }
    }

    /// How many addresses it has.
    pub fn size(self) -> u64 {
        (self.last - self.first + 1).unsigned_abs()
    }
}

/// The lowest address of a range that was never given out, where `known`, which is ordered, were.
pub fn gap(range: Range, known: &[i64]) -> Option<i64> {
    let mut known = known.iter().copied().skip_while(|ip| *ip < range.first).peekable();
    (range.first..=range.last).find(|ip| known.next_if_eq(ip).is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::ip;

    #[test]
    fn a_range_leaves_its_ends_out_unless_it_is_tiny() {
        let all = |range: &str| {
            let Range { first, last } = Range::of(&range.parse().unwrap());
            (first..=last).map(|number| ip(number).to_string()).collect::<Vec<_>>()
        };
        assert_eq!(all("198.51.100.0/30"), ["198.51.100.1", "198.51.100.2"]);
        assert_eq!(all("198.51.100.8/31"), ["198.51.100.8", "198.51.100.9"]);
        assert_eq!(all("198.51.100.7/32"), ["198.51.100.7"]);
    }

    proptest! {
        #[test]
        fn a_gap_is_the_lowest_address_that_is_not_known(known in prop::collection::btree_set(90i64..130, 0..40)) {
            let range = Range { first: 100, last: 120 };
            let expected = (100..=120).find(|ip| !known.contains(ip));
            let listed: Vec<_> = known.iter().copied().collect();
            prop_assert_eq!(gap(range, &listed), expected);
            let all: BTreeSet<i64> = (100..=120).collect();
            prop_assert_eq!(gap(range, &listed).is_none(), all.is_subset(&known));
        }
    }
}
