//! How far long work is: a bar on a terminal, a plain line now and then elsewhere, nothing with `--quiet`.

use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// Between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// All bars of the process, so that what else is said can be put above them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things, such as files.
    Count,
    /// Bytes.
    Bytes,
}

impl Unit {
    fn show(self, amount: u64) -> String {
        match self {
            Self::Count => HumanCount(amount).to_string(),
            Self::Bytes => HumanBytes(amount).to_string(),
        }
    }
}

/// Some work that is under way. Cheap to advance from many threads. Dropped without [`Self::finish`] it just goes away.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: Option<Plain>,
    label: String,
    unit: Unit,
}

impl Progress {
    /// Begins; see [`crate::invocation::Invocation::progress`].
    pub(crate) fn start(output: &Output, label: &str, unit: Unit, total: Option<u64>) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let (bar, plain) = match (output.is_quiet(), terminal) {
            (true, _) => (bar.with_finish(indicatif::ProgressFinish::Abandon), None),
            (false, true) => (BARS.add(bar), None),
            (false, false) => (bar, Some(Plain::default())),
        };
        if output.is_quiet() || !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        } else {
            bar.set_style(style(unit, total.is_some()));
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, plain, label: label.to_owned(), unit }
    }

    /// So much more is done.
    pub(crate) fn advance(&self, amount: u64) {
        self.bar.inc(amount);
        if self.plain.as_ref().is_some_and(Plain::is_due) {
            say(&self.line());
        }
    }

    /// The total became known, or grew.
    pub(crate) fn set_total(&self, total: u64) {
        self.bar.set_length(total);
    }

    /// What is being worked on, shown behind a bar.
    pub(crate) fn set_detail(&self, detail: impl Into<String>) {
        if self.plain.is_none() {
            self.bar.set_message(detail.into());
        }
    }

    /// Ends with a last plain line; a bar is taken off the terminal.
    pub(crate) fn finish(self) {
        if self.plain.is_some() {
            say(&format!("{}: {} done", self.label, self.unit.show(self.bar.position())));
        }
        self.bar.finish_and_clear();
    }

    fn line(&self) -> String {
        let done = self.unit.show(self.bar.position());
        match self.bar.length() {
            Some(total) => format!("{}: {done} of {}", self.label, self.unit.show(total)),
            None => format!("{}: {done}", self.label),
        }
    }
}

/// Does something that writes to standard error, with the bars out of its way.
pub(crate) fn suspended<T>(act: impl FnOnce() -> T) -> T {
    BARS.suspend(act)
}

/// Standard error for diagnostics, with the bars out of their way. It never fails: nobody could be told, and the one who
/// logs must go on, also when the reader of a pipe is gone.
#[derive(Debug, Default)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = suspended(|| io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The throttle of plain lines.
#[derive(Debug)]
struct Plain {
    last: std::sync::Mutex<Instant>,
}

impl Default for Plain {
    fn default() -> Self {
        Self { last: std::sync::Mutex::new(Instant::now()) }
    }
}

impl Plain {
    /// Whether it is time for a line; a thread that finds another one deciding goes on.
    fn is_due(&self) -> bool {
        let Ok(mut last) = self.last.try_lock() else { return false };
        let due = last.elapsed() >= LINE_INTERVAL;
        if due {
            *last = Instant::now();
        }
        due
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn style(unit: Unit, known: bool) -> ProgressStyle {
    let template = match (unit, known) {
        (Unit::Count, true) => "{prefix} {wide_bar} {human_pos}/{human_len} {per_sec} {eta} {msg:.dim}",
        (Unit::Count, false) => "{prefix} {spinner} {human_pos} {per_sec} {msg:.dim}",
        (Unit::Bytes, true) => "{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg:.dim}",
        (Unit::Bytes, false) => "{prefix} {spinner} {bytes} {bytes_per_sec} {msg:.dim}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_throttled() {
        assert!(!Plain::default().is_due());
    }

    #[test]
    fn lines_name_what_is_done_and_how_much_there_is() {
        let output = Output::new(true, true);
        let progress = Progress::start(&output, "hashing", Unit::Count, None);
        progress.advance(1500);
        assert_eq!(progress.line(), "hashing: 1,500");
        progress.set_total(3000);
        progress.set_detail("a/b");
        assert_eq!(progress.line(), "hashing: 1,500 of 3,000");
        progress.finish();
        assert_eq!(Unit::Bytes.show(2048), "2.00 KiB");
    }

    #[test]
    fn every_style_is_a_template() {
        for unit in [Unit::Count, Unit::Bytes] {
            for known in [true, false] {
                let _ = style(unit, known);
            }
        }
    }
}
