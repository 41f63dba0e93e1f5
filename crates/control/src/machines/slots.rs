//! When auto-snapshots are due: at slots, each one period after the last, counted from the moment since which
//! they are taken.
//!
//! **Invariant**: a slot is worked out from that moment and not from another slot, so that nothing drifts: of
//! the 31st of January, the months' slots are the 28th or 29th of February and the 31st of March.

use deckle_api::Timestamp;
use deckle_api::machines::AutoSnapshotFrequency;
use jiff::Span;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const HOUR_US: i64 = 3600 * 1_000_000;
const DAY_US: i64 = 24 * HOUR_US;
const WEEK_US: i64 = 7 * DAY_US;

/// Where the calendar ends: no slot comes before it.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// The first slot after `now`. The first of all is a period after `since`.
pub fn next(frequency: AutoSnapshotFrequency, since: Timestamp, now: Timestamp) -> Timestamp {
    match frequency {
        AutoSnapshotFrequency::Hourly => next_period(HOUR_US, since, now),
        AutoSnapshotFrequency::Daily => next_period(DAY_US, since, now),
        AutoSnapshotFrequency::Weekly => next_period(WEEK_US, since, now),
        AutoSnapshotFrequency::Monthly => next_month(since, now).unwrap_or(NEVER),
    }
}

/// The name of a snapshot that is taken at a moment.
pub fn name(taken: Timestamp) -> String {
    let minute =
        civil(taken).map_or_else(|| taken.to_string(), |taken| taken.strftime("%F %H:%M").to_string());
    format!("Auto snapshot {minute}")
}

fn next_period(period_us: i64, since: Timestamp, now: Timestamp) -> Timestamp {
    let gone = (now.0 - since.0).div_euclid(period_us).max(0);
    Timestamp(since.0.saturating_add((gone + 1).saturating_mul(period_us)))
}

fn next_month(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let (from, to) = (civil(since)?, civil(now)?);
    let gone = 12 * (i64::from(to.year()) - i64::from(from.year())) + i64::from(to.month())
        - i64::from(from.month());
    let first = gone.max(1);
    let slot = months_after(from, first)?;
    if slot > now { Some(slot) } else { months_after(from, first + 1) }
}

/// So many months later, on the month's last day where the month has no such day.
fn months_after(since: DateTime, months: i64) -> Option<Timestamp> {
    let slot = since.checked_add(Span::new().try_months(months).ok()?).ok()?;
    Some(Timestamp(TimeZone::UTC.to_timestamp(slot).ok()?.as_microsecond()))
}

fn civil(moment: Timestamp) -> Option<DateTime> {
    Some(TimeZone::UTC.to_datetime(jiff::Timestamp::from_microsecond(moment.0).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [AutoSnapshotFrequency; 4] = [
        AutoSnapshotFrequency::Hourly,
        AutoSnapshotFrequency::Daily,
        AutoSnapshotFrequency::Weekly,
        AutoSnapshotFrequency::Monthly,
    ];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn slots(frequency: AutoSnapshotFrequency, since: &str, count: usize) -> Vec<String> {
        let first = next(frequency, at(since), at(since));
        let all = std::iter::successors(Some(first), |slot| Some(next(frequency, at(since), *slot)));
        all.take(count).map(|slot| slot.to_string()[..16].to_owned()).collect()
    }

    #[test]
    fn months_keep_their_day_where_they_have_it() {
        let found = slots(AutoSnapshotFrequency::Monthly, "2027-10-31T23:30:00Z", 5);
        let days = [
            "2027-11-30T23:30",
            "2027-12-31T23:30",
            "2028-01-31T23:30",
            "2028-02-29T23:30",
            "2028-03-31T23:30",
        ];
        assert_eq!(found, days);
    }

    #[test]
    fn periods_follow_each_other() {
        let since = "2026-11-22T06:30:00Z";
        let hours = ["2026-11-22T07:30", "2026-11-22T08:30", "2026-11-22T09:30"];
        assert_eq!(slots(AutoSnapshotFrequency::Hourly, since, 3), hours);
        assert_eq!(slots(AutoSnapshotFrequency::Daily, since, 2), ["2026-11-23T06:30", "2026-11-24T06:30"]);
        assert_eq!(slots(AutoSnapshotFrequency::Weekly, since, 2), ["2026-11-29T06:30", "2026-12-06T06:30"]);
    }

    #[test]
    fn a_snapshot_is_named_by_the_minute() {
        assert_eq!(name(at("2026-11-22T06:00:59.999Z")), "Auto snapshot 2026-11-22 06:00");
    }

    #[test]
    fn the_calendar_ends() {
        let end = at("9999-12-30T00:00:00Z");
        assert_eq!(next(AutoSnapshotFrequency::Monthly, end, end), NEVER);
    }

    proptest! {
        #[test]
        fn every_moment_lies_before_one_slot(since in 0..4_000_000_000_000_000i64, later in 0..400_000_000_000_000i64) {
            for frequency in ALL {
                let (since, now) = (Timestamp(since), Timestamp(since + later));
                let slot = next(frequency, since, now);
                prop_assert!(slot > now);
                // Just before it, it is the next one already; at it, it is not any more.
                prop_assert_eq!(next(frequency, since, Timestamp(slot.0 - 1)), slot);
                prop_assert!(next(frequency, since, slot) > slot);
                let longest = if frequency == AutoSnapshotFrequency::Monthly { 31 * DAY_US } else { WEEK_US };
                prop_assert!(slot.0 - now.0 <= longest);
            }
        }
    }
}
