//! A file of lines with fields between colons, the first of which is a name. Bytes, since such files hold any.

use super::super::ActionError;
use super::super::root::{Metadata, Root};

/// Such a file.
pub(in super::super) struct Table {
    path: &'static str,
    lines: Vec<Vec<u8>>,
    metadata: Metadata,
    changed: bool,
}

/// One line of it.
#[derive(Clone, Copy)]
pub(in super::super) struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// A field, counted from 0; empty if there is none.
    pub(in super::super) fn field(self, at: usize) -> &'a [u8] {
        self.0.split(|byte| *byte == b':').nth(at).unwrap_or_default()
    }

    pub(in super::super) fn number(self, at: usize) -> Option<u32> {
        number(self.field(at))
    }
}

pub(super) fn number(field: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(field).ok()?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

impl Table {
    /// Reads a file; one that isn't there is empty, and made with `mode` when something is added.
    pub(super) fn read(root: &Root, path: &'static str, mode: u32) -> Result<Self, ActionError> {
        let existing = root.read(path)?;
        let metadata = existing.as_ref().map_or(Metadata::root(mode), |existing| existing.metadata);
        let bytes = existing.map(|existing| existing.bytes).unwrap_or_default();
        let lines =
            bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        Ok(Self { path, lines, metadata, changed: false })
    }

    pub(in super::super) fn row(&self, name: &str) -> Option<Row<'_>> {
        self.lines.iter().map(|line| Row(line)).find(|row| row.field(0) == name.as_bytes())
    }

    pub(super) fn has_number(&self, at: usize, wanted: u32) -> bool {
        self.lines.iter().any(|line| Row(line).number(at) == Some(wanted))
    }

    /// Adds a line, before those that ask a directory service.
    pub(super) fn add(&mut self, line: &str) {
        let at = self.lines.iter().position(|line| line.starts_with(b"+")).unwrap_or(self.lines.len());
        self.lines.insert(at, line.as_bytes().to_vec());
        self.changed = true;
    }

    /// Changes one field of a line that is there.
    pub(in super::super) fn set(&mut self, name: &str, at: usize, value: &[u8]) {
        let Some(line) = self.lines.iter_mut().find(|line| Row(line).field(0) == name.as_bytes()) else {
            return;
        };
        let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        while fields.len() <= at {
            fields.push(b"");
        }
        if fields[at] == value {
            return;
        }
        fields[at] = value;
        *line = fields.join(&b':');
        self.changed = true;
    }

    /// Adds a name to a field that is a list.
    pub(super) fn add_member(&mut self, name: &str, at: usize, member: &str) {
        let Some(row) = self.row(name) else { return };
        let list = row.field(at).to_vec();
        let mut members: Vec<&[u8]> =
            list.split(|byte| *byte == b',').filter(|member| !member.is_empty()).collect();
        if !members.contains(&member.as_bytes()) {
            members.push(member.as_bytes());
            self.set(name, at, &members.join(&b','));
        }
    }

    /// Writes the file if it was changed; whether it was.
    pub(super) fn write(&mut self, root: &Root) -> Result<bool, ActionError> {
        if !std::mem::take(&mut self.changed) {
            return Ok(false);
        }
        let mut bytes = self.lines.join(&b'\n');
        bytes.push(b'\n');
        root.replace(self.path, &bytes, self.metadata)
    }
}
