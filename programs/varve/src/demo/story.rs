//! How the demonstration is told: numbered steps while it goes on, a table of facts at its end.

use std::cell::Cell;
use std::fmt;

use serde::Serialize;

use crate::output::{Output, Row};

/// The steps so far.
pub(crate) struct Story {
    output: Output,
    steps: Cell<usize>,
}

impl Story {
    /// Before the first step.
    pub(crate) fn new(output: Output) -> Self {
        Self { output, steps: Cell::new(0) }
    }

    /// Tells that the next step begins.
    pub(crate) fn step(&self, what: &str) {
        self.steps.set(self.steps.get() + 1);
        self.output.say(format!("{}. {what}", self.steps.get()));
    }
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Fact {
    what: &'static str,
    value: String,
}

impl Fact {
    /// Something that happened.
    pub(crate) fn new(what: &'static str, value: impl fmt::Display) -> Self {
        Self { what, value: value.to_string() }
    }
}

impl Row for Fact {
    const HEADINGS: &'static [&'static str] = &["WHAT", "HOW MUCH"];

    fn cells(&self) -> Vec<String> {
        vec![self.what.to_owned(), self.value.clone()]
    }
}
