//! The repository and the revision of it that is shown.

use varve_repository::{Reference, TreeCounters};

use super::{Context, Magic, Pages, Shown, one};

pub(super) const GROUP: &[Magic] = &[
    Magic { name: "user.catalog_counters", shown: Shown::Always, value: catalog_counters },
    Magic { name: "user.fqrn", shown: Shown::Always, value: name },
    Magic { name: "user.pubkeys", shown: Shown::Always, value: public_keys },
    Magic { name: "user.repo_counters", shown: Shown::Always, value: repository_counters },
    Magic { name: "user.repo_metainfo", shown: Shown::Always, value: meta_info },
    Magic { name: "user.revision", shown: Shown::Always, value: revision },
    Magic { name: "user.root_hash", shown: Shown::Always, value: root_hash },
    Magic { name: "user.tag", shown: Shown::Always, value: tag },
];

/// Values can't be longer than 64 KiB.
const LONGEST_VALUE: usize = 64 << 10;

/// Of the catalog that lists the entry, or the content of a nested mount point.
fn catalog_counters(context: &Context<'_>) -> Pages {
    let lines = |catalog: &varve_repository::Catalog| {
        let reference = &catalog.reference();
        format!(
            "catalog_hash: {}\ncatalog_mountpoint: {}\n{}",
            reference.hash,
            String::from_utf8_lossy(reference.path.as_bytes()),
            counter_lines(&catalog.index().counters().total())
        )
    };
    if context.entry.is_directory() {
        let inode = context.place.inode();
        let directory = context.tree.place(inode, context.patience)?;
        return one(lines(context.tree.enter(directory, context.patience)?.catalog()?));
    }
    one(lines(context.place.catalog()?))
}

fn counter_lines(counters: &TreeCounters) -> String {
    TreeCounters::NAMES
        .iter()
        .zip(counters.values())
        .map(|(name, value)| format!("{name},{value}\n"))
        .collect()
}

fn name(context: &Context<'_>) -> Pages {
    one(context.attached.name.as_str())
}

fn public_keys(context: &Context<'_>) -> Pages {
    let mut pages = vec![Vec::new()];
    for key in &context.attached.mounted.client.public_keys {
        if let Some(page) = pages.last_mut() {
            if page.len() + key.len() >= super::paging::LONGEST_PAGE && !page.is_empty() {
                pages.push(key.clone().into_bytes());
            } else {
                page.extend_from_slice(key.as_bytes());
            }
        }
    }
    Ok(Some(pages))
}

fn repository_counters(context: &Context<'_>) -> Pages {
    one(counter_lines(&context.attached.current.load().catalog.index().counters().total()))
}

/// A pinned revision has no manifest, and so no description.
fn meta_info(context: &Context<'_>) -> Pages {
    let current = context.attached.current.load();
    let Some(manifest) = &current.manifest else { return one("manifest not available") };
    if manifest.meta_info.is_none() {
        return one("metainfo not available");
    }
    let deadline = context.patience.deadline()?;
    let text = match context.attached.mounted.repository.meta_info_text(manifest, deadline) {
        Ok(Some(text)) => text,
        Ok(None) => return one("metainfo not available"),
        Err(error) => return Err(error.into()),
    };
    if text.len() > LONGEST_VALUE {
        return one("Failed to open: metadata file is too big");
    }
    one(text)
}

fn revision(context: &Context<'_>) -> Pages {
    one(context.attached.current.load().number().to_string())
}

fn root_hash(context: &Context<'_>) -> Pages {
    one(context.attached.current.load().reference.hash.to_string())
}

fn tag(context: &Context<'_>) -> Pages {
    match &context.attached.mounted.reference {
        Reference::Tag(tag) => one(tag.to_string()),
        _ => one(""),
    }
}
