//! Which objects a file is made of, and how they are stored.

use varve_content::{Compression, Compressor, ContentHash, Effort};
use varve_repository::{ContentView, EntryKind, EntryView};

use crate::failure::Failure;

use super::{Context, Magic, Pages, Shown, one, pages_of};

pub(super) const GROUP: &[Magic] = &[
    Magic { name: "user.chunk_list", shown: Shown::RegularFiles, value: chunk_list },
    Magic { name: "user.chunks", shown: Shown::RegularFiles, value: chunks },
    Magic { name: "user.compression", shown: Shown::RegularFiles, value: compression },
    Magic { name: "user.direct_io", shown: Shown::RegularFiles, value: direct_io },
    Magic { name: "user.external_file", shown: Shown::RegularFiles, value: external_file },
    Magic { name: "user.external_url", shown: Shown::ExternalFiles, value: external_url },
    Magic { name: "user.hash", shown: Shown::WithHash, value: hash },
    Magic { name: "user.lhash", shown: Shown::WithHash, value: local_hash },
];

/// Larger copies are not hashed on demand.
const LARGEST_TO_HASH: u64 = 256 << 20;

/// The object that has the whole content.
pub(super) fn hash_of(entry: &EntryView<'_>) -> Option<ContentHash> {
    match entry.content()? {
        ContentView::Whole(hash) => Some(hash),
        ContentView::Chunks(chunks) => chunks.whole(),
    }
}

fn content<'a>(context: &'a Context<'_>) -> Option<ContentView<'a>> {
    context.entry.content()
}

fn regular(context: &Context<'_>, value: impl FnOnce() -> String) -> Pages {
    if context.entry.kind() == EntryKind::File { one(value()) } else { Ok(None) }
}

fn chunk_list(context: &Context<'_>) -> Pages {
    let header = "hash,offset,size\n";
    Ok(content(context).map(|content| match content {
        ContentView::Whole(hash) => {
            pages_of(header, std::iter::once(format!("{hash},0,{}\n", context.entry.size())))
        }
        ContentView::Chunks(chunks) => {
            let line =
                |chunk: varve_repository::Chunk| format!("{},{},{}\n", chunk.hash, chunk.offset, chunk.size);
            pages_of(header, chunks.iter().map(line))
        }
    }))
}

fn chunks(context: &Context<'_>) -> Pages {
    match content(context) {
        None => Ok(None),
        Some(ContentView::Whole(_)) => one("1"),
        Some(ContentView::Chunks(chunks)) => one(chunks.len().to_string()),
    }
}

fn compression(context: &Context<'_>) -> Pages {
    regular(context, || context.entry.compression().name().to_owned())
}

fn direct_io(context: &Context<'_>) -> Pages {
    regular(context, || u8::from(context.entry.is_direct_io()).to_string())
}

fn external_file(context: &Context<'_>) -> Pages {
    regular(context, || u8::from(context.entry.is_external()).to_string())
}

/// On the server that is asked first, the path as it is in the catalog; empty if no server is known.
fn external_url(context: &Context<'_>) -> Pages {
    if context.entry.kind() != EntryKind::File || !context.entry.is_external() {
        return Ok(None);
    }
    let Some(servers) = &context.attached.mounted.external else { return one("") };
    let mut url = servers.counters().server.into_bytes();
    url.extend_from_slice(context.place.catalog()?.index().path(context.place.row).as_bytes());
    one(url)
}

fn hash(context: &Context<'_>) -> Pages {
    hash_of(&context.entry).map_or(Ok(None), |hash| one(hash.to_string()))
}

/// The hash of the cached copy, stored again with stock zlib: as in CernVM-FS, also for objects that are stored plainly.
fn local_hash(context: &Context<'_>) -> Pages {
    let Some(hash) = hash_of(&context.entry) else { return Ok(None) };
    context.patience.deadline()?;
    let mut plain = Vec::new();
    // The content of an empty file is known, it never gets fetched.
    if context.entry.size() > 0 {
        let copy = match context.entry.size() <= LARGEST_TO_HASH {
            true => {
                let catalog = &context.place.loaded().ok_or(Failure::NoEntry)?.catalog;
                context.attached.contents.copy_of(catalog, &context.entry, hash)?
            }
            false => None,
        };
        let Some(copy) = copy else { return one("Not in cache") };
        plain = copy;
    }
    let mut stored = Vec::new();
    if Compressor::new(Compression::Zlib, Effort::Exact).compress(&plain, &mut stored).is_err() {
        return one("I/O error");
    }
    one(hash.algorithm().hash(&stored).to_string())
}
