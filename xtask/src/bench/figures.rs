//! What was measured, and how it is told: each figure beside its floor or its peer of the same run.

use std::time::Duration;

use serde_json::{Value, json};

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    beside: Option<Beside>,
}

/// What a figure is held against: a floor that nothing can beat, or a peer that does the same.
#[derive(Debug, Clone)]
struct Beside {
    what: String,
    value: f64,
}

impl Figure {
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, beside: None }
    }

    /// Puts a figure of the same unit and the same run beside it.
    #[must_use]
    pub fn beside(self, what: impl Into<String>, value: f64) -> Self {
        Self { beside: Some(Beside { what: what.into(), value }), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.beside.as_ref().map(|beside| self.value / beside.value)
    }

    fn row(&self) -> [String; 4] {
        let ratio = self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let beside = self.beside.as_ref();
        let beside = beside.map(|beside| format!("{} {} {}", shown(beside.value), self.unit, beside.what));
        [self.what.clone(), format!("{} {}", shown(self.value), self.unit), ratio, beside.unwrap_or_default()]
    }

    fn json(&self) -> Value {
        let mut figure = json!({ "what": self.what, "value": self.value, "unit": self.unit });
        if let (Some(beside), Some(ratio)) = (&self.beside, self.ratio()) {
            figure["beside"] = json!({ "what": beside.what, "value": beside.value });
            figure["ratio"] = ratio.into();
        }
        figure
    }
}

fn shown(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// All figures of a run, and what was left out of it.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
    left_out: Vec<String>,
}

impl Report {
    pub fn add(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.figures.extend(figures);
    }

    pub fn leave_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    pub fn json(&self) -> Value {
        let figures: Vec<_> = self.figures.iter().map(Figure::json).collect();
        json!({ "cores": cores(), "figures": figures, "leftOut": self.left_out })
    }

    pub fn table(&self) -> String {
        let head = ["FIGURE", "VALUE", "RATIO", "BESIDE"].map(str::to_owned);
        let rows: Vec<_> = std::iter::once(head).chain(self.figures.iter().map(Figure::row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2].map(width);
        let mut table = format!("On {} cores:\n\n", cores());
        for [what, value, ratio, beside] in &rows {
            let [first, second, third] = widths;
            let line = format!("{what:first$}  {value:>second$}  {ratio:>third$}  {beside}");
            table += line.trim_end();
            table += "\n";
        }
        for what in &self.left_out {
            table += &format!("\nLEFT OUT: {what}\n");
        }
        table
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Times that were measured, in order.
#[derive(Debug)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Of at least one time.
    pub fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "something was measured");
        times.sort();
        Self(times)
    }

    /// The time within which that share of them lies, in milliseconds.
    pub fn ms(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1].as_secs_f64() * 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_samples_lies_within_its_time() {
        let samples = Samples::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| samples.ms(share)), [1.0, 100.0, 198.0, 200.0]);
        assert_eq!(Samples::of(vec![Duration::from_millis(7)]).ms(0.99), 7.0);
    }

    #[test]
    fn a_figure_stands_beside_its_peer() {
        let mut report = Report::default();
        report
            .add([Figure::new("to ready", 4.5, "s").beside("bare", 4.0), Figure::new("size", 1234.0, "MB")]);
        report.leave_out("the rest");
        let table = report.table();
        let (_, table) = table.split_once("\n\n").unwrap();
        let told = "FIGURE      VALUE  RATIO  BESIDE\n\
                    to ready   4.50 s   1.12  4.00 s bare\n\
                    size      1234 MB\n\n\
                    LEFT OUT: the rest\n";
        assert_eq!(table, told);
        assert_eq!(report.json()["figures"][0]["ratio"], 1.125);
    }
}
