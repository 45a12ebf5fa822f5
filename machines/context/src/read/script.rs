//! `#!` scripts: they run when everything else is done.

use crate::document::Document;
use crate::plan::Stage;
use crate::sections::scripts::Script;
use crate::text::Name;

pub(super) fn read(text: &str) -> Document {
    let name = Name::parse("user-data").ok();
    let content = text.trim_start().to_owned();
    let script = Script { name, content, stage: Stage::Final, every_boot: false };
    Document { scripts: vec![script], ..Document::default() }
}
