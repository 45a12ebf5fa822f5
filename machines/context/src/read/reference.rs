//! What user data only point to. It is for the caller to fetch it, or not.

use serde::Serialize;

use super::Reader;
use crate::place::{Place, shown};

/// Something that is to be fetched and read as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reference {
    /// More user data at an address.
    Include {
        /// The address.
        address: String,
        /// Whether it may be fetched only once.
        once: bool,
    },
    /// A context that CernVM Online keeps, or kept.
    Online {
        /// Its key: an id, and behind a colon its secret.
        key: String,
    },
    /// An archive with a HEPIX context.
    Hepix {
        /// The address.
        address: String,
    },
}

const MAX_REFERENCES: usize = 64;

/// `#include` and `#include-once`: an address on each line.
pub(super) fn read(text: &str, reader: &mut Reader) {
    reader.form("include");
    let mut once = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let rest = match line.strip_prefix("#include-once") {
            Some(rest) => {
                once = true;
                rest.trim()
            }
            None => match line.strip_prefix("#include") {
                Some(rest) => {
                    once = false;
                    rest.trim()
                }
                None => line,
            },
        };
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        let place = Place::line(number);
        if rest.starts_with("https://") || rest.starts_with("http://") {
            add(Reference::Include { address: rest.to_owned(), once }, place, reader);
        } else {
            reader.notices.error(place, format!("{} is no address that could be fetched", shown(rest)));
        }
    }
}

pub(super) fn add(reference: Reference, place: Place, reader: &mut Reader) {
    if reader.references.len() >= MAX_REFERENCES {
        return reader.notices.error(place, format!("more than {MAX_REFERENCES} references"));
    }
    if !reader.references.contains(&reference) {
        reader.references.push(reference);
    }
}
