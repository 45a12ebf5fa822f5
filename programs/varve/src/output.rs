//! Words and data: data go to standard output, talk goes to standard error. Progress has its own file.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use crate::cli::ListingOptions;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::progress;

/// Something that listings show, one in a row.
pub(crate) trait Row: Serialize {
    /// The columns' headings, in capitals.
    const HEADINGS: &'static [&'static str];
    /// Columns that hold numbers and stand to the right.
    const NUMBERS: &'static [usize] = &[];

    /// What a person reads in each column. `--json` prints the serialized form instead, with exact numbers.
    fn cells(&self) -> Vec<String>;
}

/// Where the words of one call go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    quiet: bool,
    colored: bool,
}

impl Output {
    /// Talks unless `quiet`; in colours on a terminal unless `no_color`.
    pub(crate) fn new(quiet: bool, no_color: bool) -> Self {
        Self { quiet, colored: !no_color && io::stderr().is_terminal() }
    }

    /// Whether nothing but errors is to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether what is said on standard error may be coloured.
    pub(crate) fn colored_talk(&self) -> bool {
        self.colored
    }

    /// Prints a table, or a JSON array with `--json`.
    pub(crate) fn listing<T: Row>(&self, options: ListingOptions, rows: &[T]) -> Result<(), Failure> {
        if options.json { self.json(&rows) } else { self.line(table(rows)) }
    }

    /// Prints one value as JSON.
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| Failure::new(ExitCode::Failure, error))?;
        self.line(text)
    }

    /// Prints one line of data.
    pub(crate) fn line(&self, text: impl fmt::Display) -> Result<(), Failure> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Writes data as they are.
    pub(crate) fn write(&self, data: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(data).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(ExitCode::OutputClosed),
            _ => Failure::io("write to", "standard output".as_ref(), error),
        })
    }

    /// Tells what happens, unless the user wants quiet.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        if !self.quiet {
            talk(&format!("{text}"));
        }
    }

    /// Warns of something that the command goes on in spite of.
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        talk(&format!("{}: {text}", self.paint("33", "warning")));
    }

    /// Prints what went wrong.
    pub(crate) fn error(&self, text: &str) {
        talk(&format!("{}: {text}", self.paint("31", "error")));
    }

    /// Prints what could be done about it.
    pub(crate) fn hint(&self, text: &str) {
        talk(&format!("{}: {text}", self.paint("36", "hint")));
    }

    fn paint(&self, color: &str, word: &str) -> String {
        if self.colored { format!("\x1b[1;{color}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// A line on standard error that does not tear a progress bar apart. Nobody is left to be told when that fails.
fn talk(line: &str) {
    progress::suspended(|| {
        let _ = writeln!(io::stderr(), "{line}");
    });
}

fn table<T: Row>(rows: &[T]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(T::HEADINGS);
    for row in rows {
        table.add_row(row.cells());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if T::NUMBERS.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Tag(&'static str, u64);

    impl Row for Tag {
        const HEADINGS: &'static [&'static str] = &["NAME", "REVISION"];
        const NUMBERS: &'static [usize] = &[1];

        fn cells(&self) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        assert_eq!(
            table(&[Tag("v1", 9), Tag("trunk-previous", 1234)]),
            "NAME            REVISION\nv1                     9\ntrunk-previous      1234"
        );
        assert_eq!(table::<Tag>(&[]), "NAME  REVISION");
    }
}
