//! What a measurement found: a figure, what it is held against, and the ratio that is aimed at.

use std::time::Duration;

use serde::Serialize;

use crate::output::Row;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// What was measured.
    what: String,
    /// The figure with its unit.
    figure: String,
    /// The peer or the limit, measured in the same run.
    beside: String,
    /// The figure against the peer, as `aim` has it; absent where there is nothing to compare with.
    ratio: Option<f64>,
    /// What the ratio should be.
    aim: &'static str,
}

impl Row for Finding {
    const HEADINGS: &'static [&'static str] = &["WHAT", "FIGURE", "BESIDE", "RATIO", "AIM"];
    const NUMBERS: &'static [usize] = &[1, 3];

    fn cells(&self) -> Vec<String> {
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        vec![self.what.clone(), self.figure.clone(), self.beside.clone(), ratio, self.aim.to_owned()]
    }
}

impl Finding {
    /// A figure by itself.
    pub(crate) fn alone(what: impl Into<String>, figure: impl Into<String>, aim: &'static str) -> Self {
        Self { what: what.into(), figure: figure.into(), beside: String::new(), ratio: None, aim }
    }

    /// The median of several times.
    pub(crate) fn median(what: impl Into<String>, times: &[Duration], aim: &'static str) -> Self {
        let mut times = times.to_vec();
        times.sort_unstable();
        let figure =
            times.get(times.len() / 2).map_or_else(|| "not measured".to_owned(), |time| seconds(*time));
        Self::alone(what, figure, aim)
    }

    /// A speed: the limit's time over our time, 1 where both are equally fast, less where we are slower.
    pub(crate) fn speed(
        what: impl Into<String>,
        pairs: &[(Duration, Duration)],
        limit: &str,
        aim: &'static str,
    ) -> Self {
        Self::compare(what.into(), pairs, limit, aim, |ours, theirs| theirs / ours)
    }

    /// A time: ours over the peer's, 1 where both are equally fast, more where we are slower.
    pub(crate) fn time(
        what: impl Into<String>,
        pairs: &[(Duration, Duration)],
        peer: &str,
        aim: &'static str,
    ) -> Self {
        Self::compare(what.into(), pairs, peer, aim, |ours, theirs| ours / theirs)
    }

    /// The pair with the median ratio speaks for all.
    fn compare(
        what: String,
        pairs: &[(Duration, Duration)],
        beside: &str,
        aim: &'static str,
        ratio: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let mut rated: Vec<(f64, Duration, Duration)> = pairs
            .iter()
            .map(|&(ours, theirs)| (ratio(ours.as_secs_f64(), theirs.as_secs_f64()), ours, theirs))
            .collect();
        rated.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(ratio, ours, theirs)) = rated.get(rated.len() / 2) else {
            return Self::alone(what, "not measured", aim);
        };
        Self {
            what,
            figure: seconds(ours),
            beside: format!("{beside} {}", seconds(theirs)),
            ratio: Some(ratio),
            aim,
        }
    }
}

/// A duration with three figures that matter.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.1 => format!("{:.0} ms", s * 1e3),
        s => format!("{:.1} ms", s * 1e3),
    }
}

/// An amount of memory.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_pair_speaks() {
        let pair = |ours, theirs| (Duration::from_secs(ours), Duration::from_secs(theirs));
        let pairs = [pair(2, 1), pair(4, 1), pair(3, 1)];
        assert_eq!(Finding::time("x", &pairs, "disk", "").ratio, Some(3.0));
        assert_eq!(Finding::speed("x", &pairs, "limit", "").ratio, Some(1.0 / 3.0));
        assert_eq!(Finding::time("x", &[], "disk", "").figure, "not measured");
    }

    #[test]
    fn durations_are_short() {
        let shown: Vec<String> = [0.0123, 0.123, 1.234, 12.34, 123.4]
            .iter()
            .map(|&s| seconds(Duration::from_secs_f64(s)))
            .collect();
        assert_eq!(shown, ["12.3 ms", "123 ms", "1.23 s", "12.3 s", "123 s"]);
    }
}
