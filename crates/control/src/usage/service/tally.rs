//! Intervals, added up: pure functions.

use std::collections::BTreeMap;

use deckle_api::Timestamp;
use deckle_api::ids::MachineId;
use deckle_api::paging::Limit;
use deckle_api::usage::{UsageItem, UsageKind, UsageTotal};

use super::super::amounts::Amount;
use super::super::store::Model;

/// The kind and the object of an item, and its type and user: items are ordered by them.
type Key = (String, String);

/// What the intervals of a window came to.
#[derive(Debug)]
pub struct Tally {
    from: Timestamp,
    to: Timestamp,
    items: BTreeMap<Key, Item>,
}

#[derive(Debug)]
struct Item {
    first: Model,
    sum: Sum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sum {
    seconds: u64,
    gpu_seconds: u64,
    gb_seconds: u64,
    amount: Amount,
}

impl Sum {
    fn add(&mut self, more: Self) {
        self.seconds += more.seconds;
        self.gpu_seconds += more.gpu_seconds;
        self.gb_seconds += more.gb_seconds;
        self.amount += more.amount;
    }
}

impl Tally {
    /// A tally of a window, with nothing in it yet.
    pub fn of(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to, items: BTreeMap::new() }
    }

    /// Adds what of an interval is in the window.
    pub fn add(&mut self, record: &Model) {
        let from = self.from.max(record.dt_from.into());
        let to = record.dt_to.map_or(self.to, |end| self.to.min(end.into()));
        let (from, to) = (from.whole_seconds(), to.whole_seconds());
        if to <= from {
            return;
        }
        let seconds = (to - from).unsigned_abs();
        let sum = Sum {
            seconds,
            gpu_seconds: seconds * record.gpus.unsigned_abs(),
            gb_seconds: seconds * record.size_gib.unsigned_abs(),
            amount: record.rate().between(from, to),
        };
        let item = self.items.entry(key(record));
        item.or_insert_with(|| Item { first: record.clone(), sum: Sum::default() }).sum.add(sum);
    }

    /// What everything came to.
    pub fn amount(&self) -> Amount {
        self.items.values().map(|item| item.sum.amount).sum()
    }

    /// The same for each kind.
    pub fn totals(&self) -> Vec<UsageTotal> {
        let mut sums = UsageKind::ALL.map(|kind| (kind, Sum::default()));
        for item in self.items.values() {
            if let Some((_, sum)) = sums.iter_mut().find(|(kind, _)| *kind == item.first.kind.0) {
                sum.add(item.sum);
            }
        }
        sums.into_iter().map(|(kind, sum)| total(kind, sum)).collect()
    }

    /// The items after a place, and the place of the last one if there are more.
    pub fn page(&self, after: Option<(&str, &str)>, limit: Limit) -> (Vec<UsageItem>, Option<(&str, &str)>) {
        let is_after = |key: &Key| after.is_none_or(|place| (key.0.as_str(), key.1.as_str()) > place);
        let limit = usize::try_from(limit.rows()).unwrap_or(usize::MAX);
        let mut rest = self.items.iter().filter(|(key, _)| is_after(key));
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let more = rest.next().is_some();
        let last = page.last().filter(|_| more).map(|(key, _)| (key.0.as_str(), key.1.as_str()));
        (page.into_iter().map(|(_, item)| shown(item)).collect(), last)
    }
}

fn key(record: &Model) -> Key {
    let kind = UsageKind::ALL.iter().position(|kind| *kind == record.kind.0).unwrap_or_default();
    let machine_type = record.machine_type.as_deref().unwrap_or_default();
    (format!("{kind} {}", record.object_id), format!("{machine_type} {}", record.user_id.0))
}

fn total(kind: UsageKind, sum: Sum) -> UsageTotal {
    let Sum { seconds, gpu_seconds, gb_seconds, amount } = sum;
    UsageTotal {
        kind,
        seconds,
        gpu_seconds,
        gb_seconds,
        hours: hours(seconds),
        gpu_hours: hours(gpu_seconds),
        gb_hours: hours(gb_seconds),
        amount: amount.to_string(),
    }
}

