//! Why it is waiting, in a line: what is done, for how long, what went wrong last, and when it is tried next.

use deckle_api::Timestamp;
use deckle_api::details::Detail;
use deckle_api::machine_events::MachineEventDetail;

use crate::output::plain;
use crate::progress::Progress;

/// How long a step takes before that is worth a line of a log, in seconds.
const LONG_SECONDS: f64 = 10.0;

/// What was heard so far of why something is waited for.
#[derive(Debug, Default)]
pub struct Reasons {
    last: Option<Reason>,
    logged: Option<Reason>,
}

/// Why something is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    step: String,
    since: Option<Timestamp>,
    last_error: Option<String>,
    next_try: Option<Timestamp>,
    failures: u64,
}

impl From<Detail> for Reason {
    fn from(detail: Detail) -> Self {
        let Detail { is_ready: _, step, since, last_error, dt_last_error: _, next_try, failures } = detail;
        Self { step: step.unwrap_or_default(), since, last_error, next_try, failures }
    }
}

impl From<MachineEventDetail> for Reason {
    fn from(detail: MachineEventDetail) -> Self {
        let MachineEventDetail { step, since, last_error, next_try, failures, .. } = detail;
        Self { step: step.unwrap_or_default(), since, last_error, next_try, failures }
    }
}

impl Reasons {
    /// Takes in what was heard now, and writes a line of a log where that is news and worth one.
    pub fn hear(&mut self, found: impl Into<Reason>, progress: &Progress) {
        if let Some(line) = self.news(found.into(), Timestamp::of_system_clock()) {
            progress.log(&line);
        }
    }

    fn news(&mut self, found: Reason, now: Timestamp) -> Option<String> {
        self.last = Some(found.clone());
        let is_known = self.logged.as_ref().is_some_and(|logged| logged.is_like(&found));
        let line = found.logged(now).filter(|_| !is_known)?;
        self.logged = Some(found);
        Some(line)
    }

    /// What was heard last, for a living line.
    pub fn living(&self, now: Timestamp) -> String {
        self.last.as_ref().map(|last| last.living(now)).unwrap_or_default()
    }
}

impl Reason {
    /// For a living line: times as seconds from `now` on.
    fn living(&self, now: Timestamp) -> String {
        let since = |since: Timestamp| format!(" for {:.0} s", now.seconds_since(since).max(0.0));
        let next = |next: Timestamp| format!("next try in {:.0} s", next.seconds_since(now).max(0.0).ceil());
        self.told(since, next)
    }

    /// For a log, where it is worth a line: something went wrong, or the step takes long. Times are moments.
    fn logged(&self, now: Timestamp) -> Option<String> {
        let takes_long = self.since.is_some_and(|since| now.seconds_since(since) >= LONG_SECONDS);
        let since = |since: Timestamp| format!(" since {since}");
        let next = |next: Timestamp| format!("next try at {next}");
        (takes_long || self.last_error.is_some()).then(|| self.told(since, next))
    }

    /// Whether it says the same but for its times.
    fn is_like(&self, other: &Self) -> bool {
        (&self.step, &self.last_error) == (&other.step, &other.last_error)
    }

    fn told(&self, since: impl Fn(Timestamp) -> String, next: impl Fn(Timestamp) -> String) -> String {
        let mut parts = vec![format!("{}{}", self.step, self.since.map(since).unwrap_or_default())];
        if let Some(error) = &self.last_error {
            let times = match self.failures {
                0 => "failed".to_owned(),
                1 => "failed once".to_owned(),
                times => format!("failed {times} times"),
            };
            parts.push(format!("{times}: {error}"));
            parts.extend(self.next_try.map(next));
        }
        plain(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(last_error: Option<&str>, failures: u64) -> Reason {
        Reason {
            step: "starts the virtual machine".to_owned(),
            since: Some(Timestamp(1_700_000_000_000_000)),
            last_error: last_error.map(str::to_owned),
            next_try: Some(Timestamp(1_700_000_012_300_000)),
            failures,
        }
    }

    #[test]
    fn a_living_line_says_for_how_long_and_what_went_wrong() {
        let now = Timestamp(1_700_000_008_000_000);
        assert_eq!(reason(None, 0).living(now), "starts the virtual machine for 8 s");
        let failed = reason(Some("no\nspace"), 3).living(now);
        let expected = "starts the virtual machine for 8 s; failed 3 times: no\u{fffd}space; next try in 5 s";
        assert_eq!(failed, expected);
        let late = reason(Some("no space"), 1).living(Timestamp(0));
        assert!(late.starts_with("starts the virtual machine for 0 s; failed once: no space; "), "{late}");
    }

    #[test]
    fn a_log_is_told_what_takes_long_or_went_wrong() {
        let soon = Timestamp(1_700_000_008_000_000);
        assert_eq!(reason(None, 0).logged(soon), None);
        let long = reason(None, 0).logged(soon.plus_seconds(2));
        assert_eq!(long.as_deref(), Some("starts the virtual machine since 2023-11-14T22:13:20.000Z"));
        let failed = reason(Some("no space"), 0).logged(soon).unwrap();
        assert!(failed.ends_with("; failed: no space; next try at 2023-11-14T22:13:32.300Z"), "{failed}");
    }

    #[test]
    fn the_same_again_is_not_news() {
        let mut reasons = Reasons::default();
        let soon = Timestamp(1_700_000_008_000_000);
        let heard = [
            (None, soon),
            (None, soon.plus_seconds(2)),
            (None, soon.plus_seconds(3)),
            (Some("no space"), soon.plus_seconds(4)),
            (Some("no space"), soon.plus_seconds(5)),
            (Some("no power"), soon.plus_seconds(6)),
        ];
        let news = heard.map(|(error, now)| reasons.news(reason(error, 1), now).is_some());
        assert_eq!(news, [false, true, false, true, false, true]);
        assert!(reasons.living(soon).contains("failed once: no power"));
    }
}
