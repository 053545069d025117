//! Durations of one kind, and the tables that compare them.

use crate::takeover;
use std::time::Duration;

/// How long the same thing took, each time.
#[derive(Debug, Default)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    pub(crate) fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Shortest, median, longest, in microseconds.
    fn figures(&self) -> [f64; 3] {
        let mut sorted = self.0.clone();
        sorted.sort();
        let micros = |at: usize| sorted.get(at).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e6);
        [micros(0), micros(sorted.len() / 2), micros(sorted.len().saturating_sub(1))]
    }
}

/// One line of the table: somebody's attach and detach.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) attach: Durations,
    pub(crate) detach: Durations,
}

impl Row {
    pub(crate) fn new(name: &'static str) -> Row {
        Row { name, attach: Durations::default(), detach: Durations::default() }
    }
}

/// Prints the rows; the ratios are those of the medians to the first row's.
pub(crate) fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let half = format!("{:>9} {:>9} {:>9} {:>8}", "min", "median", "max", "x floor");
    println!("{:width$} | {:^38} | {:^38}", "microseconds", "attach", "detach");
    println!("{:width$} | {half} | {half}", "");
    let [floor_attach, floor_detach] =
        rows.first().map_or([f64::NAN; 2], |floor| [floor.attach.figures()[1], floor.detach.figures()[1]]);
    for row in rows {
        let half = |figures: [f64; 3], floor: f64| {
            let [min, median, max] = figures;
            format!("{min:9.0} {median:9.0} {max:9.0} {:8.2}", median / floor)
        };
        let attach = half(row.attach.figures(), floor_attach);
        let detach = half(row.detach.figures(), floor_detach);
        println!("{:width$} | {attach} | {detach}", row.name);
    }
}

/// Prints how long takeovers last, and how late the latest answer comes, with one and without.
pub(crate) fn print_takeovers(rows: &[takeover::Row]) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let part = format!("{:>7} {:>7} {:>7}", "min", "median", "max");
    println!("{:width$} | {:^23} | {:^23} | {:^23}", "microseconds", "start", "stop", "latest answer to a ping");
    println!("{:width$} | {part} | {part} | {part}", "");
    for row in rows {
        let figure = |figure: f64| if figure.is_nan() { format!("{:>7}", "") } else { format!("{figure:7.0}") };
        let part = |durations: &Durations| durations.figures().map(figure).join(" ");
        let [start, stop, latest] = [&row.start, &row.stop, &row.latest].map(part);
        println!("{:width$} | {start} | {stop} | {latest}", row.name);
    }
}
