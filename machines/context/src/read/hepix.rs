//! A HEPIX context: `prolog.sh` runs before everything, `epilog.sh` after it.

use super::Reader;
use crate::place::Place;
use crate::plan::Stage;

pub(super) fn read(prolog: Option<&[u8]>, epilog: Option<&[u8]>, reader: &mut Reader) {
    reader.form("hepix");
    let both = [("prolog", prolog, Stage::BeforeNetwork), ("epilog", epilog, Stage::Final)];
    for (name, script, stage) in both {
        let Some(script) = script else { continue };
        match std::str::from_utf8(script) {
            Ok(text) if text.len() <= super::unpack::MAX_UNPACKED => {
                let text = text.replace("\r\n", "\n");
                let content = if text.starts_with("#!") { text } else { format!("#!/bin/sh\n{text}") };
                reader.script(&format!("hepix-{name}"), content, stage, false);
            }
            _ => reader.notices.error(Place::default(), format!("the {name} is no script")),
        }
    }
}
