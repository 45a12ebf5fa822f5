//! User data of every form into a [`Document`]. Pure: nothing is fetched, nothing is written.

mod cloud_config;
mod native;
mod script;
mod unpack;

use crate::document::Document;
use crate::place::{Notice, Notices, Place, Severity};
use crate::value::yaml;

/// What was read.
#[derive(Debug, Default)]
pub struct Context {
    /// What the machine is to become, as far as it was understood.
    pub document: Document,
    /// What is wrong or was left out, in the order of the user data.
    pub notices: Vec<Notice>,
}

impl Context {
    /// Whether anything is wrong.
    pub fn has_errors(&self) -> bool {
        self.notices.iter().any(|notice| notice.severity == Severity::Error)
    }
}

/// Reads user data.
pub fn read(bytes: &[u8]) -> Context {
    let mut notices = Notices::default();
    let document = recognize(bytes, 0, &mut notices);
    Context { document, notices: notices.into_list() }
}

/// How often something may be wrapped into something else.
const MAX_WRAPPINGS: usize = 4;

fn recognize(bytes: &[u8], wrappings: usize, notices: &mut Notices) -> Document {
    let place = Place::default();
    if bytes.len() > unpack::MAX_UNPACKED {
        notices.error(
            place,
            format!("user data of {} bytes; at most {} are read", bytes.len(), unpack::MAX_UNPACKED),
        );
        return Document::default();
    }
    if wrappings > MAX_WRAPPINGS {
        notices.error(place, "packed more often than anyone would");
        return Document::default();
    }
    if unpack::is_gzip(bytes) {
        return match unpack::gunzip(bytes) {
            Ok(unpacked) => recognize(&unpacked, wrappings + 1, notices),
            Err(why) => {
                notices.error(place, why);
                Document::default()
            }
        };
    }
    if let Some(unpacked) = unpack::base64(bytes) {
        return recognize(&unpacked, wrappings + 1, notices);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        notices.error(place, "neither text nor anything that is known");
        return Document::default();
    };
    let text = text.trim_start_matches('\u{feff}');
    let first = text.trim_start().lines().next().unwrap_or_default().trim_end();
    if first.starts_with(cloud_config::HEADING) {
        return match yaml::parse(text) {
            Ok(node) => cloud_config::read(&node, notices),
            Err(error) => {
                notices.error(error.place, error.message);
                Document::default()
            }
        };
    }
    if first.starts_with("#!") {
        return script::read(text);
    }
    native::read(text, notices)
}