fn shown(item: &Item) -> UsageItem {
    let Sum { seconds, gpu_seconds, gb_seconds, amount } = item.sum;
    let of = &item.first;
    UsageItem {
        kind: of.kind.0,
        id: of.object_id.clone(),
        machine_id: of.machine_id.as_ref().map(|id| MachineId::clone(&id.0)),
        user_id: of.user_id.0.clone(),
        machine_type: of.machine_type.clone(),
        seconds,
        gpu_seconds,
        gb_seconds,
        hours: hours(seconds),
        gpu_hours: hours(gpu_seconds),
        gb_hours: hours(gb_seconds),
        amount: amount.to_string(),
    }
}

/// Seconds as hours, rounded to a ten-thousandth.
fn hours(seconds: u64) -> f64 {
    (seconds as f64 / 0.36).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Micros, Text};

    const KINDS: [UsageKind; 4] = UsageKind::ALL;

    fn records() -> impl Strategy<Value = Vec<Model>> {
        let record =
            (0..4usize, 0..3u8, 0..90_000_000i64, prop::option::of(0..60_000_000i64), 0..5i64, 0..3i64);
        let price = 0..10_000_000_000i64;
        let record = (record, price).prop_map(|((kind, object, from, lasts, gpus, size), price)| Model {
            number: 0,
            team_id: Text("te1".parse().unwrap()),
            user_id: Text("u1".parse().unwrap()),
            kind: Text(KINDS[kind]),
            object_id: format!("ps{object}"),
            machine_id: None,
            machine_type: (kind == 0).then(|| format!("C{gpus}")),
            gpus: if kind == 0 { gpus } else { 0 },
            size_gib: if kind == 1 || kind == 3 { size } else { 0 },
            price_nano: price,
            dt_from: Micros(from),
            dt_to: lasts.map(|lasts| Micros(from + lasts)),
        });
        prop::collection::vec(record, 0..12)
    }

    fn tallied(records: &[Model], from: i64, to: i64) -> Tally {
        let mut tally = Tally::of(Timestamp(from), Timestamp(to));
        records.iter().for_each(|record| tally.add(record));
        tally
    }

    fn sums(tally: &Tally) -> BTreeMap<Key, Sum> {
        tally.items.iter().map(|(key, item)| (key.clone(), item.sum)).collect()
    }

    proptest! {
        /// However a window is cut, its parts add up to it; and its seconds are those of a model that walks
        /// through them one by one.
        #[test]
        fn a_window_is_the_sum_of_its_parts(
            records in records(),
            mut cuts in prop::collection::vec(0..150_000_000i64, 2..9),
        ) {
            cuts.sort_unstable();
            let (from, to) = (cuts[0], cuts[cuts.len() - 1]);
            let whole = tallied(&records, from, to);
            let mut parts: BTreeMap<Key, Sum> = BTreeMap::new();
            for cut in cuts.windows(2) {
                for (key, sum) in sums(&tallied(&records, cut[0], cut[1])) {
                    parts.entry(key).or_default().add(sum);
                }
            }
            prop_assert_eq!(&sums(&whole), &parts);
            prop_assert_eq!(whole.amount(), parts.values().map(|sum| sum.amount).sum::<Amount>());
            let mut model: BTreeMap<Key, (u64, u64, u64)> = BTreeMap::new();
            let second = |micros: i64| micros / 1_000_000;
            for at in second(from)..second(to) {
                for record in &records {
                    let end = record.dt_to.map_or(i64::MAX, |end| second(end.0));
                    if (second(record.dt_from.0)..end).contains(&at) {
                        let counted = model.entry(key(record)).or_default();
                        counted.0 += 1;
                        counted.1 += record.gpus.unsigned_abs();
                        counted.2 += record.size_gib.unsigned_abs();
                    }
                }
            }
            let counted = sums(&whole).into_iter().map(|(key, sum)| (key, (sum.seconds, sum.gpu_seconds, sum.gb_seconds)));
            prop_assert_eq!(counted.collect::<BTreeMap<_, _>>(), model);
        }

        /// Walked page by page, every item is told once.
        #[test]
        fn pages_tell_each_item_once(records in records(), rows in 1..4u64) {
            let tally = tallied(&records, 0, 200_000_000);
            let (all, none) = tally.page(None, Limit::new(120).unwrap());
            prop_assert_eq!(none, None);
            let (mut walked, mut place) = (Vec::new(), None);
            loop {
                let (page, next) = tally.page(place, Limit::new(rows).unwrap());
                walked.extend(page);
                place = next;
                if place.is_none() {
                    break;
                }
            }
            prop_assert_eq!(walked, all);
        }
    }
}
