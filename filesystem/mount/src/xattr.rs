//! Extended attributes: those of the catalog, and the magic ones in which a client tells about itself, as CernVM-FS does.
//!
//! A magic name hides the same name in a catalog. Magic attributes can be read everywhere by name; whether listings show
//! them is configured. Their values come in pages, see `paging`. One group of them per file.

mod client;
mod link;
mod object;
mod paging;
mod repository;

use std::sync::Arc;

use varve_repository::{EntryKind, EntryView};

use self::paging::Page;
use crate::attached::Attached;
use crate::failure::{Failure, Patience};
use crate::plan::MagicVisibility;
use crate::tree::{Place, Tree};

/// The pages of a value, `None` if the entry has no such attribute.
type Pages = Result<Option<Vec<Vec<u8>>>, Failure>;

/// A magic attribute.
struct Magic {
    name: &'static str,
    shown: Shown,
    value: fn(&Context<'_>) -> Pages,
}

/// Which entries' listings show it, if listings show any.
enum Shown {
    Always,
    /// Those that are one object.
    WithHash,
    RegularFiles,
    ExternalFiles,
    Links,
    Never,
}

/// The entry that is asked.
struct Context<'a> {
    tree: &'a Tree,
    place: &'a Place,
    attached: &'a Arc<Attached>,
    entry: EntryView<'a>,
    patience: Patience,
}

fn groups() -> impl Iterator<Item = &'static Magic> {
    [repository::GROUP, client::GROUP, object::GROUP, link::GROUP].into_iter().flatten()
}

/// The value of an attribute.
pub(crate) fn get(tree: &Tree, place: &Place, name: &[u8], patience: Patience) -> Result<Vec<u8>, Failure> {
    let entry = place.entry()?;
    let (magic_name, page) = Page::split(name);
    if let Some(magic) = groups().find(|magic| magic.name.as_bytes() == magic_name) {
        let page = page.ok_or(Failure::NoAttribute)?;
        let context = Context { tree, place, attached: place.attached()?, entry, patience };
        let pages = (magic.value)(&context)?.ok_or(Failure::NoAttribute)?;
        return page.of(&pages).ok_or(Failure::NoAttribute);
    }
    if entry.xattrs_blob().is_empty() {
        return Err(Failure::NoAttribute);
    }
    entry.xattrs().get(name).map(<[u8]>::to_vec).ok_or(Failure::NoAttribute)
}

/// The names, each with a NUL behind it.
pub(crate) fn list(place: &Place) -> Result<Vec<u8>, Failure> {
    let entry = place.entry()?;
    let attached = place.attached()?;
    let mut names = Vec::new();
    let mut add = |name: &[u8]| {
        names.extend_from_slice(name);
        names.push(0);
    };
    let magic = match attached.mounted.client.visibility {
        MagicVisibility::Always => true,
        MagicVisibility::RootOnly => place.inode() == attached.root_inode,
        MagicVisibility::Never => false,
    };
    if magic {
        groups().filter(|magic| is_shown(&magic.shown, &entry)).for_each(|magic| add(magic.name.as_bytes()));
    }
    for (name, _) in entry.xattrs().iter() {
        if !groups().any(|magic| magic.name.as_bytes() == name) {
            add(name);
        }
    }
    Ok(names)
}

fn is_shown(shown: &Shown, entry: &EntryView<'_>) -> bool {
    let regular = entry.kind() == EntryKind::File;
    match shown {
        Shown::Always => true,
        Shown::WithHash => object::hash_of(entry).is_some(),
        Shown::RegularFiles => regular,
        Shown::ExternalFiles => regular && entry.is_external(),
        Shown::Links => entry.kind() == EntryKind::Symlink,
        Shown::Never => false,
    }
}

/// A value of one page.
fn one(value: impl Into<Vec<u8>>) -> Pages {
    Ok(Some(vec![value.into()]))
}

/// Parts, put together to pages: a page that got longer than a page may be is the last part's end.
fn pages_of(header: &str, parts: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    let mut page = header.to_owned();
    for part in parts {
        page.push_str(&part);
        if page.len() > paging::LONGEST_PAGE {
            pages.push(std::mem::replace(&mut page, header.to_owned()).into_bytes());
        }
    }
    if page.len() > header.len() || pages.is_empty() {
        pages.push(page.into_bytes());
    }
    pages
}
